"""A real metrics-server reads real kubelets, and the real HPA controller scales on it."""

from collections.abc import Iterator

import pytest

from tests.cluster import Access, Cluster, images
from tests.cluster.addons import aggregation, loopback
from tests.cluster.addons.autoscaled import Workload
from tests.cluster.addons.metrics_server import MetricsServer
from tests.cluster.process import wait_for

pytestmark = [pytest.mark.adapter, pytest.mark.e2e]

_BUSY = "while True: pass"


@pytest.fixture(scope="module")
def server(cluster: Access) -> Iterator[MetricsServer]:
    """A metrics-server of the cluster with a real node."""
    if reason := loopback.missing():
        pytest.skip(f"tier adapter: {reason}")
    if not isinstance(cluster, Cluster):
        pytest.skip("tier adapter: programs of this machine cannot be an API of a kind cluster")
    with MetricsServer(cluster) as started:
        yield started


def test_an_hpa_scales_on_processor_time(cluster: Access, server: MetricsServer) -> None:
    """Pods that compute without end use what they may, which is twice what they ask for: the HPA adds one."""
    limits = {"requests": {"cpu": "50m"}, "limits": {"cpu": "100m"}}
    with Workload(cluster, "test-processor", image=images.IMAGES["pantala"].reference, python=_BUSY, **limits) as work:
        work.wait_for_replicas(1)
        target = {"type": "Utilization", "averageUtilization": 150}
        work.autoscale({"type": "ContainerResource", "containerResource": _measure("cpu", target)}, at_most=2)
        work.wait_for_replicas(2, 120)
        path = f"/apis/metrics.k8s.io/v1beta1/namespaces/{work.namespace}/pods"
        wait_for(lambda: len(aggregation.raw(cluster, path)["items"]) == 2, "figures of both pods", 60, every=0.5)
        assert work.conditions()["ScalingActive"] == ("True", "ValidMetricFound")


def _measure(name: str, target: dict[str, object]) -> dict[str, object]:
    return {"name": name, "container": "server", "target": target}
