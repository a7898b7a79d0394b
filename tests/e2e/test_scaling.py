"""Models on a real node go from one replica to three and back under load, and clients that do not retry lose nothing.

Real Triton and TorchServe, real Prometheus with the chart's rules, the real Prometheus Adapter and the HPA controller. The
work of the models is a sleep of known length: two cores carry three replicas.
"""

import statistics
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.apiserver.operator_process import Operator
from tests.cluster import Cluster
from tests.cluster.addons import loopback
from tests.cluster.addons.prometheus import Prometheus
from tests.cluster.addons.prometheus_adapter import PrometheusAdapter
from tests.cluster.process import wait_for
from tests.e2e import scaling
from tests.e2e.journey import last_scale, there_and_back
from tests.e2e.mesh.counting import operating
from tests.e2e.stories import telling
from tests.e2e.support import Space

pytestmark = [pytest.mark.e2e, pytest.mark.adapter]

WORK_SECONDS = 0.1
"""How long a model works for one request of the load."""
_ENOUGH = 60
"""Requests in the time that the recorded series look back over, and a few more."""


@pytest.fixture(scope="module")
def prometheus(cluster: Cluster) -> Iterator[Prometheus]:
    """Prometheus with the models of the cluster and the chart's recording rules."""
    with scaling.measuring(cluster) as started:
        yield started


@pytest.fixture(scope="module")
def adapter(cluster: Cluster, prometheus: Prometheus) -> Iterator[PrometheusAdapter]:
    """The metrics API of the cluster, with the configuration of the chart."""
    if reason := loopback.missing():
        pytest.skip(reason)
    with PrometheusAdapter(cluster, prometheus.url, scaling.adapter_config()) as started:
        yield started


@pytest.fixture(scope="module")
def operator(cluster: Cluster, prometheus: Prometheus) -> Iterator[Operator]:
    """An operator that knows Prometheus, in place of the one of other modules."""
    with operating(cluster, "--prometheus-url", prometheus.url) as started:
        yield started


@pytest.mark.parametrize(
    ("measure", "target", "clients", "pause"),
    [
        # 3 clients, each with an answer every 0.3 s: 10 requests in a second, more than 3 for each of three replicas.
        pytest.param("RequestsPerSecond", 4, 3, 0.2, id="requests"),
        # 7 clients without a pause: 6 wait while one is served. Of three replicas each still has more than one that waits.
        pytest.param("QueueLength", 1, 7, 0.0, id="queue"),
    ],
)
def test_load_scales_a_model_there_and_back(
    measure: str, target: int, clients: int, pause: float, space: Space, adapter: PrometheusAdapter
) -> None:
    """One replica becomes three under load, and one again after it.

    The status says that the metric is there, and why the last step was made. No request is lost, neither while replicas come nor while they go; who keeps a connection may lose one request for each
    replica that ends, since Triton does not announce that it closes (docs/limits.md).
    """
    scaling.store_work(space)
    name, metrics = measure.lower(), [{"type": measure, "target": target}]
    there_and_back(space, name, 3, {"metrics": metrics}, clients=clients, pause=pause)
    space.wait_condition(name, "MetricsAvailable", reason="MetricsFound")
    assert last_scale(space, name, 1).startswith(measure)
    space.delete("inferencemodel", name)


def test_recorded_series_are_what_clients_see(space: Space, prometheus: Prometheus, tmp_path: Path) -> None:
    """Of six clients of a server with one worker five wait: queue length, queue time and requests per second say so.

    Before the first request and after the last they are 0, not missing. Triton tells how many wait. TorchServe does not: its
    queue is computed from the time that requests have waited.
    """
    scaling.store_work(space)
    scaling.store_torchserve(space, tmp_path)
    space.apply("triton", space.spec("triton", f"{scaling.WORK}/"))
    space.apply("torchserve", space.spec("torchserve", f"{scaling.TORCHSERVE}/"))
    with telling({name: partial(_series, space, prometheus, name) for name in ("triton", "torchserve")}) as told:
        for name, story in told.items():
            story.result()
            space.delete("inferencemodel", name)


def _series(space: Space, prometheus: Prometheus, name: str, clients: int = 6) -> None:
    space.wait_ready(name)
    series = ("pantala_requests_per_second", "pantala_queue_length", "pantala_queue_milliseconds")
    of_model = f'{{namespace="{space.namespace}",pod=~"{name}-.*"}}'

    def values() -> list[float]:
        return [float(sample["value"][1]) for one in series for sample in prometheus.query(one + of_model)]

    def idle() -> None:
        last = f"{series[-1]}{of_model} == 0 and on () {series[0]}{of_model} == 0"
        prometheus.wait_for(last, seconds=60)
        assert values() == [0, 0, 0]

    idle()
    load = scaling.asking(space, name, round(WORK_SECONDS * 1000), clients, 0)
    with load:
        waiting = clients - 1
        prometheus.wait_for(f"abs({series[1]}{of_model} - {waiting}) < 0.7")
        begun = time.time()
        wait_for(lambda: len(load.between(begun)) > _ENOUGH, f"{_ENOUGH} answers of {name}", 90)
        requests, queue, milliseconds = values()
        seen = load.between(begun)
    rate = len(seen) / (max(it.ended for it in seen) - begun)
    latency = statistics.mean(it.ended - it.started for it in seen)
    print(
        f"{name}: {requests:.1f}/s ({rate:.1f}), {queue:.2f} wait ({waiting}), {milliseconds:.0f} ms ({latency * 1000:.0f} with the work)"
    )
    assert not load.lost, load.account()
    assert abs(queue - waiting) < 0.15 * waiting
    assert abs(requests - rate) < 0.25 * rate
    assert abs(milliseconds / 1000 - (latency - WORK_SECONDS)) < 0.25 * latency
    idle()
