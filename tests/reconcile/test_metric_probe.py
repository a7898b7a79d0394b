"""The background task that looks for missing measures: whom it asks, whom it wakes, and what stops nothing."""

import asyncio
import logging
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
import yaml

from pantala.autoscaling import mesh, raw, signals
from pantala.autoscaling.signals import Signal, Source
from pantala.cluster.objects import Key
from pantala.manifest.settings import AutoscalingSettings
from pantala.planner.measured import Unmeasured
from pantala.planner.probed import CUSTOM, EXTERNAL, Api, Ask, Clue, Finding
from pantala.reconcile.metric_probe import QUERY_SECONDS, MetricProbe
from pantala.remote.prometheus import Limits, Prometheus
from tests.charts import rules
from tests.cluster.addons.exporter import Exporter, series
from tests.cluster.addons.faults import FaultProxy, Rule
from tests.cluster.addons.prometheus import Prometheus as Server
from tests.cluster.process import wait_for

KEY, OTHER = Key("vision", "resnet"), Key("vision", "other")
OFFERED = {CUSTOM: Api(offers=frozenset({f"pods/{signals.GPU_UTILIZATION}"})), EXTERNAL: Api()}
DCGM = raw.of(signals.GPU_UTILIZATION, "nvidia", None, "triton", AutoscalingSettings())
MESH = raw.of(signals.SERVICE_REQUESTS, None, None, "custom", AutoscalingSettings())


def ask(series_name: str = signals.GPU_UTILIZATION, source: Source = Source.PODS, group: str = CUSTOM) -> Ask:
    """A measure of version v1 that is missing."""
    signal = Signal("measure", source, series_name, Decimal(70))
    of = {Source.PODS: DCGM, Source.SERVICE: MESH}.get(source)
    return Ask("v1", signal, group, "vision", ("resnet-v1-a",), "resnet-v1", of)


class StandinSource:
    """A Prometheus that answers what it is told to, at once: the rules of time and order are tried without one."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self.answers: dict[str, Any] = {}
        """Samples, or an error, by a part of the query."""
        self.asked: list[str] = []
        self.slow = 0.0

    def ask(self, query: str) -> list[tuple[Mapping[str, str], float]]:
        """The answer that a test set."""
        self.asked.append(query)
        self.world.seconds += self.slow
        found: Any = next((answer for part, answer in self.answers.items() if part in query), [])
        if isinstance(found, Exception):
            raise found
        return list(found)

    def close(self) -> None:
        """Nothing is open."""


class World:
    """A probe and a clock."""

    def __init__(self, *, queries: bool = True) -> None:
        self.seconds = 0.0
        self.source = StandinSource(self)
        self.apis: Mapping[str, Api] = OFFERED
        self.groups: list[list[str]] = []
        self.woken: list[Key] = []
        self.probe = MetricProbe(self.look, self.source, self.woken.append, 30, lambda: self.seconds, queries=queries)

    async def look(self, groups: Iterable[str]) -> Mapping[str, Api]:
        """What the API server tells."""
        self.groups.append(list(groups))
        return self.apis

    async def finds(self, key: Key = KEY) -> Finding | None:
        """What is known of the one missing measure after a round."""
        await self.probe.poll()
        return next(iter(self.probe.found(key).values()), None)


LATE = Unmeasured("timeout", "prometheus:9090 did not answer in time")
RECORDED = {"__name__": signals.GPU_UTILIZATION, "namespace": "vision", "pod": "resnet-v1-a"}
CARD = {"__name__": "DCGM_FI_DEV_GPU_UTIL", "pod": "exporter", "namespace": "monitoring"}


async def test_nothing_is_asked_while_nothing_is_missing() -> None:
    """No request to anybody as long as all autoscalers have their measures, nor after the last one is there again."""
    world = World()
    await world.probe.poll()
    world.probe.ask(KEY, (ask(),))
    await world.probe.poll()
    world.probe.ask(KEY, ())
    count = len(world.source.asked)
    await world.probe.poll()
    assert (len(world.groups), len(world.source.asked)) == (1, count)
    assert world.probe.found(KEY) == {}


async def test_from_the_root() -> None:
    """Without the API Prometheus is not asked; with the recorded series the exporter's are not."""
    world = World()
    world.probe.ask(KEY, (ask(),))
    world.apis = {CUSTOM: Api(present=False)}
    assert await world.finds() == Finding(Clue.API_ABSENT)
    assert world.source.asked == []
    world.apis = {CUSTOM: Api(offers=frozenset())}
    world.source.answers = {"pod, service": [(RECORDED, 1.0)]}
    assert await world.finds() == Finding(Clue.RECORDED, offered=False)
    assert len(world.source.asked) == 1
    world.source.answers = {}
    assert await world.finds() == Finding(Clue.NOTHING, offered=False)


