"""What to do about one model: a value that a test compares and `cluster` carries out.

Which version answers is read off the cluster, never remembered: the model's Service selects it, and the live route gives the
shares. A version that left the spec stays, frozen, for as long as either of them leads to it; they move when the target is
rolled out, and only then is the old version parked or removed. A crash between any two writes leaves a state that the same
rules continue.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from pantala import naming
from pantala.api import resolve
from pantala.api.model import InferenceModel
from pantala.autoscaling import hpa
from pantala.autoscaling.signals import Signal
from pantala.manifest.settings import AcceleratorSettings, AutoscalingSettings, Settings
from pantala.manifest.types import Invalid, Manifest, Ref
from pantala.planner import (
    claim_template,
    engines,
    keeping,
    live_route,
    monitoring,
    placement,
    readings,
    routing,
    scaling,
)
from pantala.planner.cards import Cards
from pantala.planner.observed import Observed, wanted_replicas
from pantala.planner.routing import Routing
from pantala.planner.services import services
from pantala.planner.versions import Versions, versions
from pantala.status.problem import Problem


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
    owner = owner_reference(model)
    floor = wanted_replicas(seen.deployment(stable)) if stable is not None and stable != target else 0
    made_of = versions(model, seen, settings, now, owner=owner, active=active, floor=floor)
    apply, invalid, rendered, scaled = made_of.apply, made_of.invalid, made_of.rendered, made_of.scaled
    if serving in names and serving not in invalid:
        apply += services(model, resolve.resolve(model, serving), seen, owner)
    routes = routing.objects(model, seen, settings, made, owner)
    frozen = tuple(name for name in sorted(active) if name not in names and name in seen.versions())
    monitor = monitoring.monitor(model, seen, apply, (*rendered, *invalid, *frozen), settings.service_monitor, owner)
    apply += [monitor] if monitor is not None else []
    looks = (made.wait, kept.wait, placement.next_look(seen.pods, now), *(it.wait for it in scaled.values()))
    waits = [wait for wait in looks if wait is not None]
    return Plan(
        apply=(*apply, *routes),
        delete=_leftovers(seen, [*apply, *routes], frozen, made_of, held=made.held),
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


def _leftovers(
    seen: Observed,
    apply: list[Manifest],
    frozen: tuple[str, ...],
    made: Versions,
    *,
    held: bool,
) -> tuple[Manifest, ...]:
    """Own children that the plan does not want, but for those of frozen and invalid versions, and for a route that is held."""
    wanted = {Ref.of(manifest) for manifest in apply}.union(*(it.kept for it in made.scaled.values()))
    keep = {*frozen, *made.invalid}
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
        elif version in keep or (version is None and keeps_services) or claim_template.in_use(obj, seen, made.rendered):
            continue
        found.append(obj)
    return tuple(found)
