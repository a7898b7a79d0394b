"""VirtualServices of Istio: one route for each rule, and a last one with the shares; gRPC and HTTP apart."""

from collections.abc import Iterable, Iterator, Mapping

from pantala.api.traffic import HeaderMatch
from pantala.manifest.types import Manifest
from pantala.traffic import conditions, filters
from pantala.traffic.conditions import NeverError, TwoOnOneError
from pantala.traffic.route import Backend, Route

SPLIT = "split"
"""Name of the route that holds the shares; those of rules begin with `rule.`, and no rule's name has a dot."""
RULE = "rule."
"""How the names of the routes of rules begin."""
_GRPC = ".grpc"


def build(route: Route, name: str, hosts: list[str], gateways: list[str], prefix: str) -> list[Manifest]:
    """A VirtualService in a list; an empty list if there is nowhere to go.

    Args:
        route: What it is about.
        name: Its name.
        hosts: Hosts whose requests it routes.
        gateways: Who shall route them: `mesh`, or gateways as `namespace/name`.
        prefix: Beginning of the paths that are the model's, taken away; empty for all paths.
    """
    ways = [*_grpc(route), *_http(route, "")] if not prefix else [*_http(route, prefix)]
    if not ways:
        return []
    meta = {"name": name, "namespace": route.namespace, "labels": dict(route.labels)}
    return [
        {
            "apiVersion": "networking.istio.io/v1",
            "kind": "VirtualService",
            "metadata": {**meta, "ownerReferences": list(route.owner)},
            "spec": {"hosts": hosts, "gateways": gateways, "http": ways},
        }
    ]


def _grpc(route: Route) -> Iterator[Manifest]:
    """The routes of gRPC, in front of all others: they take those requests even where a rule leads to no gRPC server.

    There are none under a prefix, which no client of gRPC can ask for.
    """
    for rule, backend in route.split.rules:
        match = _match(rule.headers or (), rule.prefix or "", conditions.GRPC)
        if backend.grpc is not None and match:
            yield _way(route, f"{RULE}{rule.name}{_GRPC}", match, ((backend, 100),), grpc=True)
    # Weights are relative in Istio: the shares of those that speak gRPC keep their proportions.
    if shares := tuple((backend, share) for backend, share in route.split.shares if backend.grpc is not None):
        yield _way(route, f"{SPLIT}{_GRPC}", _match((), "", conditions.GRPC), shares, grpc=True)


def _http(route: Route, prefix: str) -> Iterator[Manifest]:
    """The routes of HTTP; the last one takes what no rule did."""
    rewrite = _rewrite(prefix)
    for rule, backend in route.split.rules:
        if match := _match(rule.headers or (), f"{prefix}{rule.prefix or ''}"):
            yield _way(route, f"{RULE}{rule.name}", match, ((backend, 100),)) | rewrite
    if route.split.shares:
        yield _way(route, SPLIT, _match((), prefix), route.split.shares) | rewrite


def _rewrite(prefix: str) -> Manifest:
    """Takes the prefix from the path, and leaves one slash; what follows, and the query, stay as they are.

    A plain `uri` would replace all that the route's condition is about, the rule's own prefix, too.
    """
    # The only character of a prefix that means something in a regular expression.
    pattern = prefix.replace(".", "\\.")
    return {"rewrite": {"uriRegexRewrite": {"match": f"^{pattern}/?", "rewrite": "/"}}} if prefix else {}


def _match(headers: Iterable[HeaderMatch], path: str, also: Mapping[str, HeaderMatch] | None = None) -> list[Manifest]:
    """The conditions of a route, one of which must hold; empty if there are none, or if no request can meet them.

    For a rule both are the same, since it is never without a condition: no route.
    """
    try:
        found = conditions.headers(headers, also)
    except (NeverError, TwoOnOneError):
        return []
    common = {"headers": conditions.rendered(found)} if found else {}
    if path:
        return [uri | common for uri in conditions.below(path)]
    return [common] if common else []


def _way(
    route: Route, name: str, match: list[Manifest], shares: tuple[tuple[Backend, int], ...], *, grpc: bool = False
) -> Manifest:
    """One route: to these versions, with the copies for those mirrors that are not its own end."""
    own = {backend.version for backend, _ in shares}
    weigh = len(shares) > 1
    to = [
        {"destination": _destination(route, backend, grpc=grpc)} | ({"weight": share} if weigh else {})
        for backend, share in shares
    ]
    mirrors = [
        {"destination": _destination(route, backend, grpc=grpc), "percentage": {"value": percent}}
        for backend, percent in route.split.mirrors
        if backend.version not in own and not (grpc and backend.grpc is None)
    ]
    found: Manifest = {"name": name} | ({"match": match} if match else {}) | {"route": to}
    return found | ({"mirrors": mirrors} if mirrors else {}) | filters.rendered(route.traffic)


def _destination(route: Route, backend: Backend, *, grpc: bool) -> Manifest:
    port = backend.grpc if grpc else backend.http
    return {"host": route.service_host(backend.service), "port": {"number": port}}