@pytest.mark.parametrize(
    ("labels", "clue", "detail"),
    [
        ({"exported_pod": "resnet-v1-a", "exported_namespace": "vision"}, Clue.UNRECORDED, "DCGM_FI_DEV_GPU_UTIL"),
        ({"pod": "resnet-v1-a", "namespace": "vision"}, Clue.UNRECORDED, "DCGM_FI_DEV_GPU_UTIL"),
        ({"pod_name": "resnet-v1-a", "pod_namespace": "vision"}, Clue.MISLABELED, "pod_name"),
        ({"exported_pod": "resnet-v1-a", "pod_namespace": "vision"}, Clue.MISLABELED, "pod_namespace"),
        (
            {"exported_pod": "resnet-v1-a", "exported_namespace": "vision", "vgpu": "0"},
            Clue.COPIES,
            "DCGM_FI_DEV_GPU_UTIL",
        ),
        ({"exported_pod": "resnet-v1-a", "exported_namespace": "elsewhere"}, Clue.ELSEWHERE, "DCGM_FI_DEV_GPU_UTIL"),
        ({"exported_pod": "other", "exported_namespace": "vision"}, Clue.ELSEWHERE, "DCGM_FI_DEV_GPU_UTIL"),
        ({"pod": "other", "namespace": "vision"}, Clue.ELSEWHERE, "DCGM_FI_DEV_GPU_UTIL"),
        ({}, Clue.NAMELESS, "DCGM_FI_DEV_GPU_UTIL"),
    ],
)
async def test_labels(labels: dict[str, str], clue: Clue, detail: str) -> None:
    """How far the exporter's series get is read off their labels; the exporter's own pod is nobody's workload."""
    world = World()
    world.probe.ask(KEY, (ask(),))
    world.source.answers = {
        "last_over_time": [(CARD | labels, 1.0)],
        "up and on": [({"namespace": "monitoring", "pod": "exporter"}, 1.0)],
    }
    assert await world.finds() == Finding(clue, detail, offered=True)


async def test_what_is_all_there_is_looked_at_twice() -> None:
    """A series that has just come is not called unreadable: the autoscaler has its next look first."""
    world = World()
    world.probe.ask(KEY, (ask(),))
    world.source.answers = {"pod, service": [(RECORDED, 1.0)]}
    assert await world.finds() is None
    assert world.woken == []
    assert await world.finds() == Finding(Clue.RECORDED, offered=True)
    assert world.woken == [KEY]


async def test_only_news_wake(caplog: pytest.LogCaptureFixture) -> None:
    """A model is woken when something else was found out about it, and by nothing that concerns others; the log tells a flip once.

    A Prometheus that does not answer is news in the second round.
    """
    world = World()
    world.probe.ask(KEY, (ask(),))
    world.probe.ask(OTHER, (ask(),))
    for _ in range(3):
        await world.probe.poll()
    assert world.woken == [KEY, OTHER]
    world.probe.ask(OTHER, ())
    with caplog.at_level(logging.INFO):
        world.source.answers = {"count": LATE}
        assert await world.finds() == Finding(Clue.NOTHING, offered=True)
        for _ in range(2):
            assert await world.finds() == Finding(Clue.UNREACHABLE, str(LATE), offered=True)
        world.source.answers = {"count": ZeroDivisionError("oh")}
        assert (await world.finds() or Finding(Clue.RECORDED)).detail == "asking it failed (ZeroDivisionError)"
        world.source.answers = {}
        await world.probe.poll()
    assert world.woken == [KEY, OTHER, KEY, KEY, KEY]
    assert [it.levelname for it in caplog.records if it.name.startswith("pantala")] == ["WARNING", "WARNING", "INFO"]


async def test_every_other_round_flips_nothing() -> None:
    """A Prometheus that answers every other round takes back nothing that is known; what is unknown it makes known as such."""
    world = World()
    world.probe.ask(KEY, (ask(),))
    for _ in range(4):
        world.source.answers = {}
        assert await world.finds() == Finding(Clue.NOTHING, offered=True)
        world.source.answers = {"count": LATE}
        assert await world.finds() == Finding(Clue.NOTHING, offered=True)
    world.probe.ask(OTHER, (ask(),))
    assert await world.finds(OTHER) == Finding(Clue.UNREACHABLE, str(LATE), offered=True)


