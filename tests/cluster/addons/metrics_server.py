"""A real metrics-server as a process of this machine: processor and memory of the pods on real nodes, as `kubectl top` has it.

It reads every node's kubelet with the rights of its own manifest, and checks the kubelets' certificates. It listens at an
address of its own and needs root for that (`loopback`).
"""

import tempfile
from pathlib import Path
from typing import Self

import yaml

from tests.cluster import Cluster, build
from tests.cluster.addons import aggregation
from tests.cluster.addons.aggregation import PORT, SecureService
from tests.cluster.addons.loopback import Loopback

NAMESPACE = "kube-system"
SERVICE = "metrics-server"
"""Name of its Service and of its service account, in `NAMESPACE`, as in its manifests."""

API = "v1beta1.metrics.k8s.io"


class MetricsServer:
    """A metrics-server of a cluster with real nodes; a context manager. Its rights stay when it stops."""

    def __init__(self, cluster: Cluster) -> None:
        """Start it, register it and wait until its APIService is Available; figures come up to 20 s later.

        Raises:
            ClusterError: it did not get there; the message has the end of its output or the reason of the API server.
        """
        self.cluster = cluster
        self._place = Loopback()
        self._folder = tempfile.TemporaryDirectory(prefix="pantala-metrics-")
        self._process: SecureService | None = None
        try:
            self._process = self._run(Path(self._folder.name))
            certificate = Path(self._folder.name) / "ca.crt"
            aggregation.register(cluster, [API], SERVICE, NAMESPACE, self._place.address, certificate)
        except BaseException:
            self.stop()
            raise

    def _run(self, folder: Path) -> SecureService:
        program, address = build.ensure(["metrics-server"])["metrics-server"], self._place.address
        aggregation.authority(folder, SERVICE, NAMESPACE, [f"IP:{address}"])
        rights = yaml.safe_load_all((program.parent / "base/rbac.yaml").read_text())
        aggregation.apply(self.cluster, [one for one in rights if one])
        user = aggregation.service_account(self.cluster, NAMESPACE, SERVICE)
        command = [
            str(program),
            *aggregation.serving_flags(user, folder, address, itself="kubeconfig"),
            f"--kubelet-certificate-authority={self.cluster.paths.pki}/ca.crt",
            *("--kubelet-preferred-address-types=InternalIP", "--kubelet-use-node-status-port"),
            *("--metric-resolution=10s", "--kubelet-request-timeout=9s"),  # the least it takes, and less than that
        ]
        # /readyz says yes only when it has figures of two rounds, and a node that is slow delays it
        url = f"https://{address}:{PORT}/livez"
        return SecureService(command, url, folder / "ca.crt", aggregation.environment())

    @property
    def log(self) -> str:
        """What it has printed."""
        return self._process.log if self._process else ""

    def stop(self) -> None:
        """Remove its APIService and end it."""
        aggregation.unregister(self.cluster, [API], SERVICE, NAMESPACE)
        if self._process:
            self._process.stop()
        self._folder.cleanup()
        self._place.close()

    def __enter__(self) -> Self:
        """Return the running server."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop it."""
        self.stop()
