"""The Deployment of a version, and the ConfigMap that its pods mount."""

from __future__ import annotations

from pantala import naming
from pantala.api import durations
from pantala.api.model import InferenceModel
from pantala.api.resolve import ResolvedVersion
from pantala.manifest.types import Manifest
from pantala.planner.observed import REPLICAS_OWNERS, wanted_replicas
from pantala.planner.render import Rendering


def deployment(
    model: InferenceModel, version: ResolvedVersion, rendering: Rendering, replicas: int | None, owner: Manifest
) -> Manifest:
    """The Deployment of a version; without `replicas` where an autoscaler decides about them."""
    name, namespace = naming.child_name(model.metadata.name, version.name), model.metadata.namespace
    spec: Manifest = {
        "selector": {"matchLabels": naming.selector(version.name, model.metadata.name)},
        "strategy": {"type": "RollingUpdate", "rollingUpdate": _strategy(version)},
        # Deployment and startup probe give up together; the API server wants it above minReadySeconds (0).
        "progressDeadlineSeconds": max(1, int(durations.parse(version.runtime.startup_timeout).total_seconds())),
        "revisionHistoryLimit": 2,
        "template": rendering.template,
    }
    if replicas is not None:
        spec["replicas"] = replicas
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": naming.labels(model.metadata.name, version.name),
            "annotations": {naming.ANNOTATION_RENDERED_WITH: rendering.record},
            "ownerReferences": [owner],
        },
        "spec": spec,
    }


def config_map(
    model: InferenceModel, version: ResolvedVersion, rendering: Rendering, owner: Manifest
) -> Manifest | None:
    """The files of the version's model server; None if it needs none."""
    if not rendering.files:
        return None
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": naming.child_name(model.metadata.name, version.name),
            "namespace": model.metadata.namespace,
            "labels": naming.labels(model.metadata.name, version.name),
            "ownerReferences": [owner],
        },
        "data": dict(rendering.files),
    }


def _strategy(version: ResolvedVersion) -> Manifest:
    """One pod more and none fewer; several replicas on cards the other way round, since a spare card is rare."""
    if version.update is not None:
        return {"maxSurge": version.update.max_surge, "maxUnavailable": version.update.max_unavailable}
    scarce = version.accelerator is not None and version.scaling.min_replicas > 1
    return {"maxSurge": 0, "maxUnavailable": 1} if scarce else {"maxSurge": 1, "maxUnavailable": 0}


def replicas(
    version: ResolvedVersion, *, parked: bool, autoscaled: bool, busy: bool, live: Manifest | None, floor: int
) -> int | None:
    """How many replicas to ask for, or None to leave that to the autoscaler.

    While nobody else has set the number, it stays in our apply at its live value: dropping it would make Kubernetes fall
    back to 1.

    Args:
        version: The version.
        parked: Whether it is to have none.
        autoscaled: Whether an autoscaler is to decide.
        busy: Whether one that shall go may still be at work: then the number is not touched.
        live: The Deployment, if there is one.
        floor: The number of replicas of the version that this one is to replace.
    """
    least = version.scaling.min_replicas
    start = max(least, min(version.scaling.max_replicas or least, floor)) if autoscaled else least
    if live is None:
        return 0 if parked else start
    if not busy and (parked or not autoscaled):
        return 0 if parked else least
    current = wanted_replicas(live)
    if current == 0 and not parked:
        return start  # An autoscaler does nothing at zero.
    if current < least and not parked and not busy:
        return least  # Nobody need be there to keep this promise: KEDA may be missing.
    others = set(live["metadata"].get(REPLICAS_OWNERS, ())) - {naming.FIELD_MANAGER}
    return None if others else current
