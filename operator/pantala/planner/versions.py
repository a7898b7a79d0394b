"""What becomes of each version of the spec: its objects, or why it cannot have any."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime

from pantala import naming
from pantala.api import resolve
from pantala.api.model import InferenceModel
from pantala.api.resolve import ResolvedVersion
from pantala.autoscaling import budget, hpa
from pantala.manifest.settings import Settings
from pantala.manifest.types import Invalid, Manifest
from pantala.planner import claim_template, deployment, engines, render, scaling
from pantala.planner.observed import Observed, wanted_replicas
from pantala.traffic import service


@dataclass(frozen=True)
class Versions:
    """What becomes of the versions of the spec."""

    apply: list[Manifest] = field(default_factory=list)
    """Their objects."""
    invalid: dict[str, Invalid] = field(default_factory=dict)
    """Those that cannot have any."""
    rendered: dict[str, render.Rendering] = field(default_factory=dict)
    """What the others are made of."""
    scaled: dict[str, engines.Decision] = field(default_factory=dict)
    """What becomes of their autoscalers."""


def versions(
    model: InferenceModel,
    seen: Observed,
    settings: Settings,
    now: datetime,
    *,
    owner: Manifest,
    active: Collection[str],
    floor: int,
) -> Versions:
    """What becomes of all versions of the spec. Pure.

    Args:
        model: The resource.
        seen: What the cluster holds.
        settings: Of the installation.
        now: The time.
        owner: The reference that every object carries.
        active: Versions that have pods; the others are parked.
        floor: Replicas of the version that answers now: one that takes over begins with no fewer.
    """
    made = Versions()
    for item in model.spec.versions:
        version = resolve.resolve(model, item.name)
        live = seen.deployment(item.name)
        waking = item.name in active and not wanted_replicas(live) and not seen.pods_of(item.name)
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
        scaled = engines.decide(version, seen, settings, now, signals=measured, owner=(owner,), parked=parked)
        made.scaled[item.name] = scaled
        made.apply.extend(_objects(model, version, rendering, seen, scaled, owner=owner, parked=parked, floor=floor))
    return made


def _objects(
    model: InferenceModel,
    version: ResolvedVersion,
    rendering: render.Rendering,
    seen: Observed,
    scaled: engines.Decision,
    *,
    owner: Manifest,
    parked: bool,
    floor: int,
) -> list[Manifest]:
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
