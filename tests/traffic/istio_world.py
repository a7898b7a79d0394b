"""Backends of versions and an Envoy in front of them, for tests of what a route does to requests."""

import contextlib
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pantala.traffic import istio
from pantala.traffic.route import Backend, Route, Split
from tests.cluster.addons import istio as addon
from tests.cluster.addons.echo import PORT, Echo
from tests.cluster.addons.mesh_fixtures import GATEWAY, Mesh
from tests.cluster.addons.service import http
from tests.cluster.process import wait_for
from tests.traffic.istio_cases import route

SPACE = "routed"
T = TypeVar("T")
Answer = tuple[int, Mapping[str, str], bytes]


@dataclass
class World:
    """A namespace with versions whose servers remember what they were asked."""

    mesh: Mesh
    stack: contextlib.ExitStack
    echoes: dict[str, list[Echo]] = field(default_factory=dict)
    """Servers by version; what is asked at the port of gRPC comes to `NAME-grpc`."""

    def version(self, name: str, replicas: int = 1, *, grpc: bool = False) -> Backend:
        """A version with as many servers; `grpc` adds a server of HTTP/1.1 at the second port, which only stands for its place."""
        places = {"http": (name, 8000, replicas)} | ({"http-grpc": (f"{name}-grpc", 8001, 1)} if grpc else {})
        slices, ports = [], []
        for port, (key, number, count) in places.items():
            made = [self.stack.enter_context(Echo(f"{key}-{index}")) for index in range(count)]
            self.echoes[key] = made
            slices.append(endpoints(f"resnet-{name}", port, PORT, [it.address for it in made]))
            ports.append({"name": port, "port": number, "targetPort": PORT})
        self.serve(f"resnet-{name}", ports, slices)
        return Backend(name, f"resnet-{name}", 8000, 8001 if grpc else None, replicas)

    def serve(self, service: str, ports: list[dict[str, Any]], slices: list[dict[str, Any]]) -> None:
        """Make a Service with these ports and endpoints."""
        meta = {"name": service, "namespace": SPACE}
        made = {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": {"ports": ports}}
        addon.apply(self.mesh.cluster, [made, *slices])

    def put(self, name: str, split: Split, traffic: dict[str, Any] | None = None, **fields: Any) -> Route:
        """Write the objects of a route with a host of its own, and wait until Envoy has it without a rejection."""
        host = f"{name}.routed.example.com"
        exposed = {"gateway": (addon.NAMESPACE, GATEWAY), "hosts": (host,)} | fields
        made = route(split, traffic, name=name, namespace=SPACE, owner=(), **exposed)
        objects = istio.objects(made)
        addon.apply(self.mesh.cluster, objects)
        prefix = made.prefix or ""

        def there() -> bool:
            found = self.mesh.envoy.routes(made.hosts[0])
            paths = {it["match"].get("path", it["match"].get("prefix", "")) for it in found}
            return bool(found) and any(it.startswith(prefix) for it in paths)

        wait_for(there, f"the route {name} in Envoy", 90, every=0.05)
        assert self.mesh.envoy.rejections() == {}
        for one in self.servers():
            one.clear()
        return made

    def wait_for_cluster(self, backend: Backend, text: str) -> None:
        """Wait until Envoy's cluster of a version has something in its configuration."""
        name = rf"outbound\|{backend.http}\|\|{backend.service}\.{SPACE}\..*"

        def there() -> bool:
            return text in str(self.mesh.envoy.config_dump("dynamic_active_clusters", name))

        wait_for(there, f"{text} in the cluster of {backend.service}", 90, every=0.05)

    def servers(self) -> list[Echo]:
        """All servers of all versions."""
        return [one for made in self.echoes.values() for one in made]

    def count(self, key: str) -> int:
        """How many requests came to a version's servers."""
        return sum(one.count for one in self.echoes[key])

    def paths(self, key: str) -> Counter[str]:
        """The paths that a version's servers were asked for."""
        return Counter(seen.path for one in self.echoes[key] for seen in one.seen)

    def ask(self, made: Route, path: str = "/", method: str = "GET", **headers: str) -> Answer:
        """Send one request to the gateway; underscores in names of headers stand for hyphens."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return http(method, f"{self.mesh.envoy.url}{path}", headers={"Host": made.hosts[0], **named})

    def ask_often(self, made: Route, times: int, path: str = "/", at_once: int = 8, **headers: str) -> list[Answer]:
        """Send many requests, several at a time."""
        return self.often(lambda _: self.ask(made, path, **headers), times, at_once)

    def often(self, call: Callable[[int], T], times: int, at_once: int) -> list[T]:
        """Call something many times, several at a time."""
        with ThreadPoolExecutor(at_once) as pool:
            return list(pool.map(call, range(times)))


def endpoints(service: str, port: str, number: int, addresses: list[str]) -> dict[str, Any]:
    """The EndpointSlice of one port of a Service."""
    labels = {"kubernetes.io/service-name": service}
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": f"{service}-{port}", "namespace": SPACE, "labels": labels},
        "addressType": "IPv4",
        "ports": [{"name": port, "port": number, "protocol": "TCP"}],
        "endpoints": [{"addresses": [address], "conditions": {"ready": True}} for address in addresses],
    }


def statuses(answers: list[Answer]) -> Counter[int]:
    """How many answers had which status."""
    return Counter(status for status, _, _ in answers)
