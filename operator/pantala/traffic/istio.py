"""Istio: a model's route as VirtualService, and what its versions take as DestinationRules (`networking.istio.io/v1`).

Each version is a Service of its own, so there are no subsets, and no order in which they must be known.

A model has a VirtualService for the inside of the cluster, and one for its hosts at the gateway. One for both would have
sidecars route the gateway's hosts, too: whoever may name a host would take the requests of all namespaces to whatever else
is called so, a Service of the cluster or a site on the Internet. Several models may share a host by prefixes, and of
VirtualServices with one host a sidecar knows the oldest only. And the gateway would answer to the name inside of the cluster.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from pantala.api.traffic import Expose, Traffic
from pantala.manifest.percents import percents
from pantala.manifest.types import Manifest
from pantala.traffic import conditions, destination, filters, re2, virtual_service
from pantala.traffic.conditions import NeverError, TwoOnOneError
from pantala.traffic.route import Refusal, Route
from pantala.traffic.virtual_service import RULE, SPLIT

MESH = "mesh"
"""What Istio calls all sidecars, where gateways are named."""
_WHOLE = 100
_ELSEWHERE = {"match", "redirect", "directResponse", "delegate", "fault"}
"""Fields with which a route does not lead every request to its versions."""


def objects(route: Route) -> list[Manifest]:
    """Every object of Istio that a route needs, in the order in which they are to be written.

    What `refusals` is about is left out.
    """
    found = destination.rules(route)
    if route.gateway and route.hosts:
        gateways = ["/".join(route.gateway)]
        found += virtual_service.build(route, gateway_name(route), list(route.hosts), gateways, route.prefix or "")
    return found + virtual_service.build(route, route.name, [route.host], [MESH], "")


def gateway_name(route: Route) -> str:
    """Name of the VirtualService for the gateway's hosts; no model has a dot in its name."""
    return f"{route.name}.gateway"


def refusals(
    traffic: Traffic,
    expose: Expose | None,  # noqa: ARG001 - every mesh is asked alike, and Istio can all of it
) -> tuple[Refusal, ...]:
    """What of the user's wishes Istio cannot carry out."""
    found = [
        Refusal(
            "traffic.retries.retryOn",
            f"Istio knows no status code {code}: remove it, or name one that is registered, such as 503",
        )
        for code in filters.unknown_codes(traffic.retries)
    ]
    for number, rule in enumerate(traffic.rules or ()):
        if wrong := re2.unknown(rule.headers or ()):
            # Envoy would refuse the routes of all models of the port.
            words = f"the expression for {wrong.name} is not surely one of RE2, or too large a one"
            found.append(Refusal(f"traffic.rules[{number}].headers", f"{words}: {re2.HOW}"))
        try:
            conditions.headers(rule.headers or ())
        except NeverError:
            pass  # true, and harmless
        except TwoOnOneError as error:
            message = f"Istio takes one condition per header, and {error} has two: write them as one regular expression"
            found.append(Refusal(f"traffic.rules[{number}].headers", message))
    return tuple(found)


def shares(live: Manifest, services: Mapping[str, str]) -> dict[str, int] | None:
    """The percents of requests by version that the split gives; they make 100. Rules and gRPC are left out of account.

    Args:
        live: The VirtualService named as the model, as the API server has it.
        services: Names of Services of the model's namespace, and the versions that they are of.

    Returns:
        Versions with a share above 0, or None if it cannot be told: the object is not as the operator writes it.
    """
    way = _split(live)
    if way is None:
        return None
    found: dict[str, int] = {}
    for target in (targets := _dicts(way.get("route"))):
        # A single one gets everything, whatever its weight.
        weight = target.get("weight", 0) if len(targets) > 1 else _WHOLE
        if not _add(found, live, target, weight, services):
            return None
    return percents(found) or None  # weights of the operator are percents already


def mirrors(live: Manifest, services: Mapping[str, str]) -> dict[str, int] | None:
    """The percents of requests by version that are copied to it.

    Args:
        live: The VirtualService named as the model, as the API server has it.
        services: Names of Services of the model's namespace, and the versions that they are of.

    Returns:
        Versions that get copies, or None if it cannot be told.
    """
    way = _split(live)
    if way is None or "mirror" in way:  # Istio's older field, which the operator never writes
        return None
    found: dict[str, int] = {}
    for target in _dicts(way.get("mirrors")):
        percentage = target.get("percentage")
        percent = percentage.get("value") if isinstance(percentage, dict) else _WHOLE
        percent = round(percent) if isinstance(percent, int | float) else percent
        if not _add(found, live, target, percent, services):
            return None
    return found


def hosts(live: Manifest) -> tuple[str, ...]:
    """The hosts that a VirtualService has at gateways; none if it is for sidecars alone."""
    spec = live.get("spec")
    hosts, gateways = (spec.get(name) if isinstance(spec, dict) else None for name in ("hosts", "gateways"))
    if not isinstance(hosts, list) or not isinstance(gateways, list) or set(gateways) <= {MESH}:
        return ()
    return tuple(host for host in hosts if isinstance(host, str))


def _split(live: Manifest) -> Manifest | None:
    """The route that holds the shares, if every request that no rule takes comes to it."""
    for way in _ways(live):
        name = way.get("name")
        if name == SPLIT:
            return None if _ELSEWHERE & way.keys() else way
        if not isinstance(name, str) or not name.startswith((RULE, f"{SPLIT}.")) or not way.get("match"):
            return None
    return None


def _ways(live: Manifest) -> Iterator[Manifest]:
    spec = live.get("spec")
    yield from _dicts(spec.get("http") if isinstance(spec, dict) else None)


def _dicts(value: Any) -> list[Manifest]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _add(found: dict[str, int], live: Manifest, target: Manifest, amount: Any, services: Mapping[str, str]) -> bool:
    """Count what goes to a destination; False if it is none of the model's, or no amount."""
    to = target.get("destination")
    if not isinstance(to, dict) or "subset" in to or not isinstance(amount, int) or amount < 0:
        return False
    service, _, rest = str(to.get("host")).partition(".")
    version = services.get(service)
    if version is None or not rest.startswith(f"{live['metadata'].get('namespace')}.svc."):
        return False
    if amount:
        found[version] = found.get(version, 0) + amount
    return True
