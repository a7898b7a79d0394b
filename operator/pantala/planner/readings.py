"""What an autoscaler last read of each measure, in the user's units. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from pantala.api import quantity
from pantala.autoscaling.signals import Signal, Source
from pantala.manifest.types import Manifest

_KEDA_METRIC = re.compile(r"s(\d+)-")
"""KEDA calls the external metric of a trigger `s<index>-prometheus` (v2.21.0, pkg/scalers: GenerateMetricNameWithIndex)."""
_FIELDS = {"Utilization": "averageUtilization", "AverageValue": "averageValue", "Value": "value"}
"""Where a HorizontalPodAutoscaler has the number of each type of target, in spec and status alike."""


@dataclass(frozen=True)
class Reading:
    """One measure as the autoscaler compares it."""

    signal: Signal
    value: Decimal | None
    """What it read last, in the user's unit; a total is divided by the number of replicas. None: it has no value."""
    target: Decimal
    """What it aims at, in the user's unit."""

    @property
    def ratio(self) -> Decimal | None:
        """How many times the present replicas it asks for; None: unknown."""
        return None if self.value is None else self.value / self.target


def of(signals: Sequence[Signal], autoscaler: Manifest | None) -> tuple[Reading, ...]:
    """The readings of all measures, in their order.

    Args:
        signals: What is measured, in the order of the spec; triggers of a ScaledObject have the same.
        autoscaler: The HorizontalPodAutoscaler, KEDA's own too; None if there is none, and nothing has a value.
    """
    found = autoscaler or {}
    status = found.get("status") or {}
    # As long as the metrics of the spec and in their order; `{"type": ""}` in place of what could not be read, and no list
    # at all where nothing was computed (Kubernetes v1.36.1, podautoscaler/horizontal.go).
    current = status.get("currentMetrics") or ()
    pairs = zip(found.get("spec", {}).get("metrics") or (), current, strict=False)
    values = {_key(wanted): value for wanted, read in pairs if (value := _value(wanted, read)) is not None}
    return tuple(_reading(index, signal, values) for index, signal in enumerate(signals))


def decisive(readings: Sequence[Reading]) -> Reading | None:
    """The measure that decides: the one that asks for most; None where none has a value."""
    known = [reading for reading in readings if reading.ratio is not None]
    return max(known, key=lambda reading: reading.ratio or Decimal(0), default=None)


def _reading(index: int, signal: Signal, values: Mapping[tuple[str, str], Decimal]) -> Reading:
    kind = "ContainerResource" if signal.source is Source.RESOURCE else "named"
    value = values.get((kind, signal.series), values.get(("External", str(index))))
    scaled = None if value is None else value * signal.scale
    return Reading(signal, scaled, signal.target * signal.scale)


def _block(metric: Mapping[str, Any]) -> Mapping[str, Any]:
    """`pods` of a metric of type Pods, and so on."""
    kind = metric["type"]
    found: Mapping[str, Any] = metric.get(f"{kind[:1].lower()}{kind[1:]}") or {}
    return found


def _key(metric: Mapping[str, Any]) -> tuple[str, str]:
    """What a metric is found by: its name, or the index of KEDA's trigger."""
    block = _block(metric)
    if metric["type"] == "ContainerResource":
        return "ContainerResource", block["name"]
    name = block.get("metric", {}).get("name", "")
    if metric["type"] == "External" and (match := _KEDA_METRIC.match(name)):
        return "External", match[1]
    return "named", name


def _value(wanted: Mapping[str, Any], read: Mapping[str, Any]) -> Decimal | None:
    if read.get("type") != wanted["type"]:
        return None
    field = _FIELDS[_block(wanted)["target"]["type"]]
    text = _block(read).get("current", {}).get(field)
    return None if text is None else quantity.parse(str(text))
