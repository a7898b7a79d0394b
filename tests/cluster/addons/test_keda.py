"""A real KEDA: operator, adapter, and the HPA that it makes, on simulated nodes."""

from collections.abc import Iterator

import pytest

from tests.cluster import Cluster
from tests.cluster.addons import aggregation
from tests.cluster.addons.autoscaled import NAME, Workload
from tests.cluster.addons.exporter import Exporter, series
from tests.cluster.addons.keda import API, Keda
from tests.cluster.addons.prometheus import Prometheus
from tests.cluster.errors import ClusterError
from tests.cluster.process import wait_for

pytestmark = [pytest.mark.keda, pytest.mark.apiserver]


@pytest.fixture(scope="module")
def exporter() -> Iterator[Exporter]:
    """What Prometheus scrapes every second."""
    with Exporter() as started:
        yield started


@pytest.fixture(scope="module")
def prometheus(exporter: Exporter) -> Iterator[Prometheus]:
    """Whom KEDA's operator asks."""
    with Prometheus({"scrape_configs": [exporter.scrape_job()]}) as started:
        yield started


def _trigger(prometheus: Prometheus) -> dict:
    metadata = {"serverAddress": prometheus.url, "query": "sum(depth)", "threshold": "10", "ignoreNullValues": "false"}
    return {"type": "prometheus", "metadata": metadata}


def test_a_scaled_object_scales(kwok_cluster: Cluster, keda: Keda, prometheus: Prometheus, exporter: Exporter) -> None:
    """The HPA of a ScaledObject follows its query up and down; the ScaledObject goes at once and no replica with it.

    Its HPA is left to the garbage collector, which knows a kind at most 30 s after its CRD was made.
    """
    with Workload(kwok_cluster, "test-keda") as work:
        exporter.text = series("depth", 35)
        work.scaled_object(_trigger(prometheus), minReplicaCount=1, maxReplicaCount=8, pollingInterval=1)
        work.wait_for_replicas(4)
        assert keda.value(work.namespace, NAME) == 35
        exporter.text = series("depth", 15)
        work.wait_for_replicas(2)
        assert work.conditions(f"hpa/keda-hpa-{NAME}")["ScalingActive"] == ("True", "ValidMetricFound")
        kwok_cluster.kubectl("delete", "--namespace", work.namespace, f"scaledobject/{NAME}", "--timeout=30s")
        work.wait_for_replicas(2, 5)


def test_a_query_without_data_is_said(
    kwok_cluster: Cluster, keda: Keda, prometheus: Prometheus, exporter: Exporter
) -> None:
    """Without a series the metric is an error to the HPA, which scales nothing, and the ScaledObject is not Ready."""
    exporter.text = ""
    prometheus.wait_for("depth", lambda found: not found)
    with Workload(kwok_cluster, "test-keda-nothing") as work:
        work.scaled_object(_trigger(prometheus), minReplicaCount=1, maxReplicaCount=8, pollingInterval=1)
        failed = ("False", "FailedGetExternalMetric")
        hpa = f"hpa/keda-hpa-{NAME}"
        wait_for(lambda: bool(work.get("hpa")["items"]), "KEDA's HPA", 30, every=0.2)
        wait_for(lambda: work.conditions(hpa).get("ScalingActive") == failed, "an HPA without a metric", 30, every=0.2)
        assert work.conditions(f"scaledobject/{NAME}")["Ready"] == ("False", "TriggerError")
        with pytest.raises(ClusterError, match="encountered error"):
            keda.value(work.namespace, NAME)


def test_what_was_killed_comes_back(kwok_cluster: Cluster, keda: Keda) -> None:
    """Both processes may be killed; started again, KEDA is available at the same address."""
    assert keda.operator
    assert keda.adapter
    keda.operator.kill()
    keda.adapter.kill()
    keda.start()
    assert aggregation.condition(kwok_cluster, API)["status"] == "True"
