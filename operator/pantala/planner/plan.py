"""What to do about one model: a value that a test compares and `cluster` carries out.

Which version answers is read off the cluster, never remembered: the model's Service selects it, and the live route gives the
shares. A version that left the spec stays, frozen, for as long as either of them leads to it; they move when the target is
rolled out, and only then is the old version parked or removed. A crash between any two writes leaves a state that the same
rules continue.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from pantala import naming
from pantala.api import resolve
from pantala.api.model import InferenceModel
from pantala.api.resolve import ResolvedVersion
from pantala.autoscaling import budget, hpa
from pantala.autoscaling.signals import Signal
from pantala.manifest.settings import AcceleratorSettings, AutoscalingSettings, Settings
from pantala.manifest.types import Invalid, Manifest, Ref
from pantala.planner import (
    claim_template,
    deployment,
    engines,
    keeping,
    live_route,
    monitoring,
    placement,
    protection,
    readings,
    render,
    routing,
    scaling,
)
from pantala.planner.cards import Cards
from pantala.planner.observed import Observed
from pantala.planner.routing import Routing
from pantala.status.problem import Problem
from pantala.traffic import service


@dataclass(frozen=True)
class Plan:
    """What to write, and what the status needs to know about the decision."""

    apply: tuple[Manifest, ...] = ()
    """Children as they shall be, without the annotation of their digest."""
    delete: tuple[Manifest, ...] = ()
    """Live children that shall go."""
    target: str = ""
    """The version that is to get all traffic."""
    serving: str = ""
    """The version that the model's Service selects after this plan."""
    frozen: tuple[str, ...] = ()
    """Versions that left the spec and still answer, or are kept for a moment."""
    routing: Routing = field(default_factory=Routing)
    """The way of requests."""
    asked: frozenset[str] = frozenset()
    """Versions that the spec asks for: a share, copies, a rule."""
    wait: float | None = None
    """Seconds after which to plan again though nothing happens."""
    invalid: Mapping[str, Invalid] = field(default_factory=dict)
    """Versions that cannot have a pod, with the reason."""
    images: Mapping[str, str] = field(default_factory=dict)
    """Image of the model server by version."""
    cards: Mapping[str, Cards] = field(default_factory=dict)
    """What the pods of a version ask of the provider of their cards, by version; those that ask for none are not in it."""
    signals: Mapping[str, tuple[Signal, ...]] = field(default_factory=dict)
    """What is measured of each version of the spec that has an autoscaler, in the order of its metrics."""
    engines: Mapping[str, str] = field(default_factory=dict)
    """Who decides about the replicas of these versions now, `HPA` or `KEDA`: what stands, else what is to come."""
    held: Mapping[str, Problem] = field(default_factory=dict)
    """Why the autoscaler of a version is not as the spec asks, or still there though the version shall have none."""
    accelerators: AcceleratorSettings = field(default_factory=AcceleratorSettings)
    """How this installation hands out cards."""
    autoscaling: AutoscalingSettings = field(default_factory=AutoscalingSettings)
    """Where autoscalers find measures in this installation."""
    paused: bool = False


