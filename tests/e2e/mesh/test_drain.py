"""A node of two is drained under load: nothing is lost."""

import json
from collections.abc import Iterator

import pytest

from tests.cluster import ClusterSpec
from tests.cluster.addons.mesh_fixtures import meshed
from tests.cluster.addons.s3 import S3Server
from tests.cluster.fixtures import running, unique
from tests.e2e.mesh.crowd import Crowd
from tests.e2e.mesh.processes import OperatorProcess
from tests.e2e.mesh.support import Exposed, exposed, namespace, store_versions

pytestmark = [pytest.mark.e2e, pytest.mark.mesh]

SPLIT = {"v1": 50, "v2": 50}


@pytest.fixture(scope="module")
def model(s3: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exposed]:
    """A model behind the mesh of a cluster of its own, with two real nodes."""
    folder = tmp_path_factory.mktemp("drain")
    with (
        running("mesh", ClusterSpec(unique("drain"), nodes=2, images=("pantala", "triton"))) as cluster,
        meshed(cluster, own=True) as mesh,
        OperatorProcess(cluster, folder),
        namespace(cluster, s3, "drain") as space,
        exposed(space, mesh, "triton", "moving") as made,
    ):
        store_versions(space, folder, 2)
        yield made


def test_nothing_is_lost_when_a_node_is_drained(model: Exposed) -> None:
    """`kubectl drain` with two replicas of each of two versions: all move to the other node, and no request is lost.

    The PodDisruptionBudgets let only one replica of a version go at a time.
    """
    model.apply("v1", "v2", replicas=2, split=SPLIT)
    model.wait_routed(SPLIT)
    for version in SPLIT:
        model.wait_pods(version, 2)
    node = model.space.pods(model.name)[0]["spec"]["nodeName"]
    leaving = [pod["metadata"]["name"] for pod in model.space.pods(model.name) if pod["spec"]["nodeName"] == node]
    loads = [model.load(keep_alive=kept, clients=8) for kept in (True, False)]
    with Crowd(*loads) as crowd:
        crowd.step(f"a node with {len(leaving)} of 4 pods is drained")
        options = ("--ignore-daemonsets", "--delete-emptydir-data", "--timeout=180s")
        model.space.cluster.kubectl("drain", node, *options)
        crowd.step("the pods are ready elsewhere")
        for version in SPLIT:
            model.wait_pods(version, 2)
        model.wait_weights(SPLIT)
    print(crowd.account())
    left = json.loads(model.space.kubectl("get", "pods", "-o", "json"))["items"]
    assert {pod["spec"]["nodeName"] for pod in left} == set(model.space.cluster.node_names) - {node}
    assert crowd.lost == 0, crowd.account()
    assert set(crowd.values(0)) == set(SPLIT)
