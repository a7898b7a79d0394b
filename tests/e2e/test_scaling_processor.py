"""A model on a real node scales on its processor time, as a real metrics-server tells it; what is missing before that is said."""

from collections.abc import Iterator

import pytest

from tests.apiserver.metrics_scene import QUICK
from tests.apiserver.operator_process import Operator
from tests.cluster import Cluster
from tests.cluster.addons import loopback
from tests.cluster.addons.metrics_server import MetricsServer
from tests.e2e import scaling
from tests.e2e.journey import Replicas, journey, last_scale
from tests.e2e.mesh.counting import operating
from tests.e2e.support import Space

pytestmark = [pytest.mark.e2e, pytest.mark.adapter]

NAME = "computing"
MEASURES = [{"type": "CPUUtilization", "target": 100}, {"type": "MemoryUtilization", "target": 5000}]
REQUESTS = {"cpu": "100m", "memory": "64Mi"}


@pytest.fixture(scope="module")
def operator(cluster: Cluster) -> Iterator[Operator]:
    """An operator that looks often for what is missing, in place of the one of other modules."""
    if reason := loopback.missing():
        pytest.skip(reason)
    if not isinstance(cluster, Cluster):
        pytest.skip("programs of this machine cannot be an API of a kind cluster")
    with operating(cluster, *QUICK) as started:
        yield started


def test_processor_time_scales_a_model(space: Space, cluster: Cluster) -> None:
    """First there is no API, then an API without figures, then both measures; under load there are two replicas, then one."""
    scaling.store_work(space)
    spec = scaling.work_spec(space, 2, metrics=MEASURES)
    space.apply(NAME, {**spec, "resources": {"requests": REQUESTS}})
    space.wait_ready(NAME)
    told = space.wait_condition(NAME, "MetricsAvailable", "False", "NoMetricsAPI")
    assert "install metrics-server" in told["message"]
    with MetricsServer(cluster):
        # It has figures of a pod when it has read its kubelet twice, ten seconds apart.
        told = space.wait_condition(NAME, "MetricsAvailable", "False", "MetricFailed")
        assert (
            "CPUUtilization, MemoryUtilization: the HPA cannot read it (failed to get cpu utilization"
            in told["message"]
        )
        assert f"describe hpa {NAME}-v1" in told["message"]
        told = space.wait_condition(NAME, "MetricsAvailable", reason="MetricsFound")
        assert told["message"].endswith("has a value of each measure: CPUUtilization, MemoryUtilization.")
        with Replicas(cluster.kubeconfig, space.namespace, f"{NAME}-v1") as replicas:
            load = scaling.asking(space, NAME, 0, 8, 0.0)
            found = journey(replicas, load, 2)
        print(f"{found}; {replicas.told()}; {load.account()}")
        assert not load.lost, load.account()
        assert last_scale(space, NAME, 1).startswith("CPUUtilization")
    space.delete("inferencemodel", NAME)
