"""A model on a real node scales on its processor time, as a real metrics-server tells it; what is missing before that is said."""

import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.apiserver.metrics_scene import QUICK
from tests.apiserver.operator_process import Operator
from tests.cluster import Cluster
from tests.cluster.addons import loopback
from tests.cluster.addons.metrics_server import MetricsServer
from tests.e2e import scaling
from tests.e2e.journey import Replicas
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
            replicas.wait(1, 0)
            begun = time.time()
            with scaling.asking(space, NAME, 0, 8, 0.0) as load:
                up = replicas.wait(2, begun)
            ended = time.time()
            down = replicas.wait(1, ended)
        print(f"two wanted and ready after {up} s, one after {down} s; {replicas.told()}; {load.account()}")
        assert not load.lost, load.account()
        space.wait(NAME, "the last step is told", lambda found: _last(found).get("toReplicas") == 1)
        assert _last(space.status(NAME))["why"].startswith("CPUUtilization")
    space.delete("inferencemodel", NAME)


def _last(status: dict[str, Any]) -> Any:
    return status["versions"][0]["autoscaler"].get("lastScale", {})