async def test_one_answer_says_nothing_about_others() -> None:
    """A mesh of which Prometheus tells too much, or exporters, leave what recorded series and the others say."""
    world = World()
    world.apis = {CUSTOM: Api()}
    recorded, card = replace(ask(), pods=("other-v1-a",)), ask()
    requests = ask(signals.SERVICE_REQUESTS, Source.SERVICE)
    world.probe.ask(Key("vision", "mesh"), (requests,))
    world.probe.ask(KEY, (card,))
    world.probe.ask(OTHER, (recorded,))
    found = [(RECORDED | {"pod": "other-v1-a"}, 1.0)]
    large = Unmeasured("oversized", "prometheus:9090 answered with more than 16777216 bytes")
    for hurt, clues in (
        ("istio_requests_total", (Clue.UNREACHABLE, Clue.NOTHING, Clue.RECORDED)),
        ("last_over_time({", (Clue.NOTHING, Clue.UNREACHABLE, Clue.RECORDED)),
    ):
        world.source.answers = {"pod, service": found, hurt: large}
        for _ in range(2):
            await world.probe.poll()
        keys = (Key("vision", "mesh"), KEY, OTHER)
        assert tuple(it.clue for key in keys for it in world.probe.found(key).values()) == clues
        await world.probe.poll()


@pytest.mark.parametrize(
    "other",
    [
        ask(group=EXTERNAL),
        replace(ask(), signal=replace(ask().signal, source=Source.QUERY, series="sum(other)")),
        replace(ask(), raw=raw.of(signals.GPU_UTILIZATION, "hami", None, "triton", AutoscalingSettings())),
    ],
)
async def test_another_question_of_the_same_name(other: Ask) -> None:
    """Where the engine, the query or the exporter changes nothing is known any more, and it is looked at at once; replicas may come and go."""
    world = World()
    world.apis = OFFERED | {EXTERNAL: Api(present=False)}
    task = asyncio.create_task(world.probe.run())
    world.probe.ask(KEY, (ask(),))
    await asyncio.to_thread(wait_for, lambda: KEY in world.woken, "the first", 10)
    world.probe.ask(KEY, (replace(ask(), pods=("resnet-v1-b",)),))
    assert world.probe.found(KEY)
    world.probe.ask(KEY, (other,))
    assert world.probe.found(KEY) == {}
    await asyncio.to_thread(wait_for, lambda: bool(world.probe.found(KEY)), "the second", 10)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert set(world.probe.found(KEY)) == {other.key}
    assert world.seconds == 0


async def test_a_silent_api_server_changes_nothing() -> None:
    """What was found out stays while the API server cannot be asked."""
    world = World()
    world.probe.ask(KEY, (ask(),))
    before = await world.finds()
    world.apis = {}
    assert await world.finds() == before


@pytest.mark.parametrize(
    ("answer", "finding"),
    [
        ([], Finding(Clue.EMPTY)),
        ([({}, 1.0), ({}, 2.0)], Finding(Clue.BAD_QUERY, "it gives several numbers")),
        ([({}, float("nan"))], Finding(Clue.BAD_QUERY, "it gives nan")),
        (Unmeasured("refused", "HTTP 400: parse error", 400), Finding(Clue.BAD_QUERY, "HTTP 400: parse error")),
        (Unmeasured("refused", "HTTP 422: many-to-many", 422), Finding(Clue.BAD_QUERY, "HTTP 422: many-to-many")),
        (Unmeasured("timeout", "late"), Finding(Clue.BAD_QUERY, "late")),
        (Unmeasured("oversized", "large"), Finding(Clue.BAD_QUERY, "large")),
        (Unmeasured("garbage", "no vector"), Finding(Clue.BAD_QUERY, "no vector")),
    ],
)
async def test_queries_of_users(answer: Any, finding: Finding) -> None:
    """A query of a user's is tried; where the operator sees more of Prometheus than KEDA it is not."""
    mine = ask("sum(mine)", Source.QUERY, EXTERNAL)
    world = World()
    world.source.answers = {"sum(mine)": answer}
    world.probe.ask(KEY, (mine,))
    assert await world.finds() == finding
    secret = World(queries=False)
    secret.probe.ask(KEY, (mine,))
    await secret.probe.poll()
    assert await secret.finds() == Finding(Clue.UNASKED)
    assert "sum(mine)" not in secret.source.asked


