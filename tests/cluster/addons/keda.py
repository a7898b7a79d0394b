"""A real KEDA as two processes of this machine: the operator, and the adapter that serves external.metrics.k8s.io.

Both run with the rights of KEDA's own manifests (`config` of its module) and listen at one address of their own; they need
root for that (`loopback`). Between them is mutual TLS, which KEDA cannot do without; one certificate serves both.
"""

import tempfile
from pathlib import Path
from typing import Any, Self

import yaml

from tests.cluster import Access, build
from tests.cluster.addons import aggregation, gateway_api
from tests.cluster.addons.aggregation import PORT, SecureService
from tests.cluster.addons.loopback import Loopback
from tests.cluster.addons.service import Service
from tests.cluster.process import free_port, start_time

NAMESPACE = "keda"
SERVICE = "keda-metrics-apiserver"
API = "v1beta1.external.metrics.k8s.io"
"""Its APIService, of which a cluster has one: no other program can serve external metrics beside KEDA."""

_ACCOUNT = "keda-operator"
"""Service account of both processes."""
_METRICS, _HEALTH, _GRPC = 8080, 8081, 9666
_RIGHTS = (
    "general/namespace",
    "service_account/service_account",
    "rbac/role",
    "rbac/role_binding",
    "metrics-server/role",
    "metrics-server/role_binding",
)
"""Files of its manifests that say what it may do."""


class Keda:
    """KEDA's CRDs, operator and adapter in a cluster; a context manager.

    `stop` takes the CRDs along, and every ScaledObject before, as long as there is an operator that removes their
    finalizers. Namespace and rights stay.
    """

    def __init__(self, cluster: Access) -> None:
        """Install it, start it, and wait until its APIService is Available.

        Raises:
            ClusterError: it did not get there; the message has the end of its output or the reason of the API server.
        """
        self.cluster = cluster
        self._place = Loopback()
        self.address = self._place.address
        self._folder = tempfile.TemporaryDirectory(prefix="pantala-keda-")
        self._certificates = Path(self._folder.name)
        self.operator: Service | None = None
        """The process that turns ScaledObjects into HPAs, scales from and to zero, and asks Prometheus."""
        self.adapter: Service | None = None
        """The process that the HPA controller asks, through the API server; it asks the operator."""
        try:
            names = [f"IP:{self.address}", f"DNS:{_ACCOUNT}.{NAMESPACE}.svc"]
            aggregation.authority(self._certificates, SERVICE, NAMESPACE, names)
            gateway_api.apply_crds(cluster, _crds())
            aggregation.apply(cluster, _rights())
            self._user = aggregation.service_account(cluster, NAMESPACE, _ACCOUNT)
            self.start()
        except BaseException:
            self.stop()
            raise

    def start(self) -> None:
        """Start both, also after one was killed, and wait until the APIService is Available; the address stays."""
        self.halt()
        self.operator = self._run_operator()
        self.adapter = self._run_adapter()
        certificate = self._certificates / "ca.crt"
        aggregation.register(self.cluster, [API], SERVICE, NAMESPACE, self.address, certificate)

    def _run_operator(self) -> Service:
        listen = {"metrics": _METRICS, "health-probe": _HEALTH, "metrics-service": _GRPC}
        return Service(
            [
                str(build.ensure(["keda-operator"])["keda-operator"]),
                *(f"--{name}-bind-address={self.address}:{port}" for name, port in listen.items()),
                *(f"--cert-dir={self._certificates}", "--enable-cert-rotation=false"),
                *(f"--ca-dir={self._certificates}", "--zap-log-level=info", "--zap-encoder=console"),
            ],
            f"http://{self.address}:{_HEALTH}/readyz",
            self._environment(),
        )

    def _run_adapter(self) -> SecureService:
        return SecureService(
            [
                str(build.ensure(["keda-adapter"])["keda-adapter"]),
                *aggregation.serving_flags(self._user, self._certificates, self.address),
                # its own metrics, at every address of the machine: another KEDA beside it has another port
                *(f"--kubeconfig={self._user}", f"--port={free_port()}"),
                *(f"--metrics-service-address={self.address}:{_GRPC}", f"--cert-dir={self._certificates}"),
                f"--client-ca-file={self._certificates}/ca.crt",
            ],
            f"https://{self.address}:{PORT}/readyz",
            self._certificates / "ca.crt",
            self._environment(),
        )

    def _environment(self) -> dict[str, str]:
        own = {"WATCH_NAMESPACE": "", "POD_NAMESPACE": NAMESPACE, "KEDA_CLUSTER_OBJECT_NAMESPACE": NAMESPACE}
        return aggregation.environment(**own, KUBECONFIG=str(self._user))

    @property
    def log(self) -> str:
        """What the operator has printed since its last start."""
        return self.operator.log if self.operator else ""

    def halt(self) -> None:
        """End both in order; CRDs, ScaledObjects, their HPAs and the APIService stay. Harmless when called again."""
        for process in (self.adapter, self.operator):
            if process:
                process.stop()

    def value(self, namespace: str, scaled_object: str, metric: str = "s0-prometheus") -> float:
        """Return what the HPA controller is told of a trigger of a ScaledObject, the first Prometheus one by default.

        Raises:
            ClusterError: the API server answered an error, for instance because Prometheus has no such series.
        """
        selector = f"scaledobject.keda.sh%2Fname%3D{scaled_object}"
        path = f"/apis/external.metrics.k8s.io/v1beta1/namespaces/{namespace}/{metric}?labelSelector={selector}"
        return sum(aggregation.amount(item["value"]) for item in aggregation.raw(self.cluster, path)["items"])

    def stop(self) -> None:
        """Remove ScaledObjects, APIService and CRDs, and end both processes."""
        if self.operator and "scaledobject" in self.cluster.kubectl("get", "scaledobjects", "-A", "-o", "name"):
            if not start_time(self.operator.pid):  # a test killed it
                self.operator = self._run_operator()
            self.cluster.kubectl("delete", "scaledobjects", "--all", "--all-namespaces", "--timeout=60s")
        aggregation.unregister(self.cluster, [API], SERVICE, NAMESPACE)
        self.halt()
        gateway_api.delete_crds(self.cluster, _crds())
        self._folder.cleanup()
        self._place.close()

    def __enter__(self) -> Self:
        """Return the running KEDA."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop it."""
        self.stop()


def _crds() -> str:
    folder = build.ensure(["keda-operator"])["keda-operator"].parent / "bases"
    return "\n---\n".join(path.read_text() for path in sorted(folder.glob("*.yaml")))


def _rights() -> list[dict[str, Any]]:
    folder = build.ensure(["keda-config"])["keda-config"]
    found = [(folder / f"{name}.yaml").read_text() for name in _RIGHTS]
    return [one for text in found for one in yaml.safe_load_all(text) if one]
