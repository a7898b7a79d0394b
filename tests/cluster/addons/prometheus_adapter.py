"""The real Prometheus Adapter as a process of this machine: custom, external and resource metrics out of a Prometheus.

It runs with the rights of its own manifests (`deploy/manifests` of its module) and listens at an address of its own; it
needs root for that (`loopback`). The HPA controller needs no further right: Kubernetes' own role for it has
`custom.metrics.k8s.io` and `external.metrics.k8s.io`.
"""

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

import yaml

from tests.cluster import Access, build
from tests.cluster.addons import aggregation
from tests.cluster.addons.aggregation import PORT, SecureService, amount
from tests.cluster.addons.loopback import Loopback
from tests.cluster.errors import ClusterError
from tests.cluster.process import wait_for

NAMESPACE = "monitoring"
SERVICE = "prometheus-adapter"
"""Name of its Service and of its service account, in `NAMESPACE`, as in its manifests."""

VERSIONS = ("v1beta1", "v1beta2")
"""Versions of custom.metrics.k8s.io that it serves; its chart registers only the first."""

_RIGHTS = (
    "service-account",
    "cluster-role",
    "cluster-role-binding",
    "cluster-role-binding-delegator",
    "role-binding-auth-reader",
)
"""Files of its manifests that say what it may do."""


