"""Routes of the Gateway API (`gateway.networking.k8s.io/v1`, standard channel of v1.6): a `Route` as HTTPRoutes.

Foreign facts, from the CRDs of v1.6 and the source of Istio 1.31 (`pilot/pkg/config/kube/gateway/conversion.go`):

- Traffic inside of the cluster is routed by an HTTPRoute whose parent is the Service that clients ask (GAMMA). Its
  `hostnames` do not matter then, so one HTTPRoute serves the gateway and the mesh, unless the gateway adds a prefix.
- The most specific match decides, not the first: see `precedence`.
- One HTTPRoute has at most 16 rules, and a rule that replaces a prefix exactly one match.
- istiod gives values of headers to Envoy as they are, where a single % is no text but begins a command: Envoy then refuses
  the routes of all models at that gateway, while the HTTPRoute's conditions are True. Others take them as they stand.
- gRPC and HTTP share a host only within an HTTPRoute: a GRPCRoute with the same host would be in conflict with it. So
  gRPC is told by its content-type, and each match comes a second time with it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from pantala.api import durations
from pantala.api.traffic import Cors, Expose, HeaderChanges, HeaderMatch, Traffic, TrafficRule
from pantala.manifest.types import Manifest
from pantala.traffic import gateway_api_refusals
from pantala.traffic.gateway_api_live import hosts, mirrors, problem, shares
from pantala.traffic.gateway_api_refusals import ORIGIN, fits, plain
from pantala.traffic.precedence import GRPC, Match, settled
from pantala.traffic.route import Backend, Refusal, Route, Split

__all__ = ["API_VERSION", "hosts", "mirrors", "objects", "problem", "refusals", "shares"]

API_VERSION = "gateway.networking.k8s.io/v1"
SPLIT = "split"
"""Name of the rule for all requests that no other takes."""
RULE = "rule."
"""How the names of rules of the user's begin; what they call them has no dot."""
_GRPC = ".grpc"
PARTS = (".grpc-rules", ".rules", "")
"""Ends of the names of the HTTPRoutes for one way in, if the rules do not fit in one."""


def objects(route: Route) -> list[Manifest]:
    """The HTTPRoutes of a model, to be applied in this order.

    The last has the model's name. If it holds the shares alone, because the rules are too many for one object, these
    come before it as `<name>.grpc-rules` and `<name>.rules`. With a prefix the route inside of the cluster is
    `<name>.mesh`, as only the gateway adds a prefix. No model has a dot in its name, so nothing else is called so.

    What `refusals` is about is left out.
    """
    service = {"group": "", "kind": "Service", "name": route.name}
    if route.gateway is None:
        return _routes(route, "", [service], (), "")
    namespace, name = route.gateway
    gateway = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "namespace": namespace, "name": name}
    if not route.prefix:
        return _routes(route, "", [gateway, service], route.hosts, "")
    inside = _routes(route, ".mesh", [service], (), "")
    return [*inside, *_routes(route, "", [gateway], route.hosts, route.prefix)]


def refusals(traffic: Traffic | None, expose: Expose | None) -> tuple[Refusal, ...]:
    """What of the user's wishes the standard channel of the Gateway API cannot carry out."""
    if traffic is None:
        return ()
    found = gateway_api_refusals.refusals(traffic)
    rules = [rule for rule in traffic.rules or () if Match.of(rule)]
    if not rules or _room(rules, (expose and expose.prefix) or ""):
        return found
    message = (
        "in the Gateway API the most specific rule decides and not the first, and to say your order takes more than a route"
        " holds: put rules with longer prefixes and with more headers before the others, have fewer, or install Istio and"
        " set mesh: istio for the installation"
    )
    return (*found, Refusal("traffic.rules", message))


def _room(rules: list[TrafficRule], prefix: str) -> bool:
    """Whether the rules fit, if every version speaks gRPC, too."""
    backend = Backend("v1", "model-v1", 80, 81)
    split = Split(((backend, 100),), rules=tuple((rule, backend) for rule in rules))
    made = _routes(Route("model", "default", {}, (), split), "", [], (), prefix)
    return any(rule["name"].startswith(RULE) for one in made for rule in one["spec"]["rules"])


