"""The background task: whom it wakes, how often, and what stays known while Prometheus is away."""

import asyncio
import logging
import threading
from collections.abc import Collection, Iterator, Mapping
from datetime import timedelta
from typing import Any

import pytest
from prometheus_client import REGISTRY

from pantala.cluster.objects import Key
from pantala.planner.measured import Counted, Fields, Measurement, Service, Unmeasured, fields, settle
from pantala.reconcile.measurements import INTERVAL, KEPT, Measurer, Target, targets
from pantala.remote.prometheus import Prometheus
from tests.cluster.addons.faults import FaultProxy, Rule
from tests.cluster.addons.prometheus import Prometheus as Server
from tests.cluster.process import wait_for
from tests.remote.recorded import Recorded, came, job, sent

KEY = Key("vision", "resnet")
TARGETS = {
    ("vision", "resnet-v1"): Target(KEY, "v1", share=True),
    ("vision", "resnet-v2"): Target(KEY, "v2", share=True),
    ("vision", "resnet-v3"): Target(KEY, "v3", copies=True),
}
MS = timedelta(milliseconds=1)


class StandinSource:
    """Answers what it is told to, at once: the rules of time are tried over hours."""

    def __init__(self) -> None:
        self.answer: Mapping[Service, Counted] | Exception = {}
        self.asked: list[Collection[str]] = []
        self.closed = False

    def measure(self, namespaces: Collection[str]) -> Mapping[Service, Counted]:
        """The answer that a test set."""
        self.asked.append(namespaces)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def close(self) -> None:
        """Remember that it was called."""
        self.closed = True


class World:
    """A measurer, a clock, and a status that is written when the measurer wakes the model."""

    def __init__(self) -> None:
        self.source, self.seconds = StandinSource(), 0.0
        self.targets: Mapping[Service, Target] = TARGETS
        self.status: dict[Key, Mapping[str, Fields]] = {}
        self.woken: list[float] = []
        self.measurer = self.started()

    def started(self) -> Measurer:
        """The measurer of an operator that has just started."""
        return Measurer(self.source, lambda: self.targets, self.told, self.wake, lambda: self.seconds)

    def told(self, key: Key) -> Mapping[str, Fields]:
        """What the status tells."""
        return self.status.get(key, {})

    def wake(self, key: Key) -> None:
        """Write the status, as a pass does."""
        self.woken.append(self.seconds)
        self.status[key] = settle(self.told(key), self.measurer.measured(key), {"v1", "v2"})

    async def poll(self, answer: Mapping[Service, Counted] | Exception, after: float = INTERVAL) -> None:
        """A round, some time after the last."""
        self.seconds += after
        self.source.answer = answer
        await self.measurer.poll()


def counts(v1: float, v2: float, errors: float = 0) -> dict[Service, Counted]:
    """Requests of two versions of users; the third gets a copy of all and fails them all."""
    users = {"resnet-v1": Measurement(v1, errors, 12 * MS, 30 * MS), "resnet-v2": Measurement(v2, 0, 12 * MS, 30 * MS)}
    found = {("vision", name): Counted(one, None) for name, one in users.items()}
    return found | {("vision", "resnet-v3"): Counted(None, Measurement(v1 + v2, v1 + v2, 17 * MS, 42 * MS))}


async def test_users_and_shadow() -> None:
    """Shares are those of users' requests; a shadow has the figures of copies, and no share."""
    world = World()
    await world.poll(counts(8000, 2000, errors=32))
    told = world.status[KEY]
    assert [told[name].get("observed") for name in ("v1", "v2", "v3")] == [80, 20, None]
    assert [told[name]["measured"]["errorPercent"] for name in ("v1", "v2", "v3")] == ["0.4", "0.0", "100.0"]
    assert world.source.asked == [["vision"]]


async def test_at_most_one_write_a_minute() -> None:
    """However wildly the figures jump, a model is woken once a minute at most."""
    world = World()
    for number in range(60):
        await world.poll(counts(10_000 * (1 + number % 3), 2000))
    assert len(world.woken) == 30
    assert min(later - one for one, later in zip(world.woken, world.woken[1:], strict=False)) >= 60


async def test_steady_load_wakes_nobody() -> None:
    """An even load wakes a model once, and not with every round."""
    world = World()
    for number in range(60):
        await world.poll(counts(8000 + number % 7, 2000 - number % 5))
    assert world.woken == [INTERVAL]


async def test_restart() -> None:
    """A new operator tells what the status told, wakes nobody while nothing has changed, and goes on from there."""
    world = World()
    await world.poll(counts(8000, 2000))
    before = world.status[KEY]
    world.measurer = world.started()
    assert fields(world.measurer.measured(KEY), {"v1", "v2"}) == before
    await world.poll(counts(8010, 1990))
    assert (len(world.woken), world.status[KEY]) == (1, before)
    await world.poll(counts(5000, 5000))
    assert world.status[KEY]["v1"]["observed"] == 50


