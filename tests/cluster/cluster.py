"""A running cluster as tests and the demo see it."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.cluster import build, cleanup, control_plane, node, tier
from tests.cluster.access import Access
from tests.cluster.errors import ClusterError
from tests.cluster.pki import Authority
from tests.cluster.process import wait_for
from tests.cluster.progress import say
from tests.cluster.spec import ClusterSpec, Paths

_ROOT = Path(__file__).parents[2]
_STOP_SECONDS = 60.0


class Cluster(Access):
    """One local cluster: `Cluster.start(...)` makes one, `Cluster.attach(name)` finds one that is up."""

    def __init__(self, paths: Paths, process: "subprocess.Popen[bytes] | None" = None) -> None:
        self.paths = paths
        self._process = process
        self.spec = ClusterSpec.read(paths.spec)
        self.facts: dict[str, Any] = json.loads(paths.facts.read_text())

    @classmethod
    def start(cls, spec: ClusterSpec, *, keep: bool = False) -> "Cluster":
        """Build what is missing and start a cluster; return when its API server and its nodes are ready.

        Args:
            spec: what it shall be.
            keep: leave it running when this process ends; else it dies with this process, however that ends.

        Raises:
            ToolMissingError: this machine lacks a program or the rights for it.
            ClusterError: it did not start; the message says which part and where its log is.
        """
        tier.require(spec)
        control_plane.programs(spec)
        build.ensure((*(build.NODE if spec.nodes else ()), *(build.KWOK if spec.kwok else ())))
        if spec.nodes:
            node.seed_folder(spec)
        owner = 0 if keep else os.getpid()
        command = [sys.executable, "-m", "tests.cluster.supervisor", json.dumps(asdict(spec)), str(owner)]
        with tempfile.TemporaryFile() as errors:
            process = subprocess.Popen(
                command,
                cwd=_ROOT,
                stdin=subprocess.DEVNULL if keep else subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                start_new_session=True,
            )
            paths = Paths.of(spec.name)
            try:
                wait_for(lambda: process.poll() is not None or _belongs(paths, process.pid), "cluster up", 600)
            except BaseException:
                process.terminate()
                _reap(process)
                raise
            if process.poll() is not None:
                _reap(process)
                errors.seek(0)
                raise ClusterError(f"cluster {spec.name}: {errors.read().decode(errors='replace').strip()}")
        made = cls(paths, process)
        if spec.nodes and "pantala" in spec.images:
            made.load_named("pantala")
        return made

    @classmethod
    def attach(cls, name: str) -> "Cluster":
        """Find a cluster that is up.

        Raises:
            ClusterError: there is none of that name, or it is not ready yet.
        """
        paths = Paths.of(name)
        if not cleanup.is_alive(paths):
            raise ClusterError(f"no cluster {name!r} is up; `python -m tests.cluster up --name {name}` starts one")
        if not paths.facts.exists():
            raise ClusterError(f"cluster {name!r} is still starting; its logs are in {paths.log}")
        return cls(paths)

    def stop(self) -> None:
        """Remove the cluster and everything that belongs to it; returns when it is gone."""
        stop(self.paths.root.name)
        if self._process:
            _reap(self._process)

    @property
    def is_ours(self) -> bool:
        """Whether this process started it; else it was found, and stays."""
        return self._process is not None

    @property
    def name(self) -> str:
        """Name of the cluster."""
        return self.spec.name

    @property
    def kubeconfig(self) -> Path:
        """Kubeconfig of an administrator (system:masters, which nothing limits: tests of RBAC take `user`)."""
        return self.paths.kubeconfig

    @property
    def api_url(self) -> str:
        """URL of the API server."""
        url: str = self.facts["url"]
        return url

    @property
    def host_ip(self) -> str:
        """Address of this machine at which pods and the API server reach programs that listen on it or on 0.0.0.0."""
        return str(self.facts.get("host_ip", "127.0.0.1"))

    @property
    def node_ips(self) -> list[str]:
        """Addresses of the real nodes; NodePorts answer there."""
        return list(self.facts.get("node_ips", []))

    @property
    def node_names(self) -> list[str]:
        """Names of the real nodes."""
        return [node.name_of(self.spec, index) for index in range(self.spec.nodes)]

    @property
    def audit(self) -> Path | None:
        """The audit log (one JSON object per line), if the cluster was started with one."""
        return self.paths.audit if self.spec.audit else None

    @property
    def seconds(self) -> dict[str, float]:
        """Seconds from the supervisor's start to `api` (server ready) and to `ready` (nodes too)."""
        return dict(self.facts["seconds"])

    def user(self, name: str, groups: Sequence[str] = ()) -> Path:
        """Kubeconfig of a user with a client certificate and no rights but those that RBAC grants to the name or groups."""
        path = self.paths.root / "users" / f"{name.replace(':', '_').replace('/', '_')}.kubeconfig"
        if path.exists():
            return path
        return Authority(self.paths.pki).kubeconfig(path, self.api_url, name, groups)

    def load(self, image: Path) -> None:
        """Import an OCI archive into every real node."""
        node.load(self.paths, self.spec, image)

    def in_node(self, *command: str, index: int = 0) -> str:
        """Run a command in the namespaces of a real node and return its output."""
        return node.run_inside(self.paths, index, *command)

    def pid(self, component: str) -> int:
        """Process id of a component of the control plane (`kube-apiserver`, `etcd`, ...), to be killed or stopped by a test.

        A killed one is started again after half a second.
        """
        lines = (line.split(" ", 2) for line in self.paths.pids.read_text().splitlines())
        pids = [int(pid) for pid, _started, name in lines if name == component]
        if not pids:
            raise ClusterError(f"cluster {self.name} has no component {component!r}")
        return pids[-1]

    def problem(self) -> str:
        """What died since the start; empty if nothing did."""
        return self.paths.problem.read_text().strip() if self.paths.problem.exists() else ""


def _reap(process: "subprocess.Popen[bytes]") -> None:
    if process.stdin:
        process.stdin.close()
    process.wait()


def _belongs(paths: Paths, pid: int) -> bool:
    try:
        return bool(json.loads(paths.facts.read_text())["supervisor"] == pid)
    except (OSError, ValueError):
        return False


def stop(name: str) -> bool:
    """Take a cluster down, whoever started it and in whatever state it is; return whether there was anything."""
    paths = Paths.of(name)
    if not paths.root.exists():
        return False
    deadline = time.monotonic() + _STOP_SECONDS
    if cleanup.is_alive(paths) and paths.pids.exists():
        supervisor = int(paths.pids.read_text().split(" ", 1)[0])
        with contextlib.suppress(ProcessLookupError):
            os.kill(supervisor, signal.SIGTERM)
        while cleanup.is_alive(paths):
            if time.monotonic() > deadline:
                say(f"cluster {name}: its supervisor {supervisor} does not end; killing it")
                os.kill(supervisor, signal.SIGKILL)
                break
            time.sleep(0.05)
    with cleanup.registry_lock():
        if not cleanup.is_alive(paths):
            cleanup.remove(paths)
    return True