def _routes(
    route: Route, suffix: str, parents: list[Manifest], hostnames: tuple[str, ...], prefix: str
) -> list[Manifest]:
    """The HTTPRoutes for the same parents: one, or more if its rules do not fit; none if there is nowhere to go."""
    if not route.split.shares:
        return []
    pinned = settled([match for rule, _ in route.split.rules if (match := Match.of(rule))])
    # No client of gRPC can ask for a prefix.
    grpc, grpc_split = ([], []) if prefix else _grpc(route, pinned)
    http = [
        made
        for (rule, backend), matches in zip(_told(route), pinned, strict=True)
        for made in _rules(route, f"{RULE}{rule.name}", matches, ((backend, 100),), prefix)
    ]
    split = [*grpc_split, *_rules(route, SPLIT, (Match(),), route.split.shares, prefix)]
    # In three objects no order is lost: with equals in another one there is always a more specific match that decides.
    for parts in (([], [], [*grpc, *http, *split]), (grpc, http, split)):
        if all(fits([len(rule["matches"]) for rule in rules]) for rules in parts):
            break
    else:
        parts = ([], [], split)
    named = zip(PARTS, parts, strict=True)
    return [_http_route(route, f"{suffix}{part}", parents, hostnames, rules) for part, rules in named if rules]


def _told(route: Route) -> list[tuple[TrafficRule, Backend]]:
    return [(rule, backend) for rule, backend in route.split.rules if Match.of(rule)]


def _grpc(route: Route, pinned: list[tuple[Match, ...]]) -> tuple[list[Manifest], list[Manifest]]:
    """The rules of the user's for gRPC, and the split; each match has one condition more than that for HTTP.

    So they decide about every request of gRPC, among each other as those for HTTP do. Where a rule leads to a version
    without gRPC the shares decide. Of those the ones that speak it keep their proportions, as weights are relative.
    """
    shares = tuple((backend, share) for backend, share in route.split.shares if backend.grpc is not None)
    rules: list[Manifest] = []
    for (rule, backend), matches in zip(_told(route), pinned, strict=True):
        marked = tuple(it for match in matches if (it := match.and_also(Match(headers=(GRPC,)))))
        to = ((backend, 100),) if backend.grpc is not None else shares
        if marked and to:
            rules += _rules(route, f"{RULE}{rule.name}{_GRPC}", marked, to, "", grpc=True)
    split = [*_rules(route, f"{SPLIT}{_GRPC}", (Match(headers=(GRPC,)),), shares, "", grpc=True)] if shares else []
    return rules, split


def _rules(
    route: Route,
    name: str,
    matches: tuple[Match, ...],
    shares: tuple[tuple[Backend, int], ...],
    prefix: str,
    *,
    grpc: bool = False,
) -> Iterator[Manifest]:
    """One rule for all matches; one for each where it replaces a prefix, which has exactly one match (CEL of the CRD)."""
    for number, group in enumerate([(it,) for it in matches] if prefix else [matches]):
        to = _rule(route, group, shares, prefix, grpc=grpc)
        yield {"name": f"{name}.{number}" if number else name} | to


def _rule(
    route: Route, matches: tuple[Match, ...], shares: tuple[tuple[Backend, int], ...], prefix: str, *, grpc: bool
) -> Manifest:
    made: Manifest = {"matches": [_match(it, prefix) for it in matches]}
    filters = _filters(route.traffic)
    if prefix:
        path = {"type": "ReplacePrefixMatch", "replacePrefixMatch": matches[0].path or "/"}
        filters.append({"type": "URLRewrite", "urlRewrite": {"path": path}})
    own = {backend.version for backend, _ in shares}
    for backend, percent in route.split.mirrors:
        if backend.version in own or (grpc and backend.grpc is None):
            continue
        mirror: Manifest = {"backendRef": _backend(backend, grpc=grpc)}
        if percent < 100:  # noqa: PLR2004 -- percent; absent is all
            mirror["percent"] = percent
        filters.append({"type": "RequestMirror", "requestMirror": mirror})
    if filters:
        made["filters"] = filters
    made["backendRefs"] = [_backend(backend, grpc=grpc) | {"weight": weight} for backend, weight in shares]
    # Written out, as the default is the implementation's: a duration of zero is no limit (HTTPRouteTimeouts.request).
    return made | {"timeouts": {"request": route.traffic.timeout or "0s"}}