class PrometheusAdapter:
    """A Prometheus Adapter that a cluster asks for metrics; a context manager.

    What it is registered for follows from its configuration: `rules` make custom metrics, `externalRules` external ones,
    `resourceRules` those of `kubectl top`. `stop` removes the APIServices; namespace and rights stay.
    """

    def __init__(
        self,
        cluster: Access,
        prometheus_url: str,
        config: dict[str, Any],
        relist: str = "2s",
        *,
        max_age: str = "1m",
        versions: Sequence[str] = VERSIONS,
        flags: Sequence[str] = (),
    ) -> None:
        """Start it, register it and wait until its APIServices are Available.

        Args:
            cluster: whose metrics API it shall be; one at a time.
            prometheus_url: whom it asks.
            config: content of its config.yaml: `rules` (metricsQuery, resources, ...), `externalRules`, `resourceRules`.
            relist: how often it looks which series there are (1m in its chart).
            max_age: how old the last sample of a series may be for its metric to be known; not less than `relist`.
            versions: of custom.metrics.k8s.io that are registered; the newest is what the HPA controller takes.
            flags: further ones of its command line.

        Raises:
            ClusterError: it did not get there; the message has the end of its output or the reason of the API server.
        """
        self.cluster, self.prometheus_url, self._relist, self._max_age = cluster, prometheus_url, relist, max_age
        self._versions, self._flags = versions, tuple(flags)
        self._place = Loopback()
        self.address = self._place.address
        self._folder = tempfile.TemporaryDirectory(prefix="pantala-adapter-")
        folder = Path(self._folder.name)
        self._config, self._certificate = folder / "config.yaml", folder / "ca.crt"
        self._process: SecureService | None = None
        self.apis: list[str] = []
        """Its APIServices."""
        try:
            aggregation.authority(folder, SERVICE, NAMESPACE, [f"IP:{self.address}"])
            aggregation.apply(cluster, _rights())
            self._user = aggregation.service_account(cluster, NAMESPACE, SERVICE)
            self.configure(config)
        except BaseException:
            self.stop()
            raise

    def configure(self, config: dict[str, Any]) -> None:
        """Give it another configuration: it is started again, as it reads its own only then, and registered for what it serves.

        Raises:
            ClusterError: it refused it or did not become Available.
        """
        self._config.write_text(yaml.safe_dump(config))
        self.halt()
        wanted = _apis(config, self._versions)
        if gone := [api for api in self.apis if api not in wanted]:
            aggregation.unregister(self.cluster, gone, SERVICE, NAMESPACE)
        self.apis = wanted
        self.start()

    def start(self) -> None:
        """Start it, also after `kill` or `halt`, and wait until its APIServices are Available; the address stays."""
        self.halt()
        program = build.ensure(["prometheus-adapter"])["prometheus-adapter"]
        flags = aggregation.serving_flags(self._user, Path(self._folder.name), self.address)
        flags += [f"--config={self._config}", f"--prometheus-url={self.prometheus_url}"]
        flags += [f"--metrics-relist-interval={self._relist}", f"--metrics-max-age={self._max_age}"]
        self._process = SecureService(
            [str(program), *flags, *self._flags],
            f"https://{self.address}:{PORT}/readyz",
            self._certificate,
            aggregation.environment(),
        )
        if self.apis:
            aggregation.register(self.cluster, self.apis, SERVICE, NAMESPACE, self.address, self._certificate)

    @property
    def log(self) -> str:
        """What it has printed since its last start."""
        return self._process.log if self._process else ""

    def kill(self) -> None:
        """SIGKILL; its APIServices stay and become unavailable within seconds (`aggregation.wait_available`)."""
        assert self._process
        self._process.kill()

    def halt(self) -> None:
        """End it in order; its APIServices stay. Harmless when called again."""
        if self._process:
            self._process.stop()

    def pods(self, namespace: str, metric: str, selector: str = "") -> dict[str, float]:
        """Return what the HPA controller is told of a Pods metric: the value of each pod by name, none for an unknown metric.

        Raises:
            ClusterError: the API server answered another error than NotFound.
        """
        path = f"/apis/custom.metrics.k8s.io/{self._versions[-1]}/namespaces/{namespace}/pods/*/{metric}"
        try:
            items = aggregation.raw(self.cluster, f"{path}?labelSelector={selector}")["items"]
        except ClusterError as error:
            if "NotFound" not in str(error):
                raise
            return {}
        return {item["describedObject"]["name"]: amount(item["value"]) for item in items}

    def wait_for_pods(
        self, namespace: str, metric: str, accept: Callable[[dict[str, float]], bool] = bool, seconds: float = 60
    ) -> dict[str, float]:
        """Ask until the values by pod are acceptable (by default: there are any), and return them.

        Raises:
            ClusterError: they were not in time; the message has the last ones.
        """
        seen: list[dict[str, float]] = [{}]

        def accepted() -> bool:
            seen[:] = [self.pods(namespace, metric)]
            return accept(seen[0])

        try:
            wait_for(accepted, f"metric {metric} of pods in {namespace}", seconds, every=0.2)
        except ClusterError as error:
            raise ClusterError(f"{error}; last {seen[0]}") from error
        return seen[0]

    def known(self, kind: str, metric: str) -> bool:
        """Whether it names a metric: `pods/NAME` and `namespaces/NAME` of kind `custom`, `NAME` of kind `external`."""
        version = self._versions[-1] if kind == "custom" else "v1beta1"
        found = aggregation.raw(self.cluster, f"/apis/{kind}.metrics.k8s.io/{version}")["resources"]
        return metric in {one["name"] for one in found}

    def external(self, namespace: str, metric: str, selector: str = "") -> list[float]:
        """Return the values of an external metric (`externalRules`).

        Raises:
            ClusterError: the API server answered an error, for instance that there is no such metric.
        """
        path = f"/apis/external.metrics.k8s.io/v1beta1/namespaces/{namespace}/{metric}?labelSelector={selector}"
        return [amount(item["value"]) for item in aggregation.raw(self.cluster, path)["items"]]

    def stop(self) -> None:
        """Remove its APIServices and end it; namespace and rights stay."""
        if self.apis:
            aggregation.unregister(self.cluster, self.apis, SERVICE, NAMESPACE)
        self.halt()
        self._folder.cleanup()
        self._place.close()

    def __enter__(self) -> Self:
        """Return the running adapter."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop it."""
        self.stop()


def _apis(config: dict[str, Any], versions: Sequence[str]) -> list[str]:
    apis = [f"{version}.custom.metrics.k8s.io" for version in versions] if config.get("rules") else []
    apis += ["v1beta1.external.metrics.k8s.io"] if config.get("externalRules") else []
    return apis + (["v1beta1.metrics.k8s.io"] if config.get("resourceRules") else [])


def _rights() -> list[dict[str, Any]]:
    folder = build.ensure(["prometheus-adapter"])["prometheus-adapter"].parent / "manifests"
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
    return [namespace, *(yaml.safe_load((folder / f"{name}.yaml").read_text()) for name in _RIGHTS)]
