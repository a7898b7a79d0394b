"""What is measured of a version so that an autoscaler can decide about its replicas. Pure."""

from __future__ import annotations

from decimal import Decimal

from pantala.accelerators.base import NoUtilization, Utilization
from pantala.accelerators.registry import PROVIDERS
from pantala.api.resolve import ResolvedVersion
from pantala.api.scaling import Metric
from pantala.autoscaling import signals
from pantala.autoscaling.signals import Signal, Source

_PODS = {
    "GPUMemory": (signals.GPU_MEMORY, True),
    "QueueLength": (signals.QUEUE_LENGTH, False),
    "QueueTime": (signals.QUEUE_TIME, True),
}
"""Series of a metric that is read of pods, and whether it is a mean."""
_RESOURCES = {"CPUUtilization": "cpu", "MemoryUtilization": "memory"}
_WHOLE = 100


def of(version: ResolvedVersion, provider: str | None) -> tuple[Signal, ...]:
    """The measures of a version, in the order of the spec.

    Args:
        version: The version.
        provider: Who hands out its cards; None if it asks for none.
    """
    scaling = version.scaling
    measured = [_signal(version, metric, provider) for metric in scaling.metrics or ()]
    queries = [
        Signal(it.name, Source.QUERY, it.query, Decimal(it.target), per_replica=it.metric_type == "Value")
        for it in scaling.prometheus or ()
    ]
    return (*measured, *queries)


def utilization(version: ResolvedVersion, provider: str | None) -> Utilization | NoUtilization | None:
    """How busy the cards of a replica are, as the exporter says it, or why nobody does; None without cards."""
    known = PROVIDERS.get(provider or "")
    if version.accelerator is None or known is None:
        return None
    return known.utilization(version.accelerator.model_copy(update={"provider": provider}))


def _signal(version: ResolvedVersion, metric: Metric, provider: str | None) -> Signal:
    target = Decimal(metric.target)
    if metric.type in _RESOURCES:
        return Signal(metric.type, Source.RESOURCE, _RESOURCES[metric.type], target)
    if metric.type == "GPUUtilization":
        found = utilization(version, provider)
        granted = found.granted if isinstance(found, Utilization) else _WHOLE
        # The series is percent of the card, the user's target percent of what is granted of it.
        scale = Decimal(_WHOLE) / granted
        return Signal(metric.type, Source.PODS, signals.GPU_UTILIZATION, target * granted / _WHOLE, scale)
    if metric.type == "RequestsPerSecond":
        if version.runtime.name == "custom":
            return Signal(metric.type, Source.SERVICE, signals.SERVICE_REQUESTS, target, per_replica=False)
        return Signal(metric.type, Source.PODS, signals.REQUESTS, target, per_replica=False)
    series, mean = _PODS[metric.type]
    return Signal(metric.type, Source.PODS, series, target, per_replica=mean)
