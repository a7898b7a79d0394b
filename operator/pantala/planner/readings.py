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


def of(
    signals: Sequence[Signal], autoscaler: Manifest | None, scaled_object: Manifest | None = None
) -> tuple[Reading, ...]:
    """The readings of all measures, in their order.

    Args:
        signals: What is measured, in the order of the spec; triggers of a ScaledObject have the same.
        autoscaler: The HorizontalPodAutoscaler, KEDA's own too; None if there is none, and nothing has a value.
        scaled_object: What KEDA made it of: its triggers tell the places of measures, where the spec has others meanwhile.
    """
    found = autoscaler or {}
    status = found.get("status") or {}
    # As long as the metrics of the spec and in their order; `{"type": ""}` in place of what could not be read, and no list
    # at all where nothing was computed (Kubernetes v1.36.1, podautoscaler/horizontal.go).
    current = status.get("currentMetrics") or ()
    pairs = zip(found.get("spec", {}).get("metrics") or (), current, strict=False)
    values = {_key(wanted): value for wanted, read in pairs if (value := _value(wanted, read)) is not None}
    places = {str(it.get("name")): index for index, it in enumerate(_triggers(scaled_object))}
    return tuple(_reading(places.get(it.name, index), it, values) for index, it in enumerate(signals))


def common(
    signals: Sequence[Signal], autoscaler: Manifest | None, scaled_object: Manifest | None
) -> tuple[Signal, ...]:
    """Those measures that an autoscaler has, which may be of an older spec.

    Args:
        signals: What is measured by the spec.
        autoscaler: The HorizontalPodAutoscaler, KEDA's own too.
        scaled_object: What KEDA made it of; None: KEDA did not.
    """
    if scaled_object is not None:
        found = {it.get("name"): it.get("metadata", {}).get("query") for it in _triggers(scaled_object)}
        # The query of a series may be worded otherwise by an older operator.
        return tuple(
            it for it in signals if it.name in found and (it.source is not Source.QUERY or found[it.name] == it.series)
        )
    known = {_key(metric) for metric in (autoscaler or {}).get("spec", {}).get("metrics") or ()}
    if any(kind == "External" for kind, _ in known):
        return tuple(signals)  # KEDA's, whose names tell nothing
    return tuple(it for it in signals if (_kind(it), it.series) in known)


def decisive(readings: Sequence[Reading]) -> Reading | None:
    """The measure that decides: the one that asks for most; None where none has a value."""
    known = [reading for reading in readings if reading.ratio is not None]
    return max(known, key=lambda reading: reading.ratio or Decimal(0), default=None)


def _reading(index: int, signal: Signal, values: Mapping[tuple[str, str], Decimal]) -> Reading:
    value = values.get((_kind(signal), signal.series), values.get(("External", str(index))))
    scaled = None if value is None else value * signal.scale
    return Reading(signal, scaled, signal.target * signal.scale)


def _kind(signal: Signal) -> str:
    """The first part of its `_key`, where an HPA reads it itself."""
    return "ContainerResource" if signal.source is Source.RESOURCE else "named"


def _triggers(scaled_object: Manifest | None) -> Sequence[Mapping[str, Any]]:
    return (scaled_object or {}).get("spec", {}).get("triggers") or ()


def block(metric: Mapping[str, Any]) -> Mapping[str, Any]:
    """`pods` of a metric of type Pods, and so on, in spec and status alike; empty for what could not be read."""
    kind = metric.get("type", "")
    found: Mapping[str, Any] = metric.get(f"{kind[:1].lower()}{kind[1:]}") or {}
    return found


def _key(metric: Mapping[str, Any]) -> tuple[str, str]:
    """What a metric is found by: its name, or the index of KEDA's trigger."""
    told = block(metric)
    if metric["type"] == "ContainerResource":
        return "ContainerResource", told["name"]
    name = told.get("metric", {}).get("name", "")
    if metric["type"] == "External" and (match := _KEDA_METRIC.match(name)):
        return "External", match[1]
    return "named", name


def _value(wanted: Mapping[str, Any], read: Mapping[str, Any]) -> Decimal | None:
    if read.get("type") != wanted["type"] or _key(read) != _key(wanted):
        return None  # it could not be read, or is from before the metrics changed
    field = _FIELDS[block(wanted)["target"]["type"]]
    text = block(read).get("current", {}).get(field)
    return None if text is None else quantity.parse(str(text))
