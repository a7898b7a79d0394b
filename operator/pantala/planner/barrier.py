"""What must not be written as planned, because something that it rests on could not be written. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from pantala.accelerators import dra
from pantala.manifest.types import Manifest, Ref
from pantala.planner import claim_template, live_route, routing
from pantala.status.problem import Problem
from pantala.status.reasons import Reason
from pantala.traffic import istio

GUARDS = frozenset({"EnvoyFilter", "AuthorizationPolicy", "RequestAuthentication"})
"""Kinds of the objects that refuse requests: limits, access lists, keys and tokens."""


def safe(route: Manifest, live: Manifest | None, problems: Mapping[Ref, Problem]) -> Manifest | None:
    """The route as far as it may be written, or None if not at all.

    It gets no new host at a gateway while one of its guards could not be written. It is left alone where it would take the
    requests of a stranger's Service, or lead requests to one. Whatever else is refused, its shares follow the truth.

    Args:
        route: The VirtualService or HTTPRoute as it is planned.
        live: As it is; None if there is none.
        problems: What kept other objects of the model from being written in the same pass.
    """
    strange = {ref.name for ref, it in problems.items() if ref.kind == "Service" and it.reason is Reason.NAME_CONFLICT}
    if (_services(route) - _services(live or {})) & strange:
        return None
    new = set(istio.hosts(route)) - set(istio.hosts(live or {}))
    if not new or not any(ref.kind in GUARDS for ref in problems):
        return route
    hosts = [host for host in route["spec"]["hosts"] if host not in new]
    return {**route, "spec": {**route["spec"], "hosts": hosts}} if hosts else None


def founded(manifest: Manifest, problems: Mapping[Ref, Problem]) -> bool:
    """Whether an object may be written: not the Deployment whose pods would wait for a template that could not be written.

    Args:
        manifest: Any object of a model.
        problems: What kept other objects of the model from being written in the same pass.
    """
    if manifest["kind"] != "Deployment":
        return True
    missing = {ref.name for ref in problems if ref.kind == dra.KIND}
    return not missing & claim_template.names(manifest["spec"]["template"])


def deletable(
    leftovers: Sequence[Manifest], planned: Iterable[Manifest], problems: Iterable[Problem]
) -> list[Manifest]:
    """Those of the leftovers that may go: the route of another API stays while that of this one cannot be written.

    Nothing goes where a right is missing, as it is not known what else is.

    Args:
        leftovers: Live objects that the plan does not want.
        planned: Objects that it wants.
        problems: What kept some of these from being written.
    """
    told = list(problems)
    if any(problem.reason is Reason.FORBIDDEN for problem in told):
        return []
    kinds = set(live_route.ROUTES.values())
    used = kinds & {manifest["kind"] for manifest in planned}
    stay = kinds - used if used and any(problem.about in routing.OBJECTS for problem in told) else set()
    return [obj for obj in leftovers if obj["kind"] not in stay]


def _services(route: Manifest) -> set[str]:
    """Names of the Services whose requests a route takes, and of those to which it leads them."""
    spec = route.get("spec") or {}
    inside = spec.get("hosts") or () if istio.MESH in (spec.get("gateways") or ()) else ()
    taken = {host.partition(".")[0] for host in inside}
    taken |= {ref["name"] for ref in spec.get("parentRefs") or () if ref.get("kind") == "Service"}
    return taken | set(live_route.leads_to(spec))
