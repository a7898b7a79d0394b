"""The way of requests to a model: what is asked for, what versions are ready for, and the objects that make it true. Pure.

What the live route gives is read off the cluster and never remembered, so a crash between any two writes leaves a state
that the same rules continue.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from pantala import naming
from pantala.api import resolve
from pantala.api.model import InferenceModel
from pantala.api.traffic import Traffic
from pantala.manifest.settings import Settings
from pantala.manifest.types import Manifest
from pantala.planner import hosts as claims
from pantala.planner import protection, render
from pantala.planner import shares as sharing
from pantala.planner.hosts import Exposure
from pantala.planner.observed import Mesh, Observed
from pantala.planner.shares import Standing
from pantala.status.problem import Problem
from pantala.status.reasons import Reason
from pantala.traffic import gateway_api, istio, policies, service
from pantala.traffic.route import Backend, Refusal, Route, Split

ROUTES = {Mesh.ISTIO: "VirtualService", Mesh.GATEWAY_API: "HTTPRoute"}
"""Kind of the object that holds the shares."""
OBJECTS = frozenset(
    {"VirtualService", "HTTPRoute", "DestinationRule", "EnvoyFilter", "AuthorizationPolicy", "RequestAuthentication"}
)
"""Kinds of the objects that make up a route."""
_HOLDING = frozenset({Reason.NOT_SUPPORTED})


@dataclass(frozen=True)
class Live:
    """What the live route gives."""

    shares: Mapping[str, int] = field(default_factory=dict)
    """Percent by version; empty: there is no route, or it cannot be told."""
    mirrors: Mapping[str, int] = field(default_factory=dict)
    hosts: tuple[str, ...] = ()
    ends: frozenset[str] = frozenset()
    """Versions to which any part of any live route leads: shares, copies or rules, whoever wrote them."""


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
    traffic, live, wanted = model.spec.traffic, read(seen), resolve.shares(model)
    refused = _without_mesh(model) if seen.mesh is Mesh.NONE else _refused(model, seen.mesh)
    # Without shares all requests go to one version: that with the largest.
    asked = wanted if seen.mesh is not Mesh.NONE else {resolve.target(model): 100}
    given = live.shares or ({seen.stable: 100} if seen.stable else {})
    known = standings(seen, {*asked, *given, *resolve.asked(model)})
    # Without a mesh the Service's selector moves, and the same controller sets the pods in its place.
    decided = sharing.shares(asked, given, known, now, timedelta() if seen.mesh is Mesh.NONE else sharing.LEARN)
    if seen.mesh is Mesh.NONE or refused:
        return Routing(seen.mesh, wanted, decided.configured, live=live, problems=refused, wait=decided.wait)
    exposure = claims.exposure(model, seen, settings, live.hosts)
    unprotected = protection.problems(traffic, seen, exposing=bool(exposure.hosts), exposed=bool(live.hosts))
    problems = [
        *unprotected,
        *exposure.problems,
        *_unaccepted(seen, exposure.gateway if exposure.hosts else None),
    ]
    if unprotected:
        exposure = replace(exposure, hosts=())  # what is to be protected is not shown to the world without protection
    extras = resolve.extras(model)
    extra, wait = sharing.lasting(extras, known, now)
    problems += _unready(asked, decided.configured, extras - extra, known)
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
    needed = exposed or len(split.shares) > 1 or any(asks(traffic) for _, asks in _NEED_MESH)
    # While the version that answers has left the spec, that Service stays as it is: the live route has to follow the truth.
    needed = needed or (bool(made.live.ends) and resolve.find(model, made.serving) is None)
    return gateway_api.objects(route) if needed else []


def read(seen: Observed) -> Live:
    """What the live route gives."""
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
    routes = _routes(seen)
    if not routes or routes[0]["metadata"]["name"] != seen.name:
        return Live(ends=ends)
    mesh = istio if seen.mesh is Mesh.ISTIO else gateway_api
    hosts = tuple(dict.fromkeys(host for route in routes for host in mesh.hosts(route)))
    return Live(mesh.shares(routes[0], services) or {}, mesh.mirrors(routes[0], services) or {}, hosts, ends)


def leads_to(part: Any) -> Iterator[str]:
    """Names of the Services to which a part of a VirtualService or an HTTPRoute leads requests or copies."""
    if isinstance(part, list):
        for item in part:
            yield from leads_to(item)
    elif isinstance(part, dict):
        for key, value in part.items():
            if key == "destination" and isinstance(value, dict):
                yield str(value.get("host")).partition(".")[0]
            elif key in {"backendRef", "backendRefs"}:
                refs = value if isinstance(value, list) else [value]
                yield from (str(ref.get("name")) for ref in refs if isinstance(ref, dict))
            else:
                yield from leads_to(value)


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


_NEED_MESH: tuple[tuple[str, Callable[[Traffic], object]], ...] = (
    ("traffic.split", lambda it: it.split and len([share for share in it.split if share.weight]) > 1),
    ("traffic.mirrors", lambda it: it.mirrors),
    ("traffic.rules", lambda it: it.rules),
    ("traffic.timeout", lambda it: it.timeout),
    ("traffic.retries", lambda it: it.retries),
    ("traffic.rateLimit", lambda it: it.rate_limit),
    ("traffic.access", lambda it: it.access),
    ("traffic.authentication", lambda it: it.authentication),
    ("traffic.cors", lambda it: it.cors),
    ("traffic.headers", lambda it: it.headers),
    ("traffic.limits", lambda it: it.limits),
    ("traffic.outlierDetection", lambda it: it.outlier_detection),
)


def _without_mesh(model: InferenceModel) -> tuple[Problem, ...]:
    """What needs a mesh, where there is none."""
    traffic = model.spec.traffic
    fields = [name for name, asks in _NEED_MESH if traffic is not None and asks(traffic)]
    expose = model.spec.expose
    if claims.wanted(model) and expose is not None:
        fields += ["expose.hosts"] if expose.hosts else ["expose"]
    if not fields:
        return ()
    words = (
        f"{', '.join(fields)}: without effect, because the cluster has neither Istio nor the Gateway API, or the installation "
        "uses none (traffic.mesh of the chart): all requests go to one version, by its Service. Install Istio (with "
        "networking.istio.io/v1) or the Gateway API; it is noticed within seconds."
    )
    return (Problem(Reason.MESH_MISSING, words),)


def _refused(model: InferenceModel, mesh: Mesh) -> tuple[Problem, ...]:
    """What the mesh in use cannot do."""
    traffic = model.spec.traffic or Traffic()
    found: tuple[Refusal, ...]
    if mesh is Mesh.GATEWAY_API:
        found = gateway_api.refusals(traffic, model.spec.expose)
    else:
        found = (*istio.refusals(traffic, model.spec.expose), *policies.refusals(traffic))
    if not found:
        return ()
    words = [f"{refusal.field}: {refusal.message.rstrip('.')}." for refusal in found]
    if mesh is Mesh.GATEWAY_API:
        words.append("Istio can do all of it: install it, and set traffic.mesh of the chart to auto or istio.")
    words.append("A route that is there stays as it is meanwhile.")
    return (Problem(Reason.NOT_SUPPORTED, " ".join(words)),)


def _unaccepted(seen: Observed, gateway: tuple[str, str] | None) -> list[Problem]:
    """What the controller of the gateway says against the live route."""
    if seen.mesh is not Mesh.GATEWAY_API:
        return []
    words = [text for route in _routes(seen) if (text := gateway_api.problem(route, gateway)) is not None]
    said = f"{'; '.join(dict.fromkeys(words))}."
    return [Problem(Reason.ROUTE_NOT_ACCEPTED, said[0].upper() + said[1:])] if words else []


def _routes(seen: Observed) -> list[Manifest]:
    """The live objects that lead requests, the one with the model's name first."""
    kind = ROUTES.get(seen.mesh)
    found = [obj for ref, obj in sorted(seen.children.items()) if ref.kind == kind and seen.owns(obj)]
    return sorted(found, key=lambda obj: obj["metadata"]["name"] != seen.name)


def _unready(
    asked: Mapping[str, int], configured: Mapping[str, int], extras: frozenset[str], known: Mapping[str, Standing]
) -> list[Problem]:
    """Versions that do not get what they are asked to get, or that nobody would answer for."""
    down = [name for name in asked if name not in known or not known[name].ready]
    if dict(asked) == dict(configured) and not extras and not down:
        return []
    names = dict.fromkeys([*(name for name in asked if name not in configured), *down, *sorted(extras)])
    ready = [name for name in names if name in known and known[name].ready]
    words = []
    if rest := [name for name in names if name not in ready]:
        words.append(f"Version {' and '.join(rest)} has no ready replica.")
    if ready:
        words.append(f"Version {' and '.join(ready)} has just become ready and gets requests soon.")
    if any(known[name].ready for name in configured if name in known):
        shown = ", ".join(f"{name} ({weight} %)" for name, weight in configured.items())
        words.append(f"Meanwhile requests go to {shown}.")
    else:
        words.append("No version answers; the shares stay as they are.")
    return [Problem(Reason.VERSION_NOT_READY, " ".join(words))]
