"""A real istiod as a process of this machine, for a cluster of the tests; it configures plain Envoys (`envoy.py`).

Three settings make istiod speak to an Envoy that is not Istio's build (found by leaving them out one by one): without
PILOT_ENABLE_METADATA_EXCHANGE=false and PILOT_ENABLE_ALPN_FILTER=false Envoy refuses filters that it does not have, and
without `enableAutoMtls: false` its clusters wait for secrets that nobody serves.
"""

import os
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Self

import yaml

from tests.cluster import Access, build
from tests.cluster.addons import gateway_api
from tests.cluster.addons.envoy import LABELS
from tests.cluster.addons.envoy_bootstrap import Address
from tests.cluster.addons.loopback import Loopback
from tests.cluster.addons.service import Service, http
from tests.cluster.process import wait_for

NAMESPACE = "istio-system"
VALIDATOR = f"istio-validator-{NAMESPACE}"
"""The name that istiod looks for to write its certificate into (with the label istio.io/rev)."""
Injection = Callable[[Address], Mapping[str, str]]
"""From istiod's address to the files of its sidecar injector."""
_GRPC, _HTTP, _MONITORING, _WEBHOOK = 15010, 8080, 15014, 15017
_MESH = {
    "defaultProviders": {},
    "enablePrometheusMerge": False,
    "trustDomain": "cluster.local",
    "ingressControllerMode": "OFF",
    "enableAutoMtls": False,
}
_ENVIRONMENT = {
    "POD_NAMESPACE": NAMESPACE,
    "POD_NAME": "istiod-0",
    "REVISION": "default",
    "CLUSTER_ID": "Kubernetes",
    "PILOT_ENABLE_METADATA_EXCHANGE": "false",
    "PILOT_ENABLE_ALPN_FILTER": "false",
    "ENABLE_LEADER_ELECTION": "false",  # one that was killed would be waited for, 30 s
}


def install(cluster: Access) -> None:
    """Apply Istio's CRDs and wait until they are served; again is harmless."""
    gateway_api.apply_crds(cluster, _crds())


def remove(cluster: Access) -> None:
    """Delete Istio's CRDs and with them every resource of Istio; returns when they are gone.

    A webhook that fails closed would refuse nothing of it, since deletions are not validated.
    """
    gateway_api.delete_crds(cluster, _crds())


def _crds() -> str:
    return (build.ensure(["istiod"])["istiod"].parent / "files/crd-all.gen.yaml").read_text()


class Istiod:
    """An istiod with its validation webhook, of a cluster that has Istio's CRDs; a context manager.

    It listens at an address of its own, so that several run on one machine; it needs root for that. `kill`, `halt` and
    `start` keep address and ports. While it does not run, writes of Istio's resources are refused, as in real life.
    """

    def __init__(self, cluster: Access, *, inject: Injection | None = None, mesh: dict[str, Any] | None = None) -> None:
        """Start it and wait until it answers and validates.

        Args:
            cluster: where Istio's CRDs are installed.
            inject: gives the files `config` and `values` of its sidecar injector (`injection.files`).
            mesh: what is changed of its mesh configuration (MeshConfig).

        Raises:
            ClusterError: it did not get there.
        """
        self._cluster = cluster
        self._place = Loopback()
        self.address = self._place.address
        self.grpc: Address = (self.address, _GRPC)
        """Where proxies get their configuration, without TLS."""
        self.monitoring_url = f"http://{self.address}:{_MONITORING}/metrics"
        self._folder = tempfile.TemporaryDirectory(prefix="pantala-istiod-")
        self._mesh, self._inject = Path(self._folder.name) / "mesh.yaml", inject is not None
        self.configure(**(mesh or {}))
        if inject:  # istiod has this path, relative to where it is started, as a constant
            place = Path(self._folder.name) / "var/lib/istio/inject"
            place.mkdir(parents=True)
            for name, text in inject(self.grpc).items():
                (place / name).write_text(text)
        self._process: Service | None = None
        try:
            apply(cluster, [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}])
            apply(cluster, [*_service(self.address), _validator()])
            self._process = self._run()
            wait_for(self._validates, "istiod's validation webhook", 90, every=0.1)
        except BaseException:
            self.stop()
            raise

    def _run(self) -> Service:
        program, where = str(build.ensure(["istiod"])["istiod"]), self.address
        listen = {"http": _HTTP, "grpc": _GRPC, "https": _WEBHOOK, "monitoring": _MONITORING}
        return Service(
            [
                *("env", f"--chdir={self._folder.name}", program, "discovery"),
                *("--kubeconfig", str(self._cluster.kubeconfig), "--namespace", NAMESPACE),
                *("--meshConfig", str(self._mesh), "--secureGRPCAddr", "", "--ctrlz_port", "0"),
                *(it for name, port in listen.items() for it in (f"--{name}Addr", f"{where}:{port}")),
            ],
            f"http://{where}:{_HTTP}/ready",
            {**os.environ, **_ENVIRONMENT, "INJECT_ENABLED": str(self._inject).lower()},
        )

    def _validates(self) -> bool:
        path = "jsonpath={.webhooks[0].failurePolicy}"
        return self._cluster.kubectl("get", "validatingwebhookconfiguration", VALIDATOR, "-o", path) == "Fail"

    def configure(self, **changes: Any) -> None:
        """Write the mesh configuration anew; a running istiod takes it over by itself."""
        self._mesh.write_text(yaml.safe_dump(_MESH | changes))

    @property
    def process(self) -> Service:
        """The process, the present one or the last."""
        assert self._process
        return self._process

    @property
    def log(self) -> str:
        """What it has printed since its last start."""
        return self.process.log

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()

    def halt(self) -> None:
        """End it in order; `start` starts it again."""
        self.process.stop()

    def start(self) -> None:
        """Start it again after `kill` or `halt` and wait until it answers, with the same address and ports."""
        self.process.stop()
        self._process = self._run()

    def rejections(self) -> list[str]:
        """Return the lines of its log in which a proxy refuses what it was sent."""
        return [line for line in self.log.splitlines() if "ACK ERROR" in line]

    def metrics(self) -> str:
        """Return its metrics in Prometheus' text format."""
        status, _, body = http("GET", self.monitoring_url)
        assert status == 200, body
        return body.decode()

    def stop(self) -> None:
        """End it and remove its webhook, which would refuse writes for ever; the CRDs and the namespace stay."""
        self._cluster.kubectl("delete", "--ignore-not-found", f"validatingwebhookconfiguration/{VALIDATOR}")
        if self._process:
            self._process.stop()
        self._folder.cleanup()
        self._place.close()

    def __enter__(self) -> Self:
        """Return the running istiod."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop it."""
        self.stop()


