"""What to do about one model: a value that a test compares and `cluster` carries out.

Which version answers is read off the cluster, never remembered: the model's Service selects it. A version that left the
spec stays, frozen, for as long as that Service selects it; the Service moves when the target is rolled out, and only
then is the old version parked or removed. A crash between any two writes leaves a state that the same rules continue.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pantala import naming
from pantala.api import resolve
from pantala.api.model import InferenceModel
from pantala.api.resolve import ResolvedVersion
from pantala.autoscaling import budget, hpa
from pantala.manifest.settings import Settings
from pantala.manifest.types import Manifest, Ref
from pantala.planner import deployment, render
from pantala.planner.observed import Observed, rolled_out
from pantala.storage.base import Invalid
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
    frozen: str | None = None
    """A version that left the spec and still answers."""
    invalid: Mapping[str, Invalid] = field(default_factory=dict)
    """Versions that cannot have a pod, with the reason."""
    images: Mapping[str, str] = field(default_factory=dict)
    """Image of the model server by version."""
    paused: bool = False


def plan(model: InferenceModel, seen: Observed, settings: Settings) -> Plan:
    """Everything that one model needs, from what is known about it. Pure."""
    target = resolve.target(model)
    names = tuple(version.name for version in model.spec.versions)
    stable = seen.stable if seen.stable in {*names, *seen.versions()} else None
    serving = target if stable is None or stable == target or rolled_out(seen.deployment(target)) else stable
    if model.spec.paused:
        return Plan(target=target, serving=stable or target, paused=True)
    apply: list[Manifest] = []
    invalid: dict[str, Invalid] = {}
    images: dict[str, str] = {}
    # The live selector counts as well: nothing is parked in the pass that moves the traffic away from it.
    active = {target, serving, stable}
    floor = _replicas(seen.deployment(stable)) if stable is not None and stable != target else 0
    for name in names:
        version = resolve.resolve(model, name)
        live = seen.deployment(name)
        waking = name in active and _replicas(live) == 0 and not seen.pods_of(name)
        rendering = render.render(model, version, settings, live, status=seen.model.get("status") or {}, waking=waking)
        if isinstance(rendering, Invalid):
            invalid[name] = rendering
            continue
        images[name] = rendering.images.server
        apply += _version(model, version, rendering, seen, parked=name not in active, floor=floor)
    if serving in names and serving not in invalid:
        apply += _model(model, resolve.resolve(model, serving))
    frozen = stable if stable is not None and stable not in names and stable in {serving, seen.stable} else None
    return Plan(
        apply=tuple(apply),
        delete=_leftovers(seen, apply, frozen, invalid),
        target=target,
        serving=serving,
        frozen=frozen,
        invalid=invalid,
        images=images,
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


def _version(
    model: InferenceModel,
    version: ResolvedVersion,
    rendering: render.Rendering,
    seen: Observed,
    *,
    parked: bool,
    floor: int,
) -> list[Manifest]:
    owner = owner_reference(model)
    name, namespace = naming.child_name(model.metadata.name, version.name), model.metadata.namespace
    labels = naming.labels(model.metadata.name, version.name)
    selector = naming.selector(version.name, model.metadata.name)
    autoscaler = None
    disruption = None
    if not parked:
        autoscaler = hpa.horizontal_pod_autoscaler(name, namespace, labels, (owner,), version.scaling)
        disruption = budget.disruption_budget(name, namespace, labels, (owner,), selector, version.scaling)
    count = deployment.replicas(
        version, parked=parked, autoscaled=autoscaler is not None, live=seen.deployment(version.name), floor=floor
    )
    server = render.server_parts(version)
    built = (
        deployment.config_map(model, version, rendering, owner),
        service.version_service(name, namespace, labels, (owner,), selector, server),
        deployment.deployment(model, version, rendering, count, owner),
        disruption,
        autoscaler,
    )
    return [manifest for manifest in built if manifest is not None]


def _model(model: InferenceModel, serving: ResolvedVersion) -> list[Manifest]:
    """The Services that clients use; both select exactly one version."""
    owner = (owner_reference(model),)
    name, namespace = model.metadata.name, model.metadata.namespace
    labels, selector = naming.labels(name), naming.selector(serving.name, name)
    server = render.server_parts(serving)
    built = [service.model_service(name, namespace, labels, owner, selector, server)]
    if model.spec.expose is not None and model.spec.expose.node_port is not None:
        outside, ports = naming.node_port_name(name), model.spec.expose.node_port
        built.append(service.node_port_service(outside, namespace, labels, owner, selector, server, ports))
    return built


def _replicas(live: Manifest | None) -> int:
    return int(live["spec"].get("replicas", 1)) if live is not None else 0


def _leftovers(
    seen: Observed, apply: list[Manifest], frozen: str | None, invalid: Mapping[str, Invalid]
) -> tuple[Manifest, ...]:
    """Own children that the plan does not want, but for those of a frozen or an invalid version."""
    wanted = {Ref.of(manifest) for manifest in apply}
    keep = {frozen, *invalid} - {None}
    keeps_services = frozen is not None or not any(ref.name == seen.name for ref in wanted)
    found = []
    for ref, obj in sorted(seen.children.items()):
        if ref in wanted or not seen.owns(obj) or "deletionTimestamp" in obj["metadata"]:
            continue
        version = obj["metadata"].get("labels", {}).get(naming.LABEL_VERSION)
        # The model's own Services stay where nothing is known any more of the version that they select.
        if version in keep or (version is None and keeps_services):
            continue
        found.append(obj)
    return tuple(found)
