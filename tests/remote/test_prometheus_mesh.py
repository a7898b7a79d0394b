"""What Prometheus counts at a gateway that a real istiod configured: its clusters have the names that the queries expect."""

import contextlib
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from pantala.planner.measured import Counted, fields
from pantala.remote.prometheus import Prometheus
from tests.cluster.addons import istio
from tests.cluster.addons.echo import Echo
from tests.cluster.addons.mesh_fixtures import GATEWAY, Mesh
from tests.cluster.addons.prometheus import Prometheus as Server
from tests.cluster.addons.service import http
from tests.cluster.process import wait_for
from tests.remote.recorded import job

pytestmark = pytest.mark.mesh

SPACE = "counted"
SHARES = {"v1": 80, "v2": 20}


@pytest.fixture(scope="module")
def versions(mesh_plane: Mesh) -> Iterator[dict[str, Echo]]:
    """Two versions that answer and a shadow that fails everything, each with a Service of its own."""
    cluster = mesh_plane.cluster
    istio.apply(cluster, [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SPACE}}])
    with contextlib.ExitStack() as stack:
        made = {name: stack.enter_context(Echo(f"resnet-{name}")) for name in (*SHARES, "v3")}
        for one in made.values():
            one.serve(cluster, SPACE)
        made["v3"].status = 503
        yield made
    cluster.kubectl("delete", f"namespace/{SPACE}")


@pytest.fixture(scope="module")
def client(mesh_plane: Mesh) -> Iterator[Prometheus]:
    """A Prometheus that has watched the gateway for as long as it is asked about."""
    target, path = mesh_plane.envoy.metrics_url.removeprefix("http://").split("/", 1)
    server = Server({"scrape_configs": [job(target, path=f"/{path}")]})
    made = Prometheus(server.url, window=timedelta(seconds=30))
    try:
        server.wait_for("up offset 30s == 1", seconds=60)
        yield made
    finally:
        made.close()
        server.stop()


def _istio() -> dict[str, Any]:
    def to(name: str) -> dict[str, Any]:
        return {"host": f"resnet-{name}.{SPACE}.svc.cluster.local", "port": {"number": 80}}

    routes = [{"destination": to(name), "weight": weight} for name, weight in SHARES.items()]
    mirrors = [{"destination": to("v3"), "percentage": {"value": 100}}]
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": "counted", "namespace": SPACE},
        "spec": {
            "hosts": ["istio.counted.example.com"],
            "gateways": [f"{istio.NAMESPACE}/{GATEWAY}"],
            "http": [{"route": routes, "mirrors": mirrors}],
        },
    }


def _gateway_api() -> dict[str, Any]:
    backends = [{"name": f"resnet-{name}", "port": 80, "weight": weight} for name, weight in SHARES.items()]
    mirror = {"type": "RequestMirror", "requestMirror": {"backendRef": {"name": "resnet-v3", "port": 80}}}
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": "counted", "namespace": SPACE},
        "spec": {
            "parentRefs": [{"name": GATEWAY, "namespace": istio.NAMESPACE}],
            "hostnames": ["api.counted.example.com"],
            "rules": [{"backendRefs": backends, "filters": [mirror]}],
        },
    }


@pytest.mark.parametrize("api", ["istio", "api"])
def test_split_and_mirror(mesh_plane: Mesh, versions: dict[str, Echo], client: Prometheus, api: str) -> None:
    """What Prometheus counted is what arrived at each version; copies that fail are no user's errors."""
    istio.apply(mesh_plane.cluster, [_istio() if api == "istio" else _gateway_api()])
    host = f"{api}.counted.example.com"
    url = mesh_plane.envoy.url if api == "istio" else mesh_plane.envoy.api_url
    wait_for(lambda: http("GET", url, headers={"Host": host})[0] == 200, "the route", 20, every=0.1)

    def counts() -> dict[str, Counted]:
        found = client.measure([SPACE])
        return {name: found.get((SPACE, f"resnet-{name}"), Counted()) for name in versions}

    # Whatever came before leaves the window first.
    wait_for(lambda: all(not one.users or not one.users.requests for one in counts().values()), "silence", 60, every=1)
    for one in versions.values():
        one.clear()
    given = Counter(http("GET", url, headers={"Host": host})[0] for _ in range(500))
    assert given == {200: 500}
    wait_for(lambda: versions["v3"].count == 500, "copies", 10)
    arrived = {name: one.count for name, one in versions.items()}

    def seen() -> dict[str, int]:
        return {name: round(one.users.requests) if one.users else 0 for name, one in counts().items()}

    # The counters are old by now: Prometheus' estimate from scrapes may be off by one or two in a hundred.
    wait_for(lambda: all(abs(seen()[name] - arrived[name]) <= arrived[name] / 20 for name in arrived), "counts", 20)
    found = {name: one.users for name, one in counts().items() if one.users is not None}
    assert [round(found[name].errors) for name in SHARES] == [0, 0]
    assert found["v3"].errors == found["v3"].requests
    told = fields(found, SHARES)
    assert abs(told["v1"]["observed"] - arrived["v1"] / 5) <= 2
    assert "observed" not in told["v3"]
