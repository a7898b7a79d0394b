"""What a live HTTPRoute says: its shares, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pantala.manifest.types import Manifest

GROUP = "gateway.networking.k8s.io"
_DENIED = {
    "NotAllowedByListeners": "allow routes of this namespace and kind in allowedRoutes of the Gateway's listener",
    "NoMatchingListenerHostname": "add a listener for the host to the Gateway, or change expose.hosts",
    "NoMatchingParent": "name a Gateway that is there and has a listener for HTTP in expose.gatewayRef",
    "BackendNotFound": "the Service of a version is not there, wait for the operator to write it",
    "InvalidKind": "the Gateway's implementation takes no Services as backends: take another Gateway",
    "RefNotPermitted": "allow the reference by a ReferenceGrant",
    "UnsupportedValue": "the Gateway's implementation does not carry out a field of the route: remove it or take another Gateway",
    "UnsupportedProtocol": "the Gateway's implementation cannot reach the server by its protocol",
}
"""What to do about a reason of the Gateway API (RouteConditionReason, v1)."""


def shares(live: Manifest, services: Mapping[str, str]) -> dict[str, int] | None:
    """The percent of requests that each version gets by a live HTTPRoute, those above 0; gRPC is left out of account.

    Args:
        live: The HTTPRoute with the model's name.
        services: Version by the name of its Service.

    Returns:
        None if it cannot be told: the route is not one of ours, or somebody changed it.
    """
    rule = _split(live)
    return _weights(rule, services) if rule else None


def mirrors(live: Manifest, services: Mapping[str, str]) -> dict[str, int] | None:
    """The percent of requests of which each version gets copies by a live HTTPRoute; None as in `shares`."""
    rule = _split(live)
    return _copies(rule, services) if rule else None


def hosts(live: Manifest) -> tuple[str, ...]:
    """The hosts that a live HTTPRoute claims at a gateway; none if it has no gateway as a parent."""
    spec = live.get("spec", {})
    if not any(parent.get("kind", "Gateway") == "Gateway" for parent in spec.get("parentRefs", ())):
        return ()
    return tuple(spec.get("hostnames", ()))


def problem(live: Manifest, gateway: tuple[str, str] | None) -> str | None:
    """What controllers say is wrong with a live HTTPRoute, with the next step; None if nothing is.

    Only what is said about the route as it is now counts (`observedGeneration`), but that it was taken as it was before. Several controllers may report on the
    same parent: what one of them says is wrong is told, as nobody knows which of them has the traffic. Nobody has to say
    anything about a Service as a parent: without a mesh that takes part, the Service alone decides inside of the cluster.

    Args:
        live: The HTTPRoute.
        gateway: Namespace and name of the gateway that the model is exposed by, if any; told about is only a route that
            has it as a parent.
    """
    namespace = live["metadata"]["namespace"]
    parents = live.get("spec", {}).get("parentRefs") or ()
    attached = gateway if any(_is_parent(ref, namespace, gateway) for ref in parents) else None
    answers = [(one["parentRef"], _conditions(live, one)) for one in (live.get("status") or {}).get("parents") or ()]
    told = [it for ref, it in answers if _is_parent(ref, namespace, attached)]
    for conditions in told:
        for kind in ("Accepted", "ResolvedRefs"):
            if (one := conditions.get(kind)) and one["status"] == "False":
                return _sentence(attached, one)
    if attached and not any("Accepted" in conditions for conditions in told) and not _was_taken(live, attached):
        return (
            f"no controller has taken the route for the Gateway {'/'.join(attached)} yet: wait some seconds, and if it"
            " stays so, check that the Gateway is there and that the controller of its gatewayClassName runs"
        )
    return None


def _was_taken(live: Manifest, gateway: tuple[str, str]) -> bool:
    """Whether a controller took the route as it once was: each change of the shares makes it look again for a moment."""
    namespace = live["metadata"]["namespace"]
    return any(
        it["type"] == "Accepted" and it["status"] == "True"
        for one in (live.get("status") or {}).get("parents") or ()
        if _is_parent(one["parentRef"], namespace, gateway)
        for it in one.get("conditions") or ()
    )


def _conditions(live: Manifest, parent: Manifest) -> dict[str, Manifest]:
    """What one controller says about the route as it is now; by type."""
    # A controller need not tell a generation.
    now = live["metadata"].get("generation", 0)
    return {it["type"]: it for it in parent.get("conditions") or () if it.get("observedGeneration", now) >= now}


def _sentence(gateway: tuple[str, str] | None, condition: Mapping[str, Any]) -> str:
    reason, said = condition.get("reason", "Unknown"), condition.get("message", "").strip().rstrip(".")
    who = f"the Gateway {'/'.join(gateway)}" if gateway else "the mesh"
    what = "does not take the route" if condition["type"] == "Accepted" else "cannot reach what the route leads to"
    step = _DENIED.get(reason, "see the conditions of the HTTPRoute")
    return f"{who} {what} ({reason}{': ' + said if said else ''}): {step}"


def _is_parent(ref: Mapping[str, Any], namespace: str, gateway: tuple[str, str] | None) -> bool:
    """Whether a reference is to the gateway, or without one to a Service."""
    if gateway is None:
        return bool(ref.get("kind") == "Service")
    group, kind = ref.get("group", GROUP), ref.get("kind", "Gateway")
    return bool((group, kind, ref.get("namespace", namespace), ref["name"]) == (GROUP, "Gateway", *gateway))


def _split(live: Manifest) -> Manifest | None:
    """The rule for HTTP that no other rule takes: the only one without a condition but the shortest path.

    By its conditions and not by its name, which CRDs before v1.4 do not keep.
    """
    rules = [rule for rule in live.get("spec", {}).get("rules") or () if len(rule.get("matches") or ()) == 1]
    free = [rule for rule in rules if not rule["matches"][0].get("headers")]
    return min(free, key=_length, default=None)


def _length(rule: Manifest) -> int:
    return len(rule["matches"][0].get("path", {}).get("value", "/"))


def _weights(rule: Manifest, services: Mapping[str, str]) -> dict[str, int] | None:
    found: dict[str, int] = {}
    for ref in rule.get("backendRefs", ()):
        if ref.get("kind", "Service") != "Service" or ref["name"] not in services:
            return None
        found[services[ref["name"]]] = found.get(services[ref["name"]], 0) + int(ref.get("weight", 1))
    total = sum(found.values())
    if total == 0 or any(weight * 100 % total for weight in found.values()):
        return None
    return {version: weight * 100 // total for version, weight in found.items() if weight}


def _copies(rule: Manifest, services: Mapping[str, str]) -> dict[str, int] | None:
    found: dict[str, int] = {}
    for one in rule.get("filters", ()):
        if one["type"] != "RequestMirror":
            continue
        mirror = one["requestMirror"]
        if mirror["backendRef"]["name"] not in services or "fraction" in mirror:
            return None
        found[services[mirror["backendRef"]["name"]]] = int(mirror.get("percent", 100))
    return found