@pytest.mark.parametrize(
    "trouble",
    [
        Unmeasured("refused", "HTTP 429", 429),
        Unmeasured("refused", "HTTP 503", 503),
        Unmeasured("unreachable", "gone"),
        Unmeasured("token", "no token"),
        ZeroDivisionError("oh"),
    ],
)
async def test_trouble_is_not_the_querys(trouble: Exception) -> None:
    """Where Prometheus fails in the middle of a round no query is blamed: the round ends, and what is known stays until it fails again."""
    mine, others = ask("sum(mine)", Source.QUERY, EXTERNAL), ask("sum(other)", Source.QUERY, EXTERNAL)
    world = World()
    world.seconds = 1.0
    world.source.answers = {"sum(": []}
    world.probe.ask(KEY, (mine,))
    assert await world.finds() == Finding(Clue.EMPTY)
    world.source.answers = {"sum(": trouble}
    assert await world.finds() == Finding(Clue.EMPTY)
    assert (await world.finds() or Finding(Clue.EMPTY)).clue is Clue.UNREACHABLE
    world.probe.ask(OTHER, (others,))
    world.source.asked = []
    await world.probe.poll()
    assert world.source.asked[1:] == ["sum(other)"]


async def test_slow_queries_hold_up_nobody() -> None:
    """However many slow queries users write, a round ends; each query has its turn, and others' measures are known before."""
    world = World()
    world.source.slow = QUERY_SECONDS / 2
    world.probe.ask(OTHER, (ask(),))
    for number in range(6):
        world.probe.ask(Key("vision", f"m{number}"), (ask(f"slow({number})", Source.QUERY, EXTERNAL),))
    for rounds in range(1, 4):
        await world.probe.poll()
        assert world.probe.found(OTHER)
        assert sum(query.startswith("slow") for query in world.source.asked) == 2 * rounds
    assert {query for query in world.source.asked if query.startswith("slow")} == {f"slow({it})" for it in range(6)}


def test_names_are_those_of_the_rules() -> None:
    """Every exporter's series that is looked for is one of which the chart's rules make the recorded series, and in their labels."""
    groups = yaml.safe_load(rules.file())["groups"]
    made = {rule["record"]: rule["expr"] for group in groups for rule in group["rules"]}
    settings = AutoscalingSettings()
    for provider, card in (
        ("nvidia", None),
        ("mig", "DCGM_FI_PROF_GR_ENGINE_ACTIVE"),
        ("hami", None),
        ("volcano", None),
        ("tencent", None),
    ):
        for name in (signals.GPU_UTILIZATION, signals.GPU_MEMORY):
            found = raw.of(name, provider, card, "triton", settings)
            for it in (*found.series, *(label for label in found.pod_labels if label != "pod")):
                assert it in made[name], (provider, name, it)
    for runtime in ("triton", "torchserve", "custom"):
        for name in (signals.REQUESTS, signals.QUEUE_LENGTH, signals.QUEUE_TIME):
            for it in raw.of(name, None, None, runtime, settings).series:
                assert it in made[name], (runtime, name, it)
    for it in raw.of(signals.SERVICE_REQUESTS, None, None, "custom", settings).series:
        assert it in made[signals.SERVICE_REQUESTS]
    for it in (mesh.HOST, mesh.CLUSTER):
        assert f'"{it}"' in made[signals.SERVICE_REQUESTS]


@pytest.fixture(scope="module")
def watched() -> Iterator[tuple[Exporter, Server]]:
    """A real Prometheus that scrapes an exporter, and no rules."""
    with Exporter() as exporter:
        target = {"namespace": "monitoring", "pod": "exporter"}
        server = Server({"scrape_configs": [exporter.scrape_job("dcgm", labels=target)]})
        try:
            yield exporter, server
        finally:
            server.stop()


def client(url: str) -> Prometheus:
    """A client that gives up soon."""
    return Prometheus(url, limits=Limits(connect=1, read=1, whole=2))


async def test_real_prometheus(watched: tuple[Exporter, Server]) -> None:
    """Real queries tell series of the replica from those of the exporter alone, and a user's query that is none from an empty one."""
    exporter, server = watched
    world = World()
    world.probe._source = client(server.url)
    world.probe.ask(KEY, (ask(),))
    own = series("DCGM_FI_DEV_GPU_UTIL", 1, {"gpu": "0"})
    exporter.text = own
    server.wait_for("DCGM_FI_DEV_GPU_UTIL")
    assert await world.finds() == Finding(Clue.NAMELESS, "DCGM_FI_DEV_GPU_UTIL", offered=True)
    exporter.text = own + series("DCGM_FI_DEV_GPU_UTIL", 2, {"gpu": "1", "namespace": "vision", "pod": "resnet-v1-a"})
    server.wait_for('DCGM_FI_DEV_GPU_UTIL{exported_pod!=""}')
    assert await world.finds() == Finding(Clue.NAMELESS, "DCGM_FI_DEV_GPU_UTIL", offered=True)
    assert await world.finds() == Finding(Clue.UNRECORDED, "DCGM_FI_DEV_GPU_UTIL", offered=True)
    world.probe.ask(KEY, (ask("sum(", Source.QUERY, EXTERNAL),))
    found = await world.finds()
    assert found is not None
    assert found.clue is Clue.BAD_QUERY
    assert "parse error" in found.detail
    world.probe.ask(KEY, (ask("sum(nothing)", Source.QUERY, EXTERNAL),))
    assert await world.finds() == Finding(Clue.EMPTY)


