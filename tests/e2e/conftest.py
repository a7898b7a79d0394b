"""A real node, a real store with models, the operator as a process beside them, and a namespace for each module."""

import secrets
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster import Cluster
from tests.cluster.addons.s3 import S3Server
from tests.cluster.addons.service import http
from tests.cluster.process import die_with_parent, free_port, wait_for
from tests.e2e.support import SECRET, Space, stop


@pytest.fixture(scope="module")
def operator(cluster: Cluster) -> Iterator["subprocess.Popen[bytes]"]:
    """The operator as a process of this machine, active; its log is printed when a test of the module fails."""
    cluster.kubectl("apply", "--server-side", "-f", "crds/")
    port = free_port()
    command = [
        sys.executable,
        "-m",
        "pantala",
        "operator",
        "--kubeconfig",
        str(cluster.kubeconfig),
        "--port",
        str(port),
    ]
    with tempfile.NamedTemporaryFile(prefix="pantala-operator-", suffix=".log") as log:
        process = subprocess.Popen(
            [*command, "--log-format", "plain"],
            stdout=log,
            stderr=subprocess.STDOUT,
            preexec_fn=die_with_parent,  # noqa: PLW1509
        )
        try:
            wait_for(lambda: _answers(port, process, Path(log.name)), "the operator", 180, every=0.2)
            yield process
        finally:
            stop(process)
            print(Path(log.name).read_text()[-8000:])


def _answers(port: int, process: "subprocess.Popen[bytes]", log: Path) -> bool:
    assert process.poll() is None, log.read_text()
    try:
        return http("GET", f"http://127.0.0.1:{port}/readyz", seconds=2)[0] == 200
    except OSError:
        return False


@pytest.fixture(scope="module")
def space(
    cluster: Cluster, s3: S3Server, operator: "subprocess.Popen[bytes]", request: pytest.FixtureRequest
) -> Iterator[Space]:
    """A namespace of its own for the module, with the Secret of the store.

    No run before used its name: in a cluster that stays, one that goes takes as long as its pods do.
    """
    name = request.module.__name__.rpartition(".")[2].replace("test_", "").replace("_", "-")
    name = f"{name}-{secrets.token_hex(2)}"
    cluster.kubectl("create", "namespace", name)
    found = Space(cluster, s3, name)
    found.apply_object(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": SECRET, "namespace": name},
            "stringData": s3.credentials,
        }
    )
    s3.create_bucket("models")
    yield found
    cluster.kubectl("delete", "namespace", name, "--wait=false")