def plan(model: InferenceModel, seen: Observed, settings: Settings, now: datetime) -> Plan:
    """Everything that one model needs, from what is known about it. Pure."""
    target = resolve.target(model)
    names = tuple(version.name for version in model.spec.versions)
    known = {*names, *seen.versions()}
    stable = seen.stable if seen.stable in known else None
    made = routing.routing(model, seen, settings, now)
    if model.spec.paused:
        paused = replace(_paused(model, seen), autoscaling=settings.autoscaling)
        return replace(paused, target=target, serving=stable or target, routing=made)
    serving = made.serving
    # The live selector and the live route count as well: nothing is parked in the pass that moves requests away from it.
    active = known & {target, serving, stable, *resolve.asked(model), *made.users}
    kept = keeping.kept(model, seen, known - active, now)
    active |= kept.names
    floor = _replicas(seen.deployment(stable)) if stable is not None and stable != target else 0
    versions = _versions(model, seen, settings, now, active=active, floor=floor)
    apply, invalid, rendered, scaled = versions.apply, versions.invalid, versions.rendered, versions.scaled
    if serving in names and serving not in invalid:
        apply += _model(model, resolve.resolve(model, serving), seen)
    owner = owner_reference(model)
    routes = routing.objects(model, seen, settings, made, owner)
    frozen = tuple(name for name in sorted(active) if name not in names and name in seen.versions())
    monitor = monitoring.monitor(model, seen, apply, (*rendered, *invalid, *frozen), settings.service_monitor, owner)
    apply += [monitor] if monitor is not None else []
    looks = (made.wait, kept.wait, placement.next_look(seen.pods, now), *(it.wait for it in scaled.values()))
    waits = [wait for wait in looks if wait is not None]
    return Plan(
        apply=(*apply, *routes),
        delete=_leftovers(seen, [*apply, *routes], frozen, versions, held=made.held),
        target=target,
        serving=serving,
        frozen=frozen,
        invalid=invalid,
        images={name: it.images.server for name, it in rendered.items()},
        cards={name: it.cards for name, it in rendered.items() if it.cards is not None},
        signals={name: it.signals for name, it in scaled.items() if it.engine is not None},
        engines={name: it.engine for name, it in scaled.items() if it.engine is not None},
        held={name: it.held for name, it in scaled.items() if it.held is not None},
        routing=made,
        asked=resolve.asked(model),
        wait=min(waits, default=None),
        accelerators=settings.accelerators,
        autoscaling=settings.autoscaling,
    )


@dataclass(frozen=True)
class _Versions:
    """What becomes of the versions of the spec."""

    apply: list[Manifest] = field(default_factory=list)
    """Their objects."""
    invalid: dict[str, Invalid] = field(default_factory=dict)
    """Those that cannot have any."""
    rendered: dict[str, render.Rendering] = field(default_factory=dict)
    """What the others are made of."""
    scaled: dict[str, engines.Decision] = field(default_factory=dict)
    """What becomes of their autoscalers."""


def _paused(model: InferenceModel, seen: Observed) -> Plan:
    """Nothing is written; the autoscalers that stand go on, with what they measure: the spec may ask for other measures now."""
    told = {it["name"]: it for it in (seen.model.get("status") or {}).get("versions") or ()}
    found = {}
    for item in model.spec.versions:
        version = resolve.resolve(model, item.name)
        standing = engines.standing(seen, naming.child_name(seen.name, item.name))
        engine = standing.engine
        if engine is not None and hpa.wanted(version.scaling):
            provider = (told.get(item.name, {}).get("accelerator") or {}).get("provider")
            live = standing.of_keda if engine == engines.KEDA else standing.hpa
            found[item.name] = (engine, readings.common(scaling.of(version, provider), live, standing.scaled_object))
    return Plan(
        paused=True,
        asked=resolve.asked(model),
        engines={name: engine for name, (engine, _) in found.items()},
        signals={name: measured for name, (_, measured) in found.items()},
    )


def _versions(
    model: InferenceModel, seen: Observed, settings: Settings, now: datetime, *, active: Collection[str], floor: int
) -> _Versions:
    """What becomes of all versions of the spec."""
    made = _Versions()
    for item in model.spec.versions:
        version = resolve.resolve(model, item.name)
        live = seen.deployment(item.name)
        waking = item.name in active and _replicas(live) == 0 and not seen.pods_of(item.name)
        rendering = render.render(model, version, settings, live, status=seen.model.get("status") or {}, waking=waking)
        if isinstance(rendering, Invalid):
            made.invalid[item.name] = rendering
            continue
        refusal = claim_template.refusal(seen, rendering.cards)
        if refusal is not None:
            made.invalid[item.name] = refusal
            continue
        made.rendered[item.name] = rendering
        parked = item.name not in active
        measured = scaling.of(version, rendering.cards.provider if rendering.cards else None)
        owner = (owner_reference(model),)
        scaled = engines.decide(version, seen, settings, now, signals=measured, owner=owner, parked=parked)
        made.scaled[item.name] = scaled
        made.apply.extend(_version(model, version, rendering, seen, scaled, parked=parked, floor=floor))
    return made


