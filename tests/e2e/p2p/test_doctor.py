"""`pantala doctor` on real nodes with real dfdaemons (the scheduler is a stand-in): in order, and with what goes wrong."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster import Cluster
from tests.cluster.addons.dragonfly_nodes import CLIENT, NAMESPACE, NodePeers

pytestmark = [pytest.mark.e2e, pytest.mark.p2p]

ROOT = Path(__file__).parents[3]
SOCKET = "/var/run/dragonfly/dfdaemon.sock"


@pytest.fixture(scope="module", autouse=True)
def resource(cluster: Cluster) -> None:
    """The CRD of this release; no operator is needed."""
    cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", str(ROOT / "crds"))
    cluster.established("inferencemodels.pantala.dev")


def doctor(cluster: Cluster) -> tuple[int, list[dict[str, Any]]]:
    """Exit code and findings."""
    command = [sys.executable, "-m", "pantala", "doctor", "-o", "json", "--kubeconfig", str(cluster.kubeconfig)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.stderr == ""
    return done.returncode, json.loads(done.stdout)["findings"]


def errors(found: list[dict[str, Any]]) -> dict[str, str]:
    """The objects of errors, by check."""
    return {one["check"]: one["object"] for one in found if one["severity"] == "error"}


def test_in_order(cluster: Cluster, peers: NodePeers) -> None:
    """Real dfdaemons on every node: no error; metrics answer through the API server and tell the release; clocks agree."""
    with peers.seed():
        code, found = doctor(cluster)
    assert (code, errors(found)) == (0, {})
    told = {one["check"]: (one["severity"], one["message"], one["value"]) for one in found}
    count = len(cluster.node_names)
    assert told["dfdaemon"][:2] == ("ok", f"is ready on {count} of {count} nodes that take pods")
    assert told["metrics"][:2] == ("ok", f"all {count + 1} ready dfdaemons answer at their metrics port")
    assert told["version"][2] == "1.5.10"
    assert {told[check][0] for check in ("seeds", "scheduler", "manager", "socket", "clocks")} == {"ok"}


def test_a_node_without(cluster: Cluster, peers: NodePeers) -> None:
    """The node whose dfdaemon is gone is named."""
    peers.take_away(-1)
    try:
        code, found = doctor(cluster)
    finally:
        peers.bring_back(-1)
    assert (code, errors(found)) == (1, {"dfdaemon": f"Node {cluster.node_names[-1]}"})


@pytest.fixture
def moved(cluster: Cluster, peers: NodePeers) -> Iterator[None]:
    """A configuration with the socket elsewhere; the daemons that run do not read it again."""
    stored = cluster.kubectl("-n", NAMESPACE, "get", "configmap", CLIENT, "-o", "jsonpath={.data.dfdaemon\\.yaml}")
    config = yaml.safe_load(stored)
    config.setdefault("download", {}).setdefault("server", {})["socketPath"] = SOCKET.replace("dfdaemon", "other")

    def write(text: str) -> None:
        patch = json.dumps({"data": {"dfdaemon.yaml": text}})
        cluster.kubectl("-n", NAMESPACE, "patch", "configmap", CLIENT, "--type=merge", "-p", patch)

    write(yaml.safe_dump(config))
    yield
    write(stored)


@pytest.mark.usefixtures("moved")
def test_the_socket_elsewhere(cluster: Cluster) -> None:
    """A socket that is not where the fetcher looks is an error that names both paths."""
    code, found = doctor(cluster)
    assert code == 1
    (socket,) = [one for one in found if one["severity"] == "error"]
    assert (socket["check"], socket["object"]) == ("socket", f"ConfigMap {NAMESPACE}/{CLIENT}")
    assert socket["value"] == SOCKET.replace("dfdaemon", "other")
    assert SOCKET in socket["message"]