async def test_away_for_long(caplog: pytest.LogCaptureFixture) -> None:
    """What was known stays for two windows, then it is unknown; the log has one line when it goes and one when it is back."""
    world = World()
    await world.poll(counts(8000, 2000))
    before = world.status[KEY]
    with caplog.at_level(logging.INFO):
        while world.seconds < KEPT.total_seconds():
            await world.poll(Unmeasured("timeout", "prometheus:9090 did not answer in time"))
            assert world.status[KEY] == before
        await world.poll(Unmeasured("timeout", "prometheus:9090 did not answer in time"))
        assert world.status[KEY] == {}
        assert world.measurer.measured(KEY) == {}
        await world.poll(counts(8000, 2000), after=60)
    assert world.status[KEY] == before
    assert [record.levelname for record in caplog.records if record.name.startswith("pantala")] == ["WARNING", "INFO"]


async def test_each_cause_is_told(caplog: pytest.LogCaptureFixture) -> None:
    """Another cause is another line; a defect is one as well, and stops nothing."""
    world = World()
    with caplog.at_level(logging.INFO):
        for error in (Unmeasured("timeout", "late"), Unmeasured("refused", "HTTP 500"), ZeroDivisionError("oh")):
            for _ in range(3):
                await world.poll(error)
    lines = [record.message for record in caplog.records if record.name.startswith("pantala")]
    assert [line.rpartition(": ")[2] for line in lines] == ["late", "HTTP 500", "ZeroDivisionError('oh')"]
    await world.poll(counts(8000, 2000))
    assert world.status[KEY]["v1"]["observed"] == 80


async def test_results_are_counted() -> None:
    """Each round counts once, by its result."""

    def value(result: str) -> float:
        return REGISTRY.get_sample_value("pantala_prometheus_queries_total", {"result": result}) or 0

    world, good, tls = World(), value("ok"), value("tls")
    await world.poll(counts(1, 1))
    await world.poll(Unmeasured("tls", "x"))
    assert (value("ok"), value("tls")) == (good + 1, tls + 1)


async def test_models_come_and_go() -> None:
    """Without models nobody is asked; what goes is forgotten, and a version that is not counted is unknown, not idle."""
    world = World()
    await world.poll(counts(8000, 2000))
    world.targets = {}
    await world.poll(counts(8000, 2000))
    assert len(world.source.asked) == 1
    assert world.measurer._known == {}
    world.targets = TARGETS | {("vision", "resnet-v4"): Target(KEY, "v4", share=True)}
    await world.poll(counts(8000, 1000))
    assert "v4" not in world.measurer.measured(KEY)


def test_targets() -> None:
    """Who is asked about comes from the status: versions with a share, shadows, and those that a rule alone leads to."""
    traffic = [
        {"version": "v1", "asked": 100, "configured": 100},
        {"version": "v2", "asked": 0, "configured": 20},
        {"version": "v3", "mirror": 25},
        {"version": "v4", "asked": 0, "configured": 0},
    ]
    metadata = {"name": "resnet", "namespace": "vision"}
    other = {"metadata": metadata | {"name": "new"}}
    assert targets([{"metadata": metadata, "status": {"traffic": traffic}}, other]) == TARGETS | {
        ("vision", "resnet-v4"): Target(KEY, "v4")
    }


@pytest.fixture
def watched() -> Iterator[tuple[Recorded, FaultProxy]]:
    """Prometheus over recorded text, and a way to hurt its answers."""
    with Recorded() as recorded:
        server = Server({"scrape_configs": [job(recorded.target)]})
        try:
            with FaultProxy(server.url) as proxy:
                server.wait_for("up offset 10s == 1")
                yield recorded, proxy
        finally:
            server.stop()


async def test_real_prometheus(watched: tuple[Recorded, FaultProxy]) -> None:
    """Asked in a thread, the loop goes on while Prometheus hangs; figures come through when it answers."""
    recorded, proxy = watched
    told: dict[str, Any] = {}
    source = Prometheus(proxy.endpoint, window=timedelta(seconds=10))
    measurer = Measurer(source, lambda: TARGETS, lambda _: {}, lambda key: told.update(measurer.measured(key)))
    recorded.requests(80, 8, **sent("resnet-v1"))
    recorded.requests(20, 8, **sent("resnet-v2"))
    recorded.requests(100, 8, **came("resnet-v3", "500"))
    seen = recorded.scrapes
    await asyncio.to_thread(wait_for, lambda: recorded.scrapes >= seen + 3, "scrapes", 10)
    held = proxy.add(Rule(wait=threading.Event(), times=1))
    task = asyncio.create_task(measurer.run())
    await asyncio.to_thread(wait_for, lambda: bool(held.hits), "the first query", 10)
    assert not told  # the loop is free while the answer is held
    assert held.wait is not None
    held.wait.set()
    await asyncio.to_thread(wait_for, lambda: len(told) == 3, "figures", 10)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert {name: (one.requests, one.errors) for name, one in told.items()} == {
        "v1": (80, 0),
        "v2": (20, 0),
        "v3": (100, 100),
    }
