"""What is measured of a version so that an autoscaler can decide about its replicas. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from pantala.accelerators.base import NoUtilization, Utilization
from pantala.accelerators.nvidia import SHARED_CARD
from pantala.accelerators.registry import PROVIDERS
from pantala.api.resolve import ResolvedVersion
from pantala.api.scaling import Metric
from pantala.autoscaling import hpa, signals
from pantala.autoscaling.signals import Signal, Source
from pantala.manifest.settings import AutoscalingSettings

_PODS = {
    "GPUMemory": (signals.GPU_MEMORY, True),
    "QueueLength": (signals.QUEUE_LENGTH, False),
    "QueueTime": (signals.QUEUE_TIME, True),
}
"""Series of a metric that is read of pods, and whether it is a mean."""
_OF_CARDS = frozenset({"GPUUtilization", "GPUMemory"})
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


def unmeasured(version: ResolvedVersion, provider: str | None, settings: AutoscalingSettings) -> NoUtilization | None:
    """Why there is no measure of the cards of a version, whatever else is installed; None if there may be one, or no cards."""
    found = utilization(version, provider)
    if not isinstance(found, NoUtilization):
        return None
    return None if settings.shared_per_process and found == SHARED_CARD else found


def warnings(
    version: ResolvedVersion, provider: str | None, settings: AutoscalingSettings
) -> Iterator[tuple[int, str]]:
    """Measures of an autoscaler that never get a value: the place in `scaling.metrics`, and a sentence with the next step.

    Args:
        version: The version.
        provider: Who hands out its cards.
        settings: The installation's: whether its exporter measures each pod of a shared card.
    """
    why = unmeasured(version, provider, settings)
    if why is None or not hpa.wanted(version.scaling):
        return
    for index, metric in enumerate(version.scaling.metrics or ()):
        if metric.type in _OF_CARDS:
            yield index, f"scaling.metrics: {metric.type} has no value with provider {provider}: {why.why}"


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
