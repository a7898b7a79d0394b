"""The way of requests to a model: what is asked for, what versions are ready for, and the objects that make it true. Pure.

What the live route gives is read off the cluster and never remembered, so a crash between any two writes leaves a state
that the same rules continue.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from pantala import naming
from pantala.api import resolve
from pantala.api.model import InferenceModel
from pantala.api.traffic import Traffic
from pantala.manifest.settings import Settings
from pantala.manifest.types import Manifest
from pantala.planner import hosts as claims
from pantala.planner import live_route, protection, render, route_problems
from pantala.planner import shares as sharing
from pantala.planner.hosts import Exposure
from pantala.planner.live_route import Live
from pantala.planner.observed import Mesh, Observed
from pantala.planner.shares import Standing
from pantala.status.problem import Problem
from pantala.status.reasons import Reason
from pantala.traffic import gateway_api, istio, policies, service
from pantala.traffic.route import Backend, Route, Split

OBJECTS = frozenset(
    {"VirtualService", "HTTPRoute", "DestinationRule", "EnvoyFilter", "AuthorizationPolicy", "RequestAuthentication"}
)
"""Kinds of the objects that make up a route."""
_HOLDING = frozenset({Reason.NOT_SUPPORTED})


@dataclass(frozen=True)
class Routing:
    """The route of a model as it is to be."""

    mesh: Mesh = Mesh.NONE
    asked: Mapping[str, int] = field(default_factory=dict)
    """Percent by version, as the spec asks for it."""
    shares: Mapping[str, int] = field(default_factory=dict)
    """Percent by version, as far as they are ready."""
    mirrors: Mapping[str, int] = field(default_factory=dict)
    """Percent of requests that are copied, by the version that gets the copies, as far as they are ready."""
    rules: frozenset[str] = frozenset()
    """Versions to which rules send requests, as far as they are ready."""
    live: Live = field(default_factory=Live)
    """What the route gave before this plan."""
    exposure: Exposure = field(default_factory=Exposure)
    problems: tuple[Problem, ...] = ()
    """What keeps requests from going where the spec wants them, gravest first."""
    wait: float | None = None
    """Seconds after which it may be different though nothing happens."""

    @property
    def held(self) -> bool:
        """Whether the live route stays as it is, because the one that is asked for cannot be had."""
        return any(problem.reason in _HOLDING for problem in self.problems)

    @property
    def serving(self) -> str:
        """The version that gets most requests: the one that clients without a mesh reach."""
        return max(self.shares, key=lambda name: self.shares[name])

    @property
    def users(self) -> frozenset[str]:
        """Versions that get requests or copies, now or after this plan."""
        return frozenset({*self.shares, *self.live.ends})


def routing(model: InferenceModel, seen: Observed, settings: Settings, now: datetime) -> Routing:
    """Decide about the route of a model.

    Args:
        model: The resource.
        seen: What the cluster holds.
        settings: The installation's.
        now: The time.
    """
    traffic, live, wanted = model.spec.traffic, live_route.read(seen), resolve.shares(model)
    refused = route_problems.without_mesh(model) if seen.mesh is Mesh.NONE else route_problems.refused(model, seen.mesh)
    # Without shares all requests go to one version: that with the largest.
    asked = wanted if seen.mesh is not Mesh.NONE else {resolve.target(model): 100}
    given = live.shares or ({seen.stable: 100} if seen.stable else {})
    known = standings(seen, {*asked, *given, *resolve.asked(model)})
    decided = sharing.shares(asked, given, known, now, sharing.learning(seen.mesh))
    if seen.mesh is Mesh.NONE or refused:
        return Routing(seen.mesh, wanted, decided.configured, live=live, problems=refused, wait=decided.wait)
    exposure = claims.exposure(model, seen, settings, live.hosts)
    unprotected = protection.problems(traffic, seen, exposing=bool(exposure.hosts), exposed=bool(live.hosts))
    problems = [
        *unprotected,
        *exposure.problems,
        *route_problems.unaccepted(seen, exposure.gateway if exposure.hosts else None),
    ]
    if unprotected:
        exposure = replace(exposure, hosts=())  # what is to be protected is not shown to the world without protection
    extras = resolve.extras(model)
    extra, wait = sharing.lasting(extras, known, now)
    problems += route_problems.unready(asked, decided.configured, extras - extra, known)
    waits = [one for one in (decided.wait, wait) if one is not None]
    return Routing(
        seen.mesh,
        wanted,
        decided.configured,
        {mirror.version: mirror.percent for mirror in (traffic and traffic.mirrors) or () if mirror.version in extra},
        frozenset(rule.version for rule in (traffic and traffic.rules) or () if rule.version in extra),
        live,
        exposure,
        tuple(problems),
        min(waits, default=None),
    )


def objects(
    model: InferenceModel, seen: Observed, settings: Settings, made: Routing, owner: Manifest
) -> list[Manifest]:
    """The objects of the route; none where the live ones stay as they are, or where there is nothing to say."""
    if made.mesh is Mesh.NONE or made.held:
        return []
    traffic = model.spec.traffic or Traffic()
    backends = {name: found for name in _named(model, seen, made) if (found := backend(model, seen, name))}
    split = Split(
        shares=tuple((backends[name], weight) for name, weight in made.shares.items() if name in backends),
        mirrors=tuple((backends[name], percent) for name, percent in made.mirrors.items() if name in backends),
        rules=tuple(
            (rule, backends[rule.version])
            for rule in traffic.rules or ()
            if rule.version in made.rules and rule.version in backends
        ),
    )
    if not split.shares:
        return []
    exposed = bool(made.exposure.hosts)
    route = Route(
        name=model.metadata.name,
        namespace=model.metadata.namespace,
        labels=naming.labels(model.metadata.name),
        owner=(owner,),
        split=split,
        backends=tuple(backends.values()),
        cluster_domain=settings.cluster_domain,
        hosts=made.exposure.hosts,
        gateway=made.exposure.gateway if exposed else None,
        prefix=model.spec.expose.prefix if exposed and model.spec.expose else None,
        traffic=traffic,
        selector=naming.model_selector(model.metadata.name),
    )
    if made.mesh is Mesh.ISTIO:
        return [*policies.objects(route), *istio.objects(route)]
    # Without any of these the model's own Service does the same, and nobody has to accept a route.
    needed = exposed or len(split.shares) > 1 or any(asks(traffic) for _, asks in route_problems.NEED_MESH)
    # While the version that answers has left the spec, that Service stays as it is: the live route has to follow the truth.
    needed = needed or (bool(made.live.ends) and resolve.find(model, made.serving) is None)
    return gateway_api.objects(route) if needed else []


def standings(seen: Observed, names: Iterable[str]) -> dict[str, Standing]:
    """How versions stand that have a Deployment."""
    if seen.assume_ready:
        return dict.fromkeys(names, Standing(ready=True, since=datetime.min.replace(tzinfo=UTC), rolled_out=True))
    found = {}
    for name in names:
        live = seen.deployment(name)
        if live is None:
            continue
        # A stranger may have the name of its Service: no request goes there.
        reachable = seen.child("Service", naming.child_name(seen.name, name)) is not None
        found[name] = sharing.standing(live, seen.pods_of(name) if reachable else ())
    return found


def backend(model: InferenceModel, seen: Observed, version: str) -> Backend | None:
    """The version as the end of a route; None if nothing is known of its ports."""
    name = naming.child_name(model.metadata.name, version)
    live = seen.deployment(version)
    replicas = int(live["spec"].get("replicas", 1)) if live is not None else 1
    if resolve.find(model, version) is not None:
        server = render.server_parts(resolve.resolve(model, version))
        ports = {port.name: port.number for port in service.client_ports(server)}
    else:  # it left the spec: its Service still tells
        known = seen.child("Service", name)
        ports = {port["name"]: port["port"] for port in known["spec"]["ports"]} if known is not None else {}
    if "http" not in ports:
        return None
    return Backend(version, name, ports["http"], ports.get("grpc"), replicas)


def _named(model: InferenceModel, seen: Observed, made: Routing) -> list[str]:
    """Versions that the route may name, each once, those with shares first."""
    known = [name for name in sorted(resolve.extras(model)) if seen.assume_ready or seen.deployment(name) is not None]
    return list(dict.fromkeys([*made.shares, *known]))
