"""What the live route of a model gives: read off the cluster in every pass, never remembered. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pantala import naming
from pantala.manifest.types import Manifest
from pantala.planner.observed import Mesh, Observed
from pantala.traffic import gateway_api, istio

ROUTES = {Mesh.ISTIO: "VirtualService", Mesh.GATEWAY_API: "HTTPRoute"}
"""Kind of the object that holds the shares."""


@dataclass(frozen=True)
class Live:
    """What the live route gives."""

    shares: Mapping[str, int] = field(default_factory=dict)
    """Percent by version; empty: there is no route, or it cannot be told."""
    mirrors: Mapping[str, int] = field(default_factory=dict)
    """Percent of requests that are copied, by the version that gets the copies."""
    hosts: tuple[str, ...] = ()
    """Hosts at gateways."""
    ends: frozenset[str] = frozenset()
    """Versions to which any part of any live route leads: shares, copies or rules, whoever wrote them."""


def read(seen: Observed) -> Live:
    """What the live route gives, as far as it is of the mesh in use; where it leads, of any."""
    services, names = (
        {
            ref.name: label
            for ref, obj in seen.children.items()
            if ref.kind in kinds and seen.owns(obj) and (label := obj["metadata"]["labels"].get(naming.LABEL_VERSION))
        }
        for kinds in ({"Service"}, {"Service", "Deployment"})  # a Service that somebody deleted comes back
    )
    # Of both APIs: what the one not in use has left leads requests for as long as it is there.
    every = (obj for ref, obj in seen.children.items() if ref.kind in ROUTES.values() and seen.owns(obj))
    ends = frozenset(names[end] for obj in every for end in leads_to(obj.get("spec")) if end in names)
    live = routes(seen)
    if not live or live[0]["metadata"]["name"] != seen.name:
        return Live(ends=ends)
    mesh = istio if seen.mesh is Mesh.ISTIO else gateway_api
    hosts = tuple(dict.fromkeys(host for route in live for host in mesh.hosts(route)))
    return Live(mesh.shares(live[0], services) or {}, mesh.mirrors(live[0], services) or {}, hosts, ends)


def leads_to(part: Any) -> Iterator[str]:
    """Names of the Services to which a part of a VirtualService or an HTTPRoute leads requests or copies."""
    if isinstance(part, list):
        for item in part:
            yield from leads_to(item)
    elif isinstance(part, dict):
        for key, value in part.items():
            if key in {"destination", "mirror"} and isinstance(value, dict):
                yield str(value.get("host")).partition(".")[0]
            elif key in {"backendRef", "backendRefs"}:
                refs = value if isinstance(value, list) else [value]
                yield from (str(ref.get("name")) for ref in refs if isinstance(ref, dict))
            else:
                yield from leads_to(value)


def routes(seen: Observed) -> list[Manifest]:
    """The live objects that lead requests, the one with the model's name first."""
    kind = ROUTES.get(seen.mesh)
    found = [obj for ref, obj in sorted(seen.children.items()) if ref.kind == kind and seen.owns(obj)]
    return sorted(found, key=lambda obj: obj["metadata"]["name"] != seen.name)
