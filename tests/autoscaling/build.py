"""Autoscalers of all kinds of measures: for golden files, and for the API server that is to accept them."""

from decimal import Decimal
from typing import Any

from pantala import naming
from pantala.api.scaling import Scaling
from pantala.autoscaling import hpa, keda, signals
from pantala.autoscaling.signals import Signal, Source
from pantala.manifest.types import Manifest
from tests.runtimes.build import OWNER

NAME, NAMESPACE = "resnet-v1", "vision"
LABELS = naming.labels("resnet", "v1")
START = 120

SIGNALS = {
    "cpu": Signal("CPUUtilization", Source.RESOURCE, "cpu", Decimal(70)),
    "memory": Signal("MemoryUtilization", Source.RESOURCE, "memory", Decimal(80)),
    "gpu": Signal("GPUUtilization", Source.PODS, signals.GPU_UTILIZATION, Decimal(70)),
    "gpu-share": Signal("GPUUtilization", Source.PODS, signals.GPU_UTILIZATION, Decimal("17.5"), scale=Decimal(4)),
    "requests": Signal("RequestsPerSecond", Source.PODS, signals.REQUESTS, Decimal(20), per_replica=False),
    "queue-time": Signal("QueueTime", Source.PODS, signals.QUEUE_TIME, Decimal(50)),
    "service": Signal("RequestsPerSecond", Source.SERVICE, signals.SERVICE_REQUESTS, Decimal(20), per_replica=False),
    "total": Signal("tokens", Source.QUERY, "sum(rate(tokens_total[1m]))", Decimal("0.5"), per_replica=False),
    "value": Signal("latency", Source.QUERY, "max(latency_seconds)", Decimal("1.250")),
}
"""One of each way in which a measure is read."""
CASES = {name: (name,) for name in SIGNALS} | {"all": ("gpu", "service", "cpu", "memory", "queue-time")}
"""Names of the measures of each golden autoscaler."""
BEHAVIOR = {
    "scaleUp": {"policies": [{"type": "Pods", "value": 2, "periodSeconds": 60}], "selectPolicy": "Min"},
    "scaleDown": {"stabilizationWindowSeconds": 120},
}


def scaling(**block: Any) -> Scaling:
    """The block as a resource has it."""
    return Scaling.model_validate(block)


def measured(case: str) -> tuple[Signal, ...]:
    """The measures of a case."""
    return tuple(SIGNALS[name] for name in CASES[case])


def made_hpa(case: str) -> Manifest:
    """The HPA of a case; it can read all of its measures."""
    return hpa.horizontal_pod_autoscaler(
        NAME, NAMESPACE, LABELS, OWNER, scaling(minReplicas=2, maxReplicas=8), measured(case), START
    )


def made_scaled_object(case: str, authentication: tuple[str, str] | None = None) -> Manifest:
    """The ScaledObject of a case."""
    where = keda.Prometheus("http://prometheus.monitoring:9090/", authentication)
    bounds = scaling(minReplicas=2, maxReplicas=8, behavior=BEHAVIOR)
    return keda.scaled_object(NAME, NAMESPACE, LABELS, OWNER, bounds, measured(case), START, where)


FOR_HPA = [case for case in CASES if hpa.readable(measured(case))]
"""Cases that an HPA can read."""