def senders(count: int) -> str:
    """Requests between this many pairs of workloads of another namespace, as sidecars count them."""
    return "".join(
        series(
            mesh.ISTIO,
            1,
            {"reporter": side, "destination_workload_namespace": "shop", "destination_workload": f"w{it}"},
        )
        for it in range(count)
        for side in ("source", "destination")
    )


@pytest.mark.parametrize(
    ("labels", "name"),
    [
        (
            {
                "reporter": "destination",
                "destination_workload_namespace": "vision",
                "destination_workload": "resnet-v1",
            },
            mesh.ISTIO,
        ),
        (
            {
                "reporter": "source",
                "destination_workload_namespace": "unknown",
                "destination_workload": "unknown",
                "destination_service": "resnet-v1.vision.svc.cluster.local",
            },
            mesh.ISTIO,
        ),
        ({"cluster_name": "outbound|80||resnet-v1.vision.svc.cluster.local"}, mesh.ENVOY),
    ],
)
async def test_a_mesh(watched: tuple[Exporter, Server], labels: dict[str, str], name: str) -> None:
    """Whoever counts a version's requests, the missing rules are to blame; and of a large mesh only the models' namespaces are read."""
    exporter, server = watched
    world = World()
    world.apis = {CUSTOM: Api()}
    source = client(server.url)
    world.probe._source = source
    world.probe.ask(KEY, (ask(signals.SERVICE_REQUESTS, Source.SERVICE),))
    exporter.text = ""
    server.wait_for(f"absent({mesh.ISTIO}) and absent({mesh.ENVOY})")
    assert await world.finds() == Finding(Clue.NOTHING)
    exporter.text = senders(500)
    server.wait_for(f"count({mesh.ISTIO}) == 1000")
    assert await world.finds() == Finding(Clue.ELSEWHERE, mesh.ISTIO)
    exporter.text += series(name, 1, {**labels, "response_code": "200"}) + series(
        name, 1, {**labels, "response_code": "500"}
    )
    server.wait_for(f'count({name}{{response_code!=""}}) == 2')
    assert await world.finds() == Finding(
        Clue.ELSEWHERE, mesh.ISTIO
    )  # the rules have a moment to make something of them
    assert await world.finds() == Finding(Clue.UNRECORDED, name)
    rows = source.ask(mesh.query({"vision", "other"}))
    assert len(rows) == len({mesh.ISTIO, name}) + 1


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (Rule(wait=threading.Event()), "did not answer in time"),
        (Rule(status=503), "answered HTTP 503"),
        (Rule(corrupt=True), "answered with something that is no JSON"),
    ],
)
async def test_a_prometheus_that_is_hurt(watched: tuple[Exporter, Server], rule: Rule, words: str) -> None:
    """One that hangs, refuses or answers garbage is told as such, and the event loop goes on meanwhile."""
    _, server = watched
    with FaultProxy(server.url) as proxy:
        held = proxy.add(rule)
        world = World()
        world.probe._source = client(proxy.endpoint)
        world.probe.ask(KEY, (ask(),))
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                await asyncio.sleep(0.01)
                ticks += 1

        beside = asyncio.create_task(tick())
        task = asyncio.create_task(world.probe.run())
        await asyncio.to_thread(wait_for, lambda: bool(world.probe.found(KEY)), "a finding", 10)
        if rule.wait is not None:
            assert ticks > 50
            rule.wait.set()
        assert held.hits
        beside.cancel()
        task.cancel()
        await asyncio.gather(task, beside, return_exceptions=True)
    (finding,) = world.probe.found(KEY).values()
    assert finding.clue is Clue.UNREACHABLE
    assert words in finding.detail


async def test_new_questions_are_asked_at_once() -> None:
    """A measure that goes missing is looked for at once, not with the next round."""
    world = World()
    task = asyncio.create_task(world.probe.run())
    world.probe.ask(KEY, (ask(),))
    await asyncio.to_thread(wait_for, lambda: KEY in world.woken, "the first", 10)
    world.probe.ask(OTHER, (ask(),))
    await asyncio.to_thread(wait_for, lambda: OTHER in world.woken, "the second", 10)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert world.seconds == 0
