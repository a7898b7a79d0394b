"""What the cache knows of the kinds of KEDA and of the Prometheus Operator."""

from typing import Any

import pytest

from pantala.cluster.cache import Cache
from pantala.cluster.objects import Key
from pantala.cluster.resources import ADDED, MODEL, SCALED_OBJECT, SERVICE_MONITOR, Resource
from pantala.manifest.types import Ref
from pantala.planner.observed import Availability, Observed

KEY = Key("vision", "net")
NONE: frozenset[Any] = frozenset()
READY = {"type": "Ready", "status": "True", "reason": "ScaledObjectReady"}


@pytest.fixture
def woken() -> list[Key]:
    return []


@pytest.fixture
def cache(woken: list[Key]) -> Cache:
    """A cache with a model; who is woken from then on is in `woken`."""
    cache = Cache(woken.append, woken.append)
    cache.upsert(
        MODEL, {"kind": MODEL.kind, "metadata": {"name": "net", "namespace": "vision", "resourceVersion": "1"}}
    )
    woken.clear()
    return cache


def seen(cache: Cache) -> Observed:
    """What a plan for the model sees."""
    found = cache.observe(KEY)
    assert found is not None
    return found


def obj(resource: Resource, number: int, **status: Any) -> Any:
    """A child as the API server stores it."""
    meta = {
        "name": "net-v1",
        "namespace": "vision",
        "resourceVersion": str(number),
        "labels": {"pantala.dev/model": "net"},
        "managedFields": [{"time": str(number)}],
    }
    return {"kind": resource.kind, "metadata": meta, "spec": {"a": 1}, "status": status}


@pytest.mark.parametrize("resource", ADDED, ids=lambda it: it.kind)
def test_whether_they_can_be_written(cache: Cache, woken: list[Key], resource: Resource) -> None:
    """Absent until the kind is known to be served; one that may not be read is forbidden. Each change wakes the model, once."""

    def found() -> Availability:
        now = seen(cache)
        return now.scaled_objects if resource is SCALED_OBJECT else now.service_monitors

    kind = frozenset({resource})
    assert found() is Availability.ABSENT
    for present, refused, expected in (
        (NONE, kind, Availability.FORBIDDEN),
        (kind, NONE, Availability.SERVED),
        (NONE, NONE, Availability.ABSENT),
    ):
        for _ in range(2):
            cache.apis(present, refused)
        assert found() is expected
        assert woken == [KEY]
        woken.clear()


def test_what_keda_notes_at_each_poll_wakes_nobody(cache: Cache, woken: list[Key]) -> None:
    """KEDA writes into a ScaledObject whenever it looks at a measure; only its conditions and its HPA matter, which wake the model."""
    cache.apis(frozenset({SCALED_OBJECT}))
    cache.upsert(
        SCALED_OBJECT, obj(SCALED_OBJECT, 2, conditions=[READY], hpaName="keda-hpa-net-v1", lastActiveTime="1")
    )
    woken.clear()
    noted = obj(SCALED_OBJECT, 3, conditions=[READY], hpaName="keda-hpa-net-v1", lastActiveTime="2", health={"s0": {}})
    cache.upsert(SCALED_OBJECT, noted)
    assert woken == []
    kept = seen(cache).children[Ref("ScaledObject", "vision", "net-v1")]
    assert kept["status"] == {"conditions": [READY], "hpaName": "keda-hpa-net-v1"}
    assert kept["metadata"]["resourceVersion"] == "3", "the newest is known all the same"
    cache.upsert(SCALED_OBJECT, obj(SCALED_OBJECT, 4, conditions=[READY | {"status": "False"}]))
    assert woken == [KEY]


def test_the_status_of_a_monitor_is_not_kept(cache: Cache, woken: list[Key]) -> None:
    """What the Prometheus Operator tells of a ServiceMonitor is read by nobody, and wakes nobody; another spec does."""
    cache.apis(frozenset({SERVICE_MONITOR}))
    cache.upsert(SERVICE_MONITOR, obj(SERVICE_MONITOR, 2))
    woken.clear()
    cache.upsert(SERVICE_MONITOR, obj(SERVICE_MONITOR, 3, bindings=[{"name": "k8s"}]))
    assert woken == []
    assert "status" not in seen(cache).children[Ref("ServiceMonitor", "vision", "net-v1")]
    cache.upsert(SERVICE_MONITOR, obj(SERVICE_MONITOR, 4) | {"spec": {"a": 2}})
    assert woken == [KEY]
