"""What every provider's cluster can do once there is a kubeconfig."""

import subprocess
from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from tests.cluster import build
from tests.cluster.errors import ClusterError
from tests.cluster.process import wait_for


class Access(ABC):
    """A cluster as tests see it, whoever provides it."""

    @property
    @abstractmethod
    def name(self) -> str:
        """Name of the cluster."""

    @property
    @abstractmethod
    def kubeconfig(self) -> Path:
        """Kubeconfig of an administrator (system:masters, which nothing limits: tests of RBAC take `user`)."""

    @property
    @abstractmethod
    def api_url(self) -> str:
        """URL of the API server."""

    @property
    @abstractmethod
    def host_ip(self) -> str:
        """Address of this machine at which pods and the API server reach programs that listen on it or on 0.0.0.0."""

    @property
    @abstractmethod
    def node_ips(self) -> list[str]:
        """Addresses of the real nodes; NodePorts answer there."""

    @property
    @abstractmethod
    def node_names(self) -> list[str]:
        """Names of the real nodes, in the order of `node_ips`."""

    @property
    @abstractmethod
    def audit(self) -> Path | None:
        """The audit log (one JSON object per line), if the cluster was started with one."""

    @abstractmethod
    def user(self, name: str, groups: Sequence[str] = ()) -> Path:
        """Kubeconfig of a user with a client certificate and no rights but those that RBAC grants to the name or groups."""

    @abstractmethod
    def load(self, image: Path) -> None:
        """Import an OCI archive into every real node."""

    @abstractmethod
    def in_node(self, *command: str, index: int = 0) -> str:
        """Run a command in the namespaces of a real node and return its output."""

    @abstractmethod
    def stop(self) -> None:
        """Remove the cluster and everything that belongs to it; returns when it is gone."""

    @property
    def node_ip(self) -> str:
        """Address of the first real node.

        Raises:
            ClusterError: the cluster has none.
        """
        if not self.node_ips:
            raise ClusterError(f"cluster {self.name} has no real node")
        return self.node_ips[0]

    def load_named(self, name: str) -> None:
        """Build (once) and import one of the local images: pause, pantala, triton, torchserve."""
        from tests.cluster import images  # what needs no node needs no images

        self.load(images.ensure(name))

    @cached_property
    def _kubectl(self) -> str:
        return str(build.ensure(["kubectl"])["kubectl"])

    def kubectl(
        self, *arguments: str, stdin: str | None = None, kubeconfig: Path | None = None, check: bool = True
    ) -> str:
        """Run kubectl and return its output.

        Args:
            arguments: as on the command line.
            stdin: what it reads, for `apply -f -`.
            kubeconfig: of another user than the administrator.
            check: raise if it fails; else standard error is part of the result.

        Raises:
            ClusterError: it failed; the message is what it said.
        """
        command = [self._kubectl, f"--kubeconfig={kubeconfig or self.kubeconfig}", *arguments]
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
        if done.returncode and check:
            raise ClusterError(f"kubectl {' '.join(arguments)}: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout + (done.stderr if done.returncode else "")

    def established(self, crd: str, seconds: float = 30) -> None:
        """Wait until the API server serves the kind of a CRD; `kubectl wait` fails where it has no conditions yet.

        Raises:
            ClusterError: it does not, in time.
        """
        path = "jsonpath={.status.conditions[?(@.type=='Established')].status}"
        wait_for(lambda: self.kubectl("get", "crd", crd, "-o", path, check=False) == "True", f"CRD {crd}", seconds)
