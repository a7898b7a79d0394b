"""Time, retries, overload and failing replicas: what a real Envoy makes of a route's bounds, counted at the backends."""

import time
from typing import Any

import pytest

from pantala.traffic.route import Backend, Split
from tests.cluster.process import wait_for
from tests.traffic.istio_world import World, statuses

pytestmark = pytest.mark.mesh

MANY = 500


@pytest.fixture(scope="module")
def plain(world: World) -> Backend:
    """A version without bounds of its own."""
    return world.version("plain")


@pytest.mark.parametrize("traffic", [{"timeout": "100ms"}, {"timeout": "100ms", "retries": {"attempts": 0}}])
def test_a_slow_answer_ends_in_504(world: World, plain: Backend, traffic: dict[str, Any]) -> None:
    """A request that takes longer than the time is answered with 504, once it is over, and is not sent again."""
    made = world.put(f"timeout{len(traffic)}", Split(((plain, 100),)), traffic)
    started = time.monotonic()
    assert world.ask(made, "/delay/2")[0] == 504
    assert 0.09 < time.monotonic() - started < 1.9  # Envoy's timers have ticks
    assert world.count("plain") == 1
    assert statuses(world.ask_often(made, MANY, "/delay/0.5", at_once=16)) == {504: MANY}
    assert world.count("plain") <= MANY + 1  # less where the time was over before there was a connection
    quick = statuses(world.ask_often(made, MANY))
    assert quick[200] >= 0.9 * MANY  # on a busy machine some take longer than the time, too
    assert set(quick) <= {200, 504}


@pytest.mark.parametrize(
    ("name", "retries", "times"),
    [
        ("default", None, 1),
        ("never", {"attempts": 0}, 1),
        ("twice", {"attempts": 2, "retryOn": "503"}, 3),
        ("class", {"attempts": 1, "retryOn": "5xx,connect-failure"}, 2),
        ("other", {"attempts": 2, "retryOn": "502,429"}, 1),
    ],
)
def test_retries_are_counted(
    world: World, plain: Backend, name: str, retries: dict[str, Any] | None, times: int
) -> None:
    """A server that says 503 is asked as often as the user said; by default once, since it has begun to process."""
    made = world.put(f"retries-{name}", Split(((plain, 100),)), {"retries": retries})
    assert statuses(world.ask_often(made, MANY, "/status/503", at_once=16)) == {503: MANY}
    assert world.count("plain") == MANY * times


def test_an_attempt_has_its_own_time(world: World, plain: Backend) -> None:
    """With perTryTimeout an attempt is given up and the next one begun, within the time of the whole."""
    retries = {"attempts": 1, "retryOn": "gateway-error", "perTryTimeout": "100ms"}
    made = world.put("per-try", Split(((plain, 100),)), {"retries": retries, "timeout": "5s"})
    assert statuses(world.ask_often(made, MANY, "/delay/0.4", at_once=16)) == {504: MANY}
    assert world.count("plain") == 2 * MANY


@pytest.mark.parametrize(
    ("name", "limits", "text"),
    [
        ("pending", {"maxConnections": 2, "maxPendingRequests": 1}, "max_pending_requests': 1,"),
        ("requests", {"maxRequests": 2}, "max_requests': 2"),
        ("connections", {"maxConnections": 2}, "max_pending_requests': 2"),
    ],
)
def test_overload_is_answered_at_once(world: World, name: str, limits: dict[str, int], text: str) -> None:
    """Beyond the bounds clients get 503 and x-envoy-overloaded without waiting; within them everything is answered."""
    backend = world.version(name)
    made = world.put(f"limit-{name}", Split(((backend, 100),)), {"limits": limits})
    world.wait_for_cluster(backend, text)
    server = world.echoes[name][0]
    server.delay = 0.2

    def timed(_: int) -> tuple[int, bool, float]:
        started = time.monotonic()
        status, headers, _body = world.ask(made)
        return status, "x-envoy-overloaded" in headers, time.monotonic() - started

    found = world.often(timed, MANY, at_once=24)
    refused = [(overloaded, took) for status, overloaded, took in found if status == 503]
    served = [took for status, _, took in found if status == 200]
    assert len(refused) + len(served) == MANY
    assert len(refused) > MANY / 2
    assert all(overloaded for overloaded, _ in refused)
    assert sorted(took for _, took in refused)[len(refused) // 2] < 0.1
    assert max(took for _, took in refused) < 0.2 + 1  # threads of the test wait for each other, too
    assert max(served) < 3  # a queue of as many as are served at a time, and not of everybody
    assert server.count == len(served)  # what is refused is not sent, and not sent again
    server.delay = 0
    assert statuses(world.ask_often(made, MANY, at_once=1)) == {200: MANY}


def test_a_failing_replica_is_left_out(world: World) -> None:
    """After its errors in a row a replica gets nothing, and the others answer everything."""
    backend = world.version("outlier", replicas=2)
    detection = {"consecutiveErrors": 3, "interval": "100ms", "baseEjectionTime": "30s"}
    made = world.put("outlier", Split(((backend, 100),)), {"outlierDetection": detection})
    world.wait_for_cluster(backend, "outlier_detection")
    bad, good = world.echoes["outlier"]
    bad.status = 503

    def left_out() -> bool:
        world.ask_often(made, 20)
        return any(world.mesh.envoy.stats(r"outlier.*outlier_detection\.ejections_active").values())

    wait_for(left_out, "a replica that is left out", 10)
    bad.clear()
    good.clear()
    assert statuses(world.ask_often(made, MANY)) == {200: MANY}
    assert (bad.count, good.count) == (0, MANY)


def test_all_replicas_are_asked_when_all_are_left_out(world: World) -> None:
    """Where all replicas may be left out and all are, clients get answers all the same, and not those of nobody there."""
    backend = world.version("last", replicas=2)
    detection = {"consecutiveErrors": 3, "interval": "100ms", "baseEjectionTime": "30s", "maxEjectionPercent": 100}
    made = world.put("last", Split(((backend, 100),)), {"outlierDetection": detection})
    world.wait_for_cluster(backend, "outlier_detection")
    servers = world.echoes["last"]
    for server in servers:
        server.status = 503

    def left_out() -> bool:
        world.ask_often(made, 20)
        return sum(world.mesh.envoy.stats(r"last.*outlier_detection\.ejections_active").values()) == 2

    wait_for(left_out, "two replicas that are left out", 10)
    for server in servers:
        server.status = 200

    def known() -> bool:
        # Workers learn of several ejections within a second at its end (update_merge_window).
        world.ask_often(made, 8)
        return any(world.mesh.envoy.stats(r"resnet-last.*lb_healthy_panic").values())

    wait_for(known, "an Envoy that knows of no healthy replica, and asks all", 10)
    for server in servers:
        server.clear()
    assert statuses(world.ask_often(made, MANY)) == {200: MANY}
    assert world.count("last") == MANY
    assert all(server.count for server in servers)
