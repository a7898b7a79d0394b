"""The gateways that the chart makes, before the real CRDs and the real istiod, and with requests through a real Envoy."""

import http.client
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.charts.helm import CHART, Helm, documents
from tests.charts.values import GATEWAYS
from tests.cluster.addons import gateway_api, istio
from tests.cluster.addons.echo import Echo
from tests.cluster.addons.mesh_fixtures import Mesh
from tests.cluster.process import wait_for

pytestmark = pytest.mark.mesh

SYSTEM, SPACE = "chart-gateway", "chart-gateway-models"
HOST = f"resnet.{SPACE}.models.example.com"


@pytest.fixture(scope="module")
def plane(mesh_plane: Mesh) -> Iterator[Mesh]:
    """A mesh with the namespaces that the values name, which are gone afterwards."""
    spaces = (SYSTEM, SPACE, "ingress")
    istio.apply(
        mesh_plane.cluster, [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": it}} for it in spaces]
    )
    yield mesh_plane
    mesh_plane.cluster.kubectl("delete", "--wait=false", *(f"namespace/{it}" for it in spaces))


def rendered(values: dict[str, Any]) -> list[dict[str, Any]]:
    """What the chart makes of a gateway."""
    found = documents(Helm().template(values, f"--namespace={SYSTEM}"))
    return [obj for obj in found if obj["kind"] in {"Gateway", "HTTPRoute"}]


@pytest.mark.parametrize("name", GATEWAYS)
def test_the_real_crds_take_every_gateway(plane: Mesh, name: str) -> None:
    """A server-side dry run with strict validation takes each object; istiod's webhook has no objection, and no warning."""
    objects = rendered(GATEWAYS[name])
    assert objects
    options = ("--server-side", "--dry-run=server", "--validate=strict", "--warnings-as-errors")
    output = plane.cluster.kubectl("apply", *options, "-f", "-", stdin=yaml.safe_dump_all(objects))
    assert len(output.splitlines()) == len(objects)


def _routed(plane: Mesh, gateway: dict[str, Any], *hosts: str) -> None:
    route = {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": "resnet", "namespace": SPACE},
        "spec": {
            "hosts": list(hosts),
            "gateways": [f"{SYSTEM}/pantala"],
            "http": [{"route": [{"destination": {"host": f"one.{SPACE}.svc.cluster.local", "port": {"number": 80}}}]}],
        },
    }
    istio.apply(plane.cluster, [gateway, route])


def _ask(plane: Mesh, port: int, host: str) -> tuple[int, str | None, str | None]:
    """Status, name of the server and place of a redirect, which is not followed."""
    connection = http.client.HTTPConnection(plane.envoy.address, port, timeout=10)
    connection.request("GET", "/", headers={"Host": host})
    answer = connection.getresponse()
    connection.close()
    return answer.status, answer.headers["x-echo"], answer.headers["location"]


def test_automatic_hosts_are_answered(plane: Mesh) -> None:
    """Through the gateway that is made for a domain, a host NAME.NAMESPACE.DOMAIN leads to its backend, another one nowhere.

    With TLS and a redirect the same request is sent to HTTPS.
    """
    port, secure = plane.envoy.spare_ports[:2]
    own: dict[str, Any] = {"create": True, "port": port, "selector": dict(plane.envoy.labels)}
    values = {"traffic": {"domain": "models.example.com"}, "gateway": own}
    (gateway,) = rendered(values)
    with Echo("one") as echo:
        echo.serve(plane.cluster, SPACE)
        _routed(plane, gateway, HOST, "resnet.example.org")
        plane.envoy.wait_for_route(HOST, port)
        assert _ask(plane, port, HOST) == (200, "one", None)
        assert _ask(plane, port, "resnet.example.org") == (404, None, None)

        own["tls"] = {"secretName": "models-certificate", "port": secure}
        istio.apply(plane.cluster, rendered(values))
        wait_for(lambda: _ask(plane, port, HOST)[0] == http.client.MOVED_PERMANENTLY, "a redirect", 20)
        echo.clear()
        assert _ask(plane, port, HOST) == (301, None, f"https://{HOST}/")
        assert echo.count == 0
    assert plane.envoy.rejections() == {}


@pytest.mark.parametrize("name", ["gateway-api", "gateway-api-both"])
def test_the_gateway_api_accepts_it(plane: Mesh, name: str) -> None:
    """The controller of the class accepts the Gateway and its listeners."""
    objects = rendered(GATEWAYS[name])
    istio.apply(plane.cluster, objects)
    plane.cluster.kubectl(
        "wait", "--for=condition=Accepted", "--timeout=30s", "-n", SYSTEM, f"gateways.{gateway_api.GROUP}/pantala"
    )


def test_a_release_brings_and_takes_its_gateway(plane: Mesh) -> None:
    """Helm installs the gateway with the release, beside istiod's webhook, and removes it with it."""
    helm, where = Helm(plane.cluster.kubeconfig), f"--namespace={SYSTEM}"
    values = {"crds": {"enabled": False}, **GATEWAYS["istio"]}
    plane.cluster.kubectl("delete", "--ignore-not-found", "-n", SYSTEM, "gateways.networking.istio.io/pantala")
    helm.run("install", "edge", str(CHART), where, values=values)
    try:
        path = "jsonpath={.spec.servers[0].hosts[0]}"
        name = ("gateways.networking.istio.io/edge-pantala", "-n", SYSTEM)
        assert plane.cluster.kubectl("get", *name, "-o", path) == "*.models.example.com"
    finally:
        helm.run("uninstall", "edge", where)
    assert plane.cluster.kubectl("get", *name, "--ignore-not-found") == ""
