"""The HorizontalPodAutoscaler of a version."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import ROUND_CEILING, Decimal

from pantala import naming
from pantala.api.scaling import Scaling
from pantala.autoscaling import behavior
from pantala.autoscaling.signals import Signal, Source
from pantala.manifest.types import Manifest

CONTAINER = "server"
"""Name of the model server's container."""
KEDA_PREFIX = "keda-hpa-"
"""How KEDA calls the HPA of a ScaledObject: this and the name of the ScaledObject."""


def name_of(name: str) -> str:
    """Name of the HPA of the Deployment of this name: the same, but for a name that KEDA might give to an HPA of its own.

    KEDA takes an HPA over that has the name of its own, whosever it is (kedacore/keda v2.21.0, controllers/keda/hpa.go). A
    child never has a dot in its name, and so neither has KEDA's HPA for it.
    """
    return f"{name}.pantala" if name.startswith(KEDA_PREFIX) else name


def wanted(scaling: Scaling) -> bool:
    """Whether an autoscaler decides the number of replicas; otherwise it is `minReplicas`."""
    measured = bool(scaling.metrics or scaling.prometheus)
    return measured and (scaling.max_replicas or 0) > scaling.min_replicas


def horizontal_pod_autoscaler(
    name: str,
    namespace: str,
    labels: Mapping[str, str],
    owner: tuple[Manifest, ...],
    scaling: Scaling,
    signals: Sequence[Signal],
    start: int,
) -> Manifest:
    """The autoscaler of a Deployment.

    Args:
        name: Name of the Deployment that it scales, and of the Service of its pods.
        namespace: Namespace of all three.
        labels: Labels of the autoscaler.
        owner: Its owner references.
        scaling: Bounds and behavior; an autoscaler is `wanted`.
        signals: What is measured; none is a `Source.QUERY`, which no HPA can read.
        start: Seconds that a replica takes to start (`behavior.start_step`).
    """
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {
            "name": name_of(name),
            "namespace": namespace,
            "labels": dict(labels),
            "annotations": {naming.ANNOTATION_START_TIME: str(start)},
            "ownerReferences": list(owner),
        },
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
            "minReplicas": scaling.min_replicas,
            "maxReplicas": scaling.max_replicas,
            "metrics": [_metric(signal, name) for signal in signals],
            "behavior": behavior.behavior(scaling.behavior, start),
        },
    }


def readable(signals: Sequence[Signal]) -> bool:
    """Whether an HPA can read all of the measures."""
    return all(signal.source is not Source.QUERY for signal in signals)


def quantity(value: Decimal) -> str:
    """A number as Kubernetes writes it: `70`, or in thousandths `700m`, rounded up where it has more digits."""
    thousandths = int((value * 1000).to_integral_value(ROUND_CEILING))
    return f"{thousandths}m" if thousandths % 1000 else f"{thousandths // 1000}"


def _metric(signal: Signal, name: str) -> Manifest:
    average = {"type": "AverageValue", "averageValue": quantity(signal.target)}
    match signal.source:
        case Source.RESOURCE:
            # Of the server's container alone: a sidecar, which a mesh may inject, says nothing about the model's load,
            # and one without a CPU request would make a Resource metric fail for the whole pod.
            source = {"name": signal.series, "container": CONTAINER}
            target = {"type": "Utilization", "averageUtilization": int(signal.target)}
            return {"type": "ContainerResource", "containerResource": source | {"target": target}}
        case Source.PODS:
            return {"type": "Pods", "pods": {"metric": {"name": signal.series}, "target": average}}
        case Source.SERVICE:
            service = {"apiVersion": "v1", "kind": "Service", "name": name}
            metric = {"describedObject": service, "metric": {"name": signal.series}, "target": average}
            return {"type": "Object", "object": metric}
        case Source.QUERY:
            raise ValueError(f"{signal.name}: an HPA reads no PromQL")  # admission demands KEDA for these
