"""The HorizontalPodAutoscaler of a version."""

from collections.abc import Mapping

from pantala.api.spec import Metric, Scaling
from pantala.manifest.types import Manifest


def wanted(scaling: Scaling) -> bool:
    """Whether an autoscaler decides the number of replicas; otherwise it is `minReplicas`."""
    return bool(scaling.metrics) and (scaling.max_replicas or 0) > scaling.min_replicas


def horizontal_pod_autoscaler(
    name: str, namespace: str, labels: Mapping[str, str], owner: tuple[Manifest, ...], scaling: Scaling
) -> Manifest | None:
    """The autoscaler of the Deployment of the same name, or None for a fixed number of replicas.

    Args:
        name: Name of the autoscaler and of the Deployment that it scales.
        namespace: Namespace of both.
        labels: Labels of the autoscaler.
        owner: Its owner references.
        scaling: Bounds and measures.
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
            "metrics": [_metric(metric) for metric in scaling.metrics or ()],
        },
    }


def _metric(metric: Metric) -> Manifest:
    match metric.type:
        case "CPUUtilization":
            # Of the server's container alone: a sidecar, which a mesh may inject, says nothing about the model's load,
            # and one without a CPU request would make a Resource metric fail for the whole pod.
            source = {"name": "cpu", "container": "server"}
            target = {"type": "Utilization", "averageUtilization": metric.target}
            return {"type": "ContainerResource", "containerResource": source | {"target": target}}
