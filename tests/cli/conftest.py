"""A cluster with a running operator, for the commands that need one."""

import json
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.cluster import Cluster
from tests.cluster.process import wait_for

PROGRAM = str(Path(sys.executable).with_name("pantala"))
NAMESPACE = "cli-tests"


@dataclass(frozen=True)
class Done:
    """A command that has ended."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Installation:
    """The CRD, a namespace of its own and, while `operator` runs, an operator for it."""

    cluster: Cluster
    namespace: str = NAMESPACE

    def pantala(self, *arguments: str, stdin: str = "") -> Done:
        """Run a command of the command line against the cluster."""
        command = [PROGRAM, *arguments, "--kubeconfig", str(self.cluster.kubeconfig)]
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False, timeout=60)
        return Done(done.returncode, done.stdout, done.stderr)

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """Run kubectl in the namespace."""
        return self.cluster.kubectl("-n", self.namespace, *arguments, stdin=stdin)

    def get(self, what: str) -> dict[str, Any]:
        """An object of the namespace."""
        found: dict[str, Any] = json.loads(self.kubectl("get", what, "-o", "json"))
        return found

    def until(self, condition: Callable[[], bool], what: str) -> None:
        """Wait for something that the operator does."""
        wait_for(condition, what, 180, every=0.2)


@pytest.fixture(scope="session")
def bare(kwok_cluster: Cluster) -> Iterator[Installation]:
    """The resource and a namespace, without an operator."""
    root = Path(__file__).parents[2]
    kwok_cluster.kubectl("apply", "--server-side", "-f", str(root / "crds"))
    kwok_cluster.established("inferencemodels.pantala.dev")
    kwok_cluster.kubectl("create", "namespace", NAMESPACE)
    yield Installation(kwok_cluster)
    kwok_cluster.kubectl("delete", "namespace", NAMESPACE, "--wait=false")


@contextmanager
def operator(at: Installation, folder: Path, *arguments: str, namespace: str = NAMESPACE) -> Iterator[None]:
    """An operator as a process of its own, for one namespace alone, while the context lasts."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = folder / "operator.log"
    command = [PROGRAM, "operator", "--kubeconfig", str(at.cluster.kubeconfig), "--log-format", "plain"]
    command += ["--namespace", namespace, "--lease-namespace", namespace, "--address", "127.0.0.1", "--port", str(port)]
    with log.open("wb") as stream:
        process = subprocess.Popen([*command, *arguments], stderr=stream)
    try:
        wait_for(lambda: process.poll() is not None or "active operator" in log.read_text(), "the operator", 180)
        assert process.poll() is None, log.read_text()
        yield
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture(scope="session")
def installation(bare: Installation, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """The same with a running operator."""
    with operator(bare, tmp_path_factory.mktemp("operator")):
        yield bare


@pytest.fixture
def alone(bare: Installation) -> Iterator[Installation]:
    """A namespace for tests that run operators of their own."""
    bare.cluster.kubectl("create", "namespace", f"{NAMESPACE}-alone")
    yield Installation(bare.cluster, f"{NAMESPACE}-alone")
    bare.cluster.kubectl("delete", "namespace", f"{NAMESPACE}-alone", "--wait=false")