def owner_reference(model: InferenceModel) -> Manifest:
    """The controller reference that every child carries: deleting the model deletes them."""
    return {
        "apiVersion": naming.API_VERSION,
        "kind": naming.KIND,
        "name": model.metadata.name,
        "uid": model.metadata.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }


def _version(
    model: InferenceModel,
    version: ResolvedVersion,
    rendering: render.Rendering,
    seen: Observed,
    scaled: engines.Decision,
    *,
    parked: bool,
    floor: int,
) -> list[Manifest]:
    owner = owner_reference(model)
    name, namespace = naming.child_name(model.metadata.name, version.name), model.metadata.namespace
    labels = naming.labels(model.metadata.name, version.name)
    selector = naming.selector(version.name, model.metadata.name)
    count = deployment.replicas(
        version,
        parked=parked,
        autoscaled=hpa.wanted(version.scaling),
        busy=scaled.busy,
        live=seen.deployment(version.name),
        floor=floor,
    )
    server = render.server_parts(version)
    disruption = budget.disruption_budget(name, namespace, labels, (owner,), selector, version.scaling)
    built = (
        deployment.config_map(model, version, rendering, owner),
        claim_template.manifest(model, version, rendering.cards, owner),
        service.version_service(name, namespace, labels, (owner,), selector, server),
        deployment.deployment(model, version, rendering, count, owner),
        None if parked else disruption,
        scaled.autoscaler,
    )
    return [manifest for manifest in built if manifest is not None]


def _model(model: InferenceModel, serving: ResolvedVersion, seen: Observed) -> list[Manifest]:
    """The Services that clients use, which all select exactly one version.

    None is opened to the outside before what the user wants to be protected is; one that is open stays, with its address.
    """
    owner = (owner_reference(model),)
    name, namespace = model.metadata.name, model.metadata.namespace
    labels, selector = naming.labels(name), naming.selector(serving.name, name)
    server, expose = render.server_parts(serving), model.spec.expose
    built = [service.model_service(name, namespace, labels, owner, selector, server)]
    outside = []
    if expose is not None and expose.node_port is not None:
        port = naming.node_port_name(name)
        outside.append(service.node_port_service(port, namespace, labels, owner, selector, server, expose.node_port))
    if expose is not None and expose.load_balancer is not None:
        balancer = naming.load_balancer_name(name)
        outside.append(
            service.load_balancer_service(balancer, namespace, labels, owner, selector, server, expose.load_balancer)
        )
    safe = protection.enforced(model.spec.traffic, seen)
    return built + [it for it in outside if safe or seen.child("Service", it["metadata"]["name"]) is not None]


def _replicas(live: Manifest | None) -> int:
    return int(live["spec"].get("replicas", 1)) if live is not None else 0


def _leftovers(
    seen: Observed,
    apply: list[Manifest],
    frozen: tuple[str, ...],
    versions: _Versions,
    *,
    held: bool,
) -> tuple[Manifest, ...]:
    """Own children that the plan does not want, but for those of frozen and invalid versions, and for a route that is held."""
    wanted = {Ref.of(manifest) for manifest in apply}.union(*(it.kept for it in versions.scaled.values()))
    keep = {*frozen, *versions.invalid}
    # The model's own Services stay where nothing is known any more of the version that they select.
    keeps_services = Ref("Service", seen.namespace, seen.name) not in wanted
    # And so does the route, unless there is a new one: what another API has left would lead to versions without pods.
    keeps_route = held or (keeps_services and not any(ref.kind in live_route.ROUTES.values() for ref in wanted))
    found = []
    for ref, obj in sorted(seen.children.items()):
        if ref in wanted or not seen.owns(obj) or "deletionTimestamp" in obj["metadata"]:
            continue
        version = obj["metadata"].get("labels", {}).get(naming.LABEL_VERSION)
        if ref.kind in routing.OBJECTS:
            if keeps_route:
                continue
        elif (
            version in keep
            or (version is None and keeps_services)
            or claim_template.in_use(obj, seen, versions.rendered)
        ):
            continue
        found.append(obj)
    return tuple(found)
