"""The HorizontalPodAutoscaler of a version."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal

from pantala.api.scaling import Scaling
from pantala.autoscaling.signals import Signal, Source
from pantala.manifest.types import Manifest

CONTAINER = "server"
"""Name of the model server's container."""


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
) -> Manifest | None:
    """The autoscaler of the Deployment of the same name, or None for a fixed number of replicas.

    Args:
        name: Name of the autoscaler, of the Deployment that it scales, and of the Service of its pods.
        namespace: Namespace of all three.
        labels: Labels of the autoscaler.
        owner: Its owner references.
        scaling: Bounds.
        signals: What is measured; none is a `Source.QUERY`, which no HPA can read.
    """
    if not wanted(scaling):
        return None
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": name, "namespace": namespace, "labels": dict(labels), "ownerReferences": list(owner)},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
            "minReplicas": scaling.min_replicas,
            "maxReplicas": scaling.max_replicas,
            "metrics": [_metric(signal, name) for signal in signals],
        },
    }


def quantity(value: Decimal) -> str:
    """A number as Kubernetes writes it: `70`, or in thousandths `700m`, rounded up where it has more digits."""
    thousandths = -(-(value * 1000) // 1)
    return f"{int(thousandths) // 1000}" if thousandths % 1000 == 0 else f"{int(thousandths)}m"


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
