"""TorchServe on a real node: archives packed and unpacked, plain Python and PyTorch, and what must stay inside."""

from pathlib import Path

import pytest

from tests.cluster.addons import models
from tests.cluster.addons.service import http
from tests.cluster.process import wait_for
from tests.e2e.support import BUCKET, Space, accepts

pytestmark = pytest.mark.e2e

MANAGEMENT = 8081


def test_every_shape_of_a_stored_model_answers(space: Space, tmp_path: Path) -> None:
    """An archive, an unpacked one in a folder, and one with a scripted PyTorch module answer through the NodePort.

    The name for clients, which Kubernetes would refuse, is the one in /predictions/NAME, whatever the archive's own is.
    """
    space.s3.put(BUCKET, "sum.mar", models.torchserve_sum(tmp_path))
    space.s3.put(BUCKET, "net.mar", models.torchserve_net(tmp_path))
    space.s3.put_folder(BUCKET, "unpacked", models.torchserve_unpacked(tmp_path / "unpacked"))
    space.apply("sum", space.spec("torchserve", "sum.mar", modelName="squeezenet1_1"))
    space.apply("unpacked", space.spec("torchserve", "unpacked/"))
    space.apply("net", space.spec("torchserve", "net.mar"))
    for name in ("sum", "unpacked", "net"):
        space.wait_ready(name)
    assert space.ask_torchserve("sum", [1, 2, 3], "squeezenet1_1") == {"sum": 6}
    assert space.ask_torchserve("unpacked", [1, 2, 3]) == {"sum": 6}
    assert space.ask_torchserve("net", [1, 2, 3]) == 6.0
    assert http("POST", f"{space.url('sum')}/predictions/sum", b"[1]")[0] == 404
    _metrics_are_torchserves(space)
    _management_stays_inside(space)


def _metrics_are_torchserves(space: Space) -> None:
    """The annotated port of the pod has the counters of the model under its name for clients."""
    (pod,) = space.pods("sum")
    notes = pod["metadata"]["annotations"]
    url = f"http://{pod['status']['podIP']}:{notes['prometheus.io/port']}{notes['prometheus.io/path']}"
    status, _, text = http("GET", url)
    assert status == 200
    assert any(
        line.startswith("ts_inference_requests_total{") and 'model_name="squeezenet1_1"' in line
        for line in text.decode().splitlines()
    )


def _management_stays_inside(space: Space) -> None:
    """The management API, which could replace the model, answers in the pod alone: not to others, not at the NodePort."""
    (pod,), (other,) = space.pods("sum"), space.pods("net")
    code = "import urllib.request as u, sys; print(u.urlopen(sys.argv[1], timeout=5).status)"
    ask = lambda who, address: space.cluster.kubectl(  # noqa: E731
        *("-n", space.namespace, "exec", who["metadata"]["name"], "-c", "server", "--"),
        *("python3", "-c", code, f"http://{address}:{MANAGEMENT}/models"),
        check=False,
    )
    assert ask(pod, "127.0.0.1").strip() == "200"
    assert "Connection refused" in ask(other, pod["status"]["podIP"])
    assert not accepts(pod["status"]["podIP"], MANAGEMENT)
    ports = {port["port"] for name in ("sum", "sum-nodeport") for port in _ports(space, name)}
    assert MANAGEMENT not in ports
    assert http("GET", f"{space.url('sum')}/models")[0] in {404, 405}


def _ports(space: Space, name: str) -> list[dict[str, int]]:
    found: list[dict[str, int]] = space.get("service", name)["spec"]["ports"]
    return found


def test_a_killed_server_answers_again(space: Space, tmp_path: Path) -> None:
    """When the server's process is killed its container starts anew, with the weights that the pod has, and answers."""
    space.s3.put(BUCKET, "killed.mar", models.torchserve_sum(tmp_path, "killed"))
    space.apply("killed", space.spec("torchserve", "killed.mar"))
    space.wait_ready("killed")
    (before,) = space.pods("killed")
    space.kubectl("exec", before["metadata"]["name"], "-c", "server", "--", "python3", "-c",
                  "import os, signal; os.kill(1, signal.SIGTERM)")  # fmt: skip
    restarts = lambda: space.pods("killed")[0]["status"]["containerStatuses"][0]["restartCount"]  # noqa: E731
    wait_for(lambda: restarts() == 1, "the server starts anew", 60)
    space.wait_ready("killed")
    (after,) = space.pods("killed")
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert space.ask_torchserve("killed", [4, 5]) == {"sum": 9}
