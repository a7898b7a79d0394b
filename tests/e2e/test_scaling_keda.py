"""The same models scaled by a real KEDA, which asks Prometheus itself: by a measure of ours, and by a query of one's own."""

import json
from collections.abc import Iterator

import pytest

from tests.apiserver.operator_process import Operator
from tests.cluster import Cluster
from tests.cluster.addons import loopback
from tests.cluster.addons.keda import Keda
from tests.cluster.addons.prometheus import Prometheus
from tests.e2e import scaling
from tests.e2e.journey import there_and_back
from tests.e2e.mesh.counting import operating
from tests.e2e.support import Space

pytestmark = [pytest.mark.e2e, pytest.mark.keda]


@pytest.fixture(scope="module")
def prometheus(cluster: Cluster) -> Iterator[Prometheus]:
    """Prometheus with the models of the cluster and the chart's recording rules."""
    with scaling.measuring(cluster) as started:
        yield started


@pytest.fixture(scope="module")
def keda(cluster: Cluster) -> Iterator[Keda]:
    """KEDA in the cluster; no Prometheus Adapter is beside it."""
    if reason := loopback.missing():
        pytest.skip(reason)
    with Keda(cluster) as started:
        yield started


@pytest.fixture(scope="module")
def operator(cluster: Cluster, prometheus: Prometheus, keda: Keda) -> Iterator[Operator]:
    """An operator that tells KEDA where Prometheus is."""
    with operating(cluster, "--prometheus-url", prometheus.url, "--keda-prometheus-url", prometheus.url) as started:
        yield started


def test_keda_scales_a_model_there_and_back(space: Space) -> None:
    """By requests per second and by a query for how many wait, one replica becomes two under load, and one again after it.

    No request is lost. There is one autoscaler: the HPA that KEDA made.
    """
    scaling.store_work(space)
    measures = {
        "engine": "KEDA",
        "metrics": [{"type": "RequestsPerSecond", "target": 100}],
        "prometheus": [
            {
                "name": "waiting",
                "query": f'sum(avg_over_time(nv_inference_pending_request_count{{namespace="{space.namespace}",model="keda"}}[5s]))',
                "target": "1.5",
            }
        ],
    }
    # 5 clients without a pause: 4 wait while one is served, and of two replicas 3 while two are.
    there_and_back(space, "keda", 2, measures, clients=5, pause=0)
    space.wait_condition("keda", "MetricsAvailable", reason="MetricsFound")
    (autoscaler,) = json.loads(space.kubectl("get", "hpa", "-o", "json"))["items"]
    assert autoscaler["metadata"]["name"] == "keda-hpa-keda-v1"
    assert len(autoscaler["spec"]["metrics"]) == 2
    space.delete("inferencemodel", "keda")
