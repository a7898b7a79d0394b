"""The mesh of the tests: a real istiod configures a real Envoy, and what it is told changes what clients see."""

import contextlib
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.cluster.addons import gateway_api, istio
from tests.cluster.addons.echo import Echo
from tests.cluster.addons.envoy import Envoy, EnvoySidecar
from tests.cluster.addons.mesh_fixtures import Mesh
from tests.cluster.addons.service import http
from tests.cluster.errors import ClusterError
from tests.cluster.process import wait_for

pytestmark = pytest.mark.mesh

SPACE = "echoes"
HOSTS = {"one": f"one.{SPACE}.svc.cluster.local", "two": f"two.{SPACE}.svc.cluster.local"}


@pytest.fixture(scope="module")
def echoes(mesh_plane: Mesh) -> Iterator[dict[str, Echo]]:
    """Two echo servers behind Services of a namespace that goes at the end."""
    cluster = mesh_plane.cluster
    istio.apply(cluster, [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SPACE}}])
    with contextlib.ExitStack() as stack:
        made = {name: stack.enter_context(Echo(name)) for name in HOSTS}
        for one in made.values():
            one.serve(cluster, SPACE)
        yield made
    cluster.kubectl("delete", f"namespace/{SPACE}")


def _virtual_service(name: str, host: str, weights: dict[str, int]) -> dict:
    routes = [
        {"destination": {"host": HOSTS[it], "port": {"number": 80}}, "weight": weight} for it, weight in weights.items()
    ]
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": name, "namespace": SPACE},
        "spec": {
            "hosts": [host],
            "gateways": ["istio-system/ingress", "mesh"],
            "http": [{"name": "split", "route": routes}],
        },
    }


def _answers(url: str, host: str, count: int) -> Counter[str]:
    given = [http("GET", f"{url}/", headers={"Host": host}) for _ in range(count)]
    assert {status for status, _, _ in given} == {200}
    return Counter(headers["x-echo"] for _, headers, _ in given)


def test_a_split_is_counted_at_the_backends(mesh_plane: Mesh, echoes: dict[str, Echo]) -> None:
    """A VirtualService of 80 to 20 is seen in Envoy's weights and in what arrives; Envoy refuses nothing."""
    istio.apply(mesh_plane.cluster, [_virtual_service("split", "split.example.com", {"one": 80, "two": 20})])
    mesh_plane.envoy.wait_for_route("split.example.com")
    expected = {f"outbound|80||{HOSTS['one']}": 80, f"outbound|80||{HOSTS['two']}": 20}
    assert mesh_plane.envoy.weights("split.example.com") == expected
    assert mesh_plane.envoy.weights("split.example.com", route="split") == expected
    assert mesh_plane.envoy.weights("split.example.com", route="other") == {}
    given = _answers(mesh_plane.envoy.url, "split.example.com", 300)
    assert given == {name: echo.count for name, echo in echoes.items()}
    assert 200 < given["one"] < 280
    assert mesh_plane.envoy.rejections() == {}
    assert mesh_plane.istiod.rejections() == []


def test_the_same_envoy_serves_the_gateway_api(mesh_plane: Mesh, echoes: dict[str, Echo]) -> None:
    """An HTTPRoute is served at the port of the other Gateway, by weights, and reports that it was accepted."""
    route = {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": "half", "namespace": SPACE},
        "spec": {
            "parentRefs": [{"name": "ingress", "namespace": "istio-system"}],
            "hostnames": ["half.example.com"],
            "rules": [{"backendRefs": [{"name": name, "port": 80, "weight": 50} for name in HOSTS]}],
        },
    }
    istio.apply(mesh_plane.cluster, [route])
    envoy = mesh_plane.envoy
    envoy.wait_for_route("half.example.com", envoy.api_port)
    assert set(envoy.weights("half.example.com", envoy.api_port).values()) == {50}
    assert set(_answers(envoy.api_url, "half.example.com", 40)) == {"one", "two"}
    path = "jsonpath={.status.parents[*].conditions[?(@.type=='Accepted')].status}"
    assert mesh_plane.cluster.kubectl("get", "httproute/half", "-n", SPACE, "-o", path) == "True"
    assert envoy.rejections() == {}


def test_metrics_carry_whole_names(mesh_plane: Mesh, echoes: dict[str, Echo]) -> None:
    """Plain Envoy's metrics name a Service in one label, whole."""
    istio.apply(mesh_plane.cluster, [_virtual_service("named", "named.example.com", {"one": 100})])
    mesh_plane.envoy.wait_for_route("named.example.com")
    _answers(mesh_plane.envoy.url, "named.example.com", 1)
    lines = http("GET", mesh_plane.envoy.metrics_url)[2].decode().splitlines()
    wanted = f'cluster_name="outbound|80||{HOSTS["one"]}"'
    assert any(line.startswith("envoy_cluster_upstream_rq_xx{") and wanted in line for line in lines)