def apply(cluster: Access, objects: Iterable[dict[str, Any]]) -> None:
    """Apply objects with kubectl."""
    cluster.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(objects))


def gateway(
    name: str, namespace: str, port: int, hosts: Iterable[str] = ("*",), selector: dict[str, str] | None = None
) -> dict[str, Any]:
    """Return an Istio Gateway of one HTTP port.

    Args:
        name: of the Gateway.
        namespace: of the Gateway; its proxy is looked for in all.
        port: where the proxy listens (`Envoy.port`).
        hosts: as `*.models.example.com`; by default all.
        selector: labels of the proxy, by default those of Istio's own ingress gateway.
    """
    server = {"port": {"number": port, "name": "http", "protocol": "HTTP"}, "hosts": list(hosts)}
    spec = {"selector": selector or LABELS, "servers": [server]}
    return _istio("Gateway", name, namespace, spec)


def client_sidecar(name: str, namespace: str, port: int, labels: dict[str, str]) -> dict[str, Any]:
    """Return the `Sidecar` that makes the proxy of a client (`EnvoySidecar`) an HTTP proxy for its own namespace."""
    listener = {"number": port, "name": "http-proxy", "protocol": "HTTP_PROXY"}
    egress = {"port": listener, "bind": "0.0.0.0", "captureMode": "NONE", "hosts": ["./*"]}
    return _istio("Sidecar", name, namespace, {"workloadSelector": {"labels": labels}, "egress": [egress]})


def _istio(kind: str, name: str, namespace: str, spec: dict[str, Any]) -> dict[str, Any]:
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "networking.istio.io/v1", "kind": kind, "metadata": metadata, "spec": spec}


def _service(address: str) -> list[dict[str, Any]]:
    service, slice_ = gateway_api.service("istiod", NAMESPACE, address, {"https-webhook": _WEBHOOK}, front=443)
    service["metadata"]["labels"] = {"app": "istiod", "istio": "pilot", "istio.io/rev": "default"}
    return [service, slice_]


def _validator() -> dict[str, Any]:
    groups = ("security", "networking", "telemetry", "extensions")
    rule = {"apiGroups": [f"{it}.istio.io" for it in groups], "apiVersions": ["*"], "resources": ["*"]}
    webhook = {
        "name": "rev.validation.istio.io",
        "clientConfig": {"service": {"name": "istiod", "namespace": NAMESPACE, "path": "/validate"}},
        "rules": [{**rule, "operations": ["CREATE", "UPDATE"]}],
        "failurePolicy": "Ignore",  # istiod makes it Fail as soon as it can answer
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
    }
    labels = {"app": "istiod", "istio": "istiod", "istio.io/rev": "default"}
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": VALIDATOR, "labels": labels},
        "webhooks": [webhook],
    }
