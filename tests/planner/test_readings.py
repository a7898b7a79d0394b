"""What an autoscaler last read, from a HorizontalPodAutoscaler as its controller leaves it."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from pantala.autoscaling.signals import GPU_UTILIZATION, QUEUE_LENGTH, SERVICE_REQUESTS, Signal, Source
from pantala.planner import readings

GPU = Signal("GPUUtilization", Source.PODS, GPU_UTILIZATION, Decimal(28), scale=Decimal("2.5"))
QUEUE = Signal("QueueLength", Source.PODS, QUEUE_LENGTH, Decimal(4), per_replica=False)
CPU = Signal("CPUUtilization", Source.RESOURCE, "cpu", Decimal(80))
REQUESTS = Signal("RequestsPerSecond", Source.SERVICE, SERVICE_REQUESTS, Decimal(10), per_replica=False)
TOKENS = Signal("tokens", Source.QUERY, "sum(tokens)", Decimal(1000), per_replica=False)


def metric(kind: str, name: str, field: str, target: Any) -> dict[str, Any]:
    """A metric of `spec.metrics`."""
    types = {"averageValue": "AverageValue", "value": "Value", "averageUtilization": "Utilization"}
    called = {"name": name} if kind == "ContainerResource" else {"metric": {"name": name}}
    return {"type": kind, kind[0].lower() + kind[1:]: {**called, "target": {"type": types[field], field: target}}}


def read(kind: str, name: str, **current: Any) -> dict[str, Any]:
    """A metric of `status.currentMetrics`."""
    called = {"name": name} if kind == "ContainerResource" else {"metric": {"name": name}}
    return {"type": kind, kind[0].lower() + kind[1:]: {**called, "current": current}}


def hpa(*pairs: tuple[dict[str, Any], dict[str, Any]]) -> dict[str, Any]:
    """An HPA with metrics and what was read of them."""
    return {"spec": {"metrics": [it for it, _ in pairs]}, "status": {"currentMetrics": [it for _, it in pairs]}}


def values(*signals: Signal, autoscaler: dict[str, Any] | None) -> list[Decimal | None]:
    """The values of signals."""
    return [reading.value for reading in readings.of(signals, autoscaler)]


def test_every_source() -> None:
    """Each type of metric has its number in the field that its target has, and a share of a card is told as what is granted."""
    found = hpa(
        (metric("Pods", GPU_UTILIZATION, "averageValue", "28"), read("Pods", GPU_UTILIZATION, averageValue="16")),
        (
            metric("ContainerResource", "cpu", "averageUtilization", 80),
            read("ContainerResource", "cpu", averageUtilization=95, averageValue="950m"),
        ),
        (
            metric("Object", SERVICE_REQUESTS, "averageValue", "10"),
            read("Object", SERVICE_REQUESTS, averageValue="2500m"),
        ),
    )
    told = readings.of((GPU, CPU, REQUESTS), found)
    assert [(it.signal.name, it.value, it.target) for it in told] == [
        ("GPUUtilization", 40, 70),
        ("CPUUtilization", 95, 80),
        ("RequestsPerSecond", Decimal("2.5"), 10),
    ]
    first = readings.decisive(told)
    assert first is not None
    assert (first.signal, first.ratio) == (CPU, Decimal(95) / 80)


def test_of_keda() -> None:
    """KEDA sorts the metrics of its HPA by type: they are found by the index in their names."""
    found = hpa(
        (
            metric("ContainerResource", "cpu", "averageUtilization", 80),
            read("ContainerResource", "cpu", averageUtilization=5),
        ),
        (metric("External", "s0-prometheus", "value", "28"), read("External", "s0-prometheus", value="16")),
        (
            metric("External", "s2-prometheus", "averageValue", "1k"),
            read("External", "s2-prometheus", averageValue="1200"),
        ),
    )
    assert values(GPU, CPU, TOKENS, autoscaler=found) == [40, 5, 1200]


def test_one_that_could_not_be_read() -> None:
    """The controller leaves an empty entry in its place; the others stay where they are, and decide."""
    found = hpa(
        (metric("Pods", GPU_UTILIZATION, "averageValue", "28"), {"type": ""}),
        (metric("Pods", QUEUE_LENGTH, "averageValue", "4"), read("Pods", QUEUE_LENGTH, averageValue="0")),
    )
    told = readings.of((GPU, QUEUE), found)
    assert [it.value for it in told] == [None, 0]
    assert readings.decisive(told) == told[1]


@pytest.mark.parametrize(
    "autoscaler",
    [
        None,
        {"metadata": {}, "spec": {}},
        {"spec": {"metrics": [metric("Pods", QUEUE_LENGTH, "averageValue", "4")]}, "status": {"currentMetrics": None}},
        {"spec": {"metrics": [metric("Pods", "other", "averageValue", "4")]}, "status": {}},
        hpa((metric("Pods", "other", "averageValue", "4"), read("Pods", "other", averageValue="1"))),
        hpa((metric("Pods", QUEUE_LENGTH, "averageValue", "4"), read("Pods", "other", averageValue="1"))),
    ],
)
def test_nothing_read(autoscaler: dict[str, Any] | None) -> None:
    """Without an autoscaler, before it computed anything, and where it has, or still had, other measures, only the target is known."""
    (told,) = readings.of((QUEUE,), autoscaler)
    assert (told.value, told.target, told.ratio) == (None, 4, None)
    assert readings.decisive((told,)) is None


def triggers(*named: tuple[str, str]) -> dict[str, Any]:
    """A ScaledObject with triggers of these names and queries."""
    return {"spec": {"triggers": [{"name": name, "metadata": {"query": query}} for name, query in named]}}


def test_the_places_of_triggers() -> None:
    """Where a ScaledObject has other triggers than the spec, its HPA's values are found by the names of the triggers."""
    found = hpa(
        (metric("External", "s0-prometheus", "value", "28"), read("External", "s0-prometheus", value="16")),
        (
            metric("External", "s1-prometheus", "averageValue", "1k"),
            read("External", "s1-prometheus", averageValue="1200"),
        ),
    )
    made = triggers(("GPUUtilization", "avg(x)"), ("tokens", "sum(tokens)"))
    assert [it.value for it in readings.of((TOKENS,), found, made)] == [1200]


def test_what_an_autoscaler_measures() -> None:
    """Of the spec's measures an older autoscaler has those of the same series, or of the same query."""
    live = hpa(
        (metric("Pods", GPU_UTILIZATION, "averageValue", "99"), {"type": ""}),
        (metric("ContainerResource", "cpu", "averageUtilization", 80), {"type": ""}),
    )
    assert readings.common((GPU, QUEUE, CPU, TOKENS), live, None) == (GPU, CPU)
    assert readings.common((QUEUE,), live, None) == ()
    made = triggers(("GPUUtilization", "avg(in other words)"), ("tokens", "sum(tokens)"), ("CPUUtilization", ""))
    assert readings.common((QUEUE, TOKENS, GPU), None, made) == (TOKENS, GPU)
    assert readings.common((replace(TOKENS, series="sum(others)"),), None, made) == ()