def test_istiod_refuses_what_makes_no_sense(mesh_plane: Mesh, echoes: dict[str, Echo]) -> None:
    """A negative weight is refused by istiod's own webhook, and by its words."""
    wrong = _virtual_service("wrong", "wrong.example.com", {"one": -5})
    with pytest.raises(ClusterError, match=r"rev\.validation\.istio\.io"):
        istio.apply(mesh_plane.cluster, [wrong])


def test_echo_does_as_it_is_told(mesh_plane: Mesh, echoes: dict[str, Echo]) -> None:
    """A header or the path say what an echo server answers, and it remembers what it was asked."""
    echo = echoes["one"]
    url = f"http://{echo.address}:8090"
    echo.clear()
    assert http("POST", f"{url}/status/503", b"hi")[0] == 503
    assert http("GET", url, headers={"X-Echo-Status": "418", "X-Echo-Delay": "0.01"})[0] == 418
    assert [(seen.method, seen.path, seen.body) for seen in echo.seen] == [
        ("POST", "/status/503", b"hi"),
        ("GET", "/", b""),
    ]
    assert echo.seen[1].headers["x-echo-status"] == "418"


def test_a_killed_istiod_comes_back(mesh_plane: Mesh, echoes: dict[str, Echo]) -> None:
    """Without istiod Envoy goes on serving and writes are refused; started again, it configures the same Envoy."""
    istio.apply(mesh_plane.cluster, [_virtual_service("stays", "stays.example.com", {"one": 100})])
    mesh_plane.envoy.wait_for_route("stays.example.com")
    mesh_plane.istiod.kill()
    try:
        assert _answers(mesh_plane.envoy.url, "stays.example.com", 5) == {"one": 5}
        with pytest.raises(ClusterError, match=r"rev\.validation\.istio\.io"):
            istio.apply(mesh_plane.cluster, [_virtual_service("later", "later.example.com", {"two": 100})])
    finally:
        mesh_plane.istiod.start()
    istio.apply(mesh_plane.cluster, [_virtual_service("later", "later.example.com", {"two": 100})])
    mesh_plane.envoy.wait_for_route("later.example.com")
    assert _answers(mesh_plane.envoy.url, "later.example.com", 5) == {"two": 5}


def test_apis_come_and_go(mesh_plane: Mesh, echoes: dict[str, Echo]) -> None:
    """With its CRDs Istio's routes go from Envoy; `install` brings back both APIs and both Gateways."""
    istio.apply(mesh_plane.cluster, [_virtual_service("gone", "gone.example.com", {"one": 100})])
    mesh_plane.envoy.wait_for_route("gone.example.com")
    istio.remove(mesh_plane.cluster)
    gateway_api.remove(mesh_plane.cluster)
    try:
        wait_for(lambda: not mesh_plane.envoy.routes("gone.example.com"), "no route", 20)
        kinds = mesh_plane.cluster.kubectl("api-resources", "-o", "name")
        assert "istio.io" not in kinds
        assert "gateway.networking.k8s.io" not in kinds
    finally:
        mesh_plane.install()
    istio.apply(mesh_plane.cluster, [_virtual_service("back", "back.example.com", {"two": 100})])
    mesh_plane.envoy.wait_for_route("back.example.com")
    assert _answers(mesh_plane.envoy.url, "back.example.com", 3) == {"two": 3}


def test_two_envoys_at_a_time(mesh_plane: Mesh, echoes: dict[str, Echo]) -> None:
    """A second ingress has ports of its own and gets what its labels ask for, also after it was killed."""
    labels = {"istio": "other"}
    with Envoy(mesh_plane.istiod.grpc, name="other", labels=labels) as envoy:
        assert envoy.port != mesh_plane.envoy.port
        istio.apply(mesh_plane.cluster, [istio.gateway("other", SPACE, envoy.port, ("*.other.example.com",), labels)])
        virtual = _virtual_service("other", "a.other.example.com", {"two": 100})
        virtual["spec"]["gateways"] = ["other"]
        istio.apply(mesh_plane.cluster, [virtual])
        envoy.wait_for_route("a.other.example.com")
        envoy.kill()
        envoy.start()
        envoy.wait_for_route("a.other.example.com")
        assert _answers(envoy.url, "a.other.example.com", 3) == {"two": 3}


def test_routes_of_the_mesh_apply_to_a_client(mesh_plane: Mesh, echoes: dict[str, Echo]) -> None:
    """A client inside of the mesh asks for a Service and gets the split that a VirtualService for its host says."""
    labels = {"app": "client"}
    with EnvoySidecar(mesh_plane.istiod.grpc, SPACE, labels) as client:
        virtual = _virtual_service("inside", HOSTS["one"], {"two": 100})
        istio.apply(mesh_plane.cluster, [istio.client_sidecar("client", SPACE, client.port, labels), virtual])
        wait_for(lambda: f":{client.port}" in client.get("/listeners"), "the client's proxy listens", 20)

        def answered() -> bool:
            with contextlib.suppress(OSError):
                return http("GET", client.url, headers={"Host": f"{HOSTS['one']}:80"})[1].get("x-echo") == "two"
            return False

        wait_for(answered, "an answer through the client's proxy", 20)
        assert client.rejections() == {}