def _http_route(
    route: Route, suffix: str, parents: list[Manifest], hostnames: tuple[str, ...], rules: list[Manifest]
) -> Manifest:
    metadata = {
        "name": f"{route.name}{suffix}",
        "namespace": route.namespace,
        "labels": dict(route.labels),
        "ownerReferences": list(route.owner),
    }
    named = {"hostnames": list(hostnames)} if hostnames else {}
    spec = {"parentRefs": parents, **named, "rules": rules}
    return {"apiVersion": API_VERSION, "kind": "HTTPRoute", "metadata": metadata, "spec": spec}


def _match(match: Match, prefix: str) -> Manifest:
    made: Manifest = {"path": {"type": "PathPrefix", "value": f"{prefix}{match.path}" or "/"}}
    if match.headers:
        made["headers"] = [_header(header) for header in match.headers]
    return made


def _header(header: HeaderMatch) -> Manifest:
    if header.type == "Exact":
        return {"type": "Exact", "name": header.name, "value": header.value}
    value = f"{quoted(header.value)}.*" if header.type == "Prefix" else header.value
    return {"type": "RegularExpression", "name": header.name, "value": value}


def quoted(text: str) -> str:
    """A regular expression of RE2 for a text as it stands: every ASCII punctuation may have a backslash (RE2, Syntax)."""
    return re.sub(r"([\\.+*?()|\[\]{}^$])", r"\\\1", text)


def _backend(backend: Backend, *, grpc: bool) -> Manifest:
    port = backend.grpc if grpc else backend.http
    return {"group": "", "kind": "Service", "name": backend.service, "port": port}


def _filters(traffic: Traffic) -> list[Manifest]:
    """The filters that every rule has."""
    made: list[Manifest] = []
    if traffic.headers and traffic.headers.request:
        made.append({"type": "RequestHeaderModifier", "requestHeaderModifier": _changes(traffic.headers.request)})
    if traffic.headers and traffic.headers.response:
        made.append({"type": "ResponseHeaderModifier", "responseHeaderModifier": _changes(traffic.headers.response)})
    if traffic.cors:
        made.append({"type": "CORS", "cors": _cors(traffic.cors)})
    return made


def _changes(changes: HeaderChanges) -> Manifest:
    made: Manifest = {}
    for block, values in (("set", changes.set), ("add", changes.add)):
        if pairs := _pairs(values or {}):
            made[block] = pairs
    # The API takes no empty value. To a server a header that is not there says the same.
    emptied = [name for name, value in (changes.set or {}).items() if not value.strip()]
    if gone := list(dict.fromkeys((*(changes.remove or ()), *emptied))):
        made["remove"] = gone
    return made


def _pairs(values: Mapping[str, str]) -> list[Manifest]:
    return [{"name": name, "value": value} for name, value in sorted(values.items()) if plain(value)]


def _cors(cors: Cors) -> Manifest:
    # `*` must stand alone (CEL of the CRD), and has the others in it.
    origins = (
        ["*"] if "*" in cors.allow_origins else [it for it in dict.fromkeys(cors.allow_origins) if ORIGIN.fullmatch(it)]
    )
    made: Manifest = {"allowOrigins": origins}
    for block, values in (
        ("allowMethods", cors.allow_methods),
        ("allowHeaders", cors.allow_headers),
        ("exposeHeaders", cors.expose_headers),
    ):
        if values:
            made[block] = list(dict.fromkeys(values))
    if cors.max_age:
        made["maxAge"] = int(durations.parse(cors.max_age).total_seconds())
    if cors.allow_credentials:
        made["allowCredentials"] = True
    return made
