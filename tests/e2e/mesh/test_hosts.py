"""Hosts of models at a real gateway: whose they are, which there are without being asked for, and what the status tells."""

import functools
import json
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pantala.runtimes.images import TRITON
from tests.apiserver.operator_process import Operator
from tests.cluster import Cluster
from tests.cluster.addons import istio, models
from tests.cluster.addons.mesh_fixtures import GATEWAY, Mesh
from tests.cluster.addons.service import http
from tests.cluster.process import wait_for
from tests.e2e.mesh.counting import operating
from tests.e2e.support import BUCKET, Space

pytestmark = [pytest.mark.e2e, pytest.mark.mesh]

DOMAIN = "models.example.com"
"""Of automatic hosts."""
MANY = 500
PORT = 8700
SERVER = {
    "name": "custom",
    "image": TRITON,
    "custom": {"port": PORT, "command": ["python3", "-m", "http.server", str(PORT), "--directory", "/models"]},
}
"""A server that serves its weights: the word in them says which model answered."""
Make = Callable[..., None]


@pytest.fixture(scope="module", params=["istio", "gateway-api"])
def who(request: pytest.FixtureRequest) -> str:
    """Who routes."""
    return str(request.param)


@pytest.fixture(scope="module")
def operator(cluster: Cluster, mesh: Mesh, who: str) -> Iterator[Operator]:
    """The operator of an installation with a gateway and a domain, whose models may have hosts below example.com."""
    place = f"{istio.NAMESPACE}/{GATEWAY}"
    options = ("--mesh", who, "--gateway", place, "--domain", DOMAIN, "--allowed-domain", "*=example.com")
    with operating(cluster, *options) as process:
        yield process


@pytest.fixture(scope="module")
def url(mesh: Mesh, who: str) -> str:
    """Address of the gateway."""
    return mesh.envoy.url if who == "istio" else mesh.envoy.api_url


@pytest.fixture
def make(space: Space) -> Iterator[Make]:
    """Make or change a model with its name as its word; all of them go at the end of the test."""
    made = []

    def apply(name: str, **expose: Any) -> None:
        space.s3.put(BUCKET, f"{name}/word", name.encode())
        made.append(name)
        quick = {"spec": {"terminationGracePeriodSeconds": 2}}
        space.apply(name, space.spec("custom", f"{name}/", runtime=SERVER, template=quick, expose=expose))

    yield apply
    for name in made:
        space.kubectl("delete", "inferencemodel", name, "--ignore-not-found", "--wait=false")


def routed(space: Space, name: str) -> dict[str, Any]:
    """Wait until a model answers and its route is as asked; its status."""
    space.wait_condition(name, "Ready")
    space.wait_condition(name, "TrafficReady", reason="Routed")
    return space.status(name)


def word(url: str, host: str, path: str = "/word") -> str:
    """What is answered at a host: a word, or a status if it is not 200."""
    status, _, body = http("GET", f"{url}{path}", headers={"Host": host})
    return body.decode() if status == 200 else str(status)


def answers(url: str, host: str, expected: str, path: str = "/word") -> None:
    """Wait until the gateway answers so for a host."""
    wait_for(lambda: word(url, host, path) == expected, f"{expected} at {host}{path}", 30)


def test_a_host_belongs_to_who_had_it_first(space: Space, make: Make, url: str) -> None:
    """The second gets HostConflict and no request; the host by itself when the first is gone; then it holds it.

    Who holds a host keeps it, even against an older model.
    """
    host = f"shared.{space.namespace}.example.com"
    make("older", hosts=[f"older.{space.namespace}.example.com"])
    routed(space, "older")
    make("first", hosts=[host])
    assert routed(space, "first")["hosts"] == [host]
    answers(url, host, "first")
    make("second", hosts=[host])
    said = space.wait_condition("second", "TrafficReady", "False", "HostConflict")
    assert f"{space.namespace}/first" in said["message"]
    assert host in said["message"]
    space.wait_condition("second", "Ready")
    assert "hosts" not in space.status("second")
    assert Counter(word(url, host) for _ in range(MANY)) == {"first": MANY}
    space.delete("inferencemodel", "first")
    assert routed(space, "second")["hosts"] == [host]
    answers(url, host, "second")
    make("older", hosts=[host])
    said = space.wait_condition("older", "TrafficReady", "False", "HostConflict")
    assert f"{space.namespace}/second" in said["message"]
    assert Counter(word(url, host) for _ in range(MANY)) == {"second": MANY}


def test_prefixes_share_a_host(space: Space, make: Make, url: str) -> None:
    """Two models under prefixes of one host answer side by side; the servers see the path without, others get 404."""
    host = f"prefixes.{space.namespace}.example.com"
    for name in ("left", "right"):
        make(name, hosts=[host], prefix=f"/models/{name}")
    for name in ("left", "right"):
        status = routed(space, name)
        assert status["url"] == f"http://{host}:{url.rpartition(':')[2]}/models/{name}"
        answers(url, host, name, f"/models/{name}/word")
    found = Counter(word(url, host, f"/models/{name}/word") for _ in range(MANY // 2) for name in ("left", "right"))
    assert found == {"left": MANY // 2, "right": MANY // 2}
    for path in ("/word", "/models/leftover/word", "/models"):
        assert word(url, host, path) == "404", path
    make("over", hosts=[host], prefix="/models")
    said = space.wait_condition("over", "TrafficReady", "False", "HostConflict")
    assert "below /models/" in said["message"]


def test_automatic_and_allowed_hosts(space: Space, make: Make, url: str) -> None:
    """An empty `expose` gives NAME.NAMESPACE.DOMAIN; a host outside of the allowed domain is refused, others are not."""
    host = f"auto.{space.namespace}.{DOMAIN}"
    make("auto")
    make("strange", hosts=["strange.example.org", f"fine.{space.namespace}.example.com"])
    status = routed(space, "auto")
    assert (status["hosts"], status["url"]) == ([host], f"http://{host}:{url.rpartition(':')[2]}")
    answers(url, host, "auto")
    said = space.wait_condition("strange", "TrafficReady", "False", "HostNotAllowed")
    assert "strange.example.org" in said["message"]
    assert "fine" not in said["message"]
    assert space.status("strange")["hosts"] == [f"fine.{space.namespace}.example.com"]
    answers(url, f"fine.{space.namespace}.example.com", "strange")
    assert word(url, "strange.example.org") == "404"


@pytest.mark.parametrize("who", ["istio"], indirect=True)
def test_a_gateway_that_comes_late(space: Space, make: Make, mesh: Mesh) -> None:
    """GatewayMissing until it is there, HostNotServed until it takes the host: then the model answers, by itself."""
    host, port = f"late.{space.namespace}.example.com", mesh.envoy.spare_ports[0]
    place = {"kind": "Gateway", "namespace": space.namespace, "name": "late"}
    make("late", hosts=[host], gatewayRef=place)
    said = space.wait_condition("late", "TrafficReady", "False", "GatewayMissing")
    assert f"{space.namespace}/late" in said["message"]
    space.apply_object(istio.gateway("late", space.namespace, port, ["*.narrow.example.com"]))
    said = space.wait_condition("late", "TrafficReady", "False", "HostNotServed")
    assert host in said["message"]
    space.apply_object(istio.gateway("late", space.namespace, port, ["*.example.com"]))
    assert routed(space, "late")["url"] == f"http://{host}:{port}"
    mesh.envoy.wait_for_port(port)
    answers(f"http://{mesh.envoy.address}:{port}", host, "late")
    space.delete("gateways.networking.istio.io", "late")
    space.wait_condition("late", "TrafficReady", "False", "GatewayMissing")


def test_examples_answer(space: Space, make: Make, url: str, tmp_path: Path) -> None:
    """The line in `status.example` answers 200 through the gateway, for Triton, TorchServe and any server, with a prefix."""
    space.s3.put_folder(BUCKET, "add", models.triton_add(tmp_path, "add"))
    space.s3.put(BUCKET, "sum.mar", models.torchserve_sum(tmp_path))
    quick = {"spec": {"terminationGracePeriodSeconds": 2}}
    space.apply("add", space.spec("triton", "add/", template=quick, expose={}))
    space.apply("sum", space.spec("torchserve", "sum.mar", template=quick, expose={"prefix": "/models/sum"}))
    make("any")
    for name in ("add", "sum", "any"):
        example = routed(space, name)["example"]
        wait_for(functools.partial(_succeeds, example, url), f"200 for {example}", 10, every=0.5)
        status, body = tried(example, url)
        print(f"{name}: {example}: {status} {body[:120]!r}")
        assert status == "200"
    for name in ("add", "sum"):
        space.delete("inferencemodel", name)


def _succeeds(example: str, url: str) -> bool:
    return tried(example, url)[0] == "200"


def tried(example: str, url: str) -> tuple[str, str]:
    """Run an example as a shell does whose resolver knows the host; its status and what it printed."""
    address, _, port = url.removeprefix("http://").rpartition(":")
    assert example.startswith("curl ")
    line = (
        f"curl -sS --max-time 10 --connect-to ::{address}:{port} -w '\\n%{{http_code}}' {example.removeprefix('curl ')}"
    )
    ran = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    body, _, status = ran.stdout.rpartition("\n")
    return status, body


@pytest.mark.parametrize("who", ["istio"], indirect=True)
def test_a_load_balancer(space: Space, make: Make) -> None:
    """The Service asks the cloud for what the model asks for, and the address that the cloud gives is in the status."""
    asked = {
        "loadBalancerClass": "example.com/internal",
        "sourceRanges": ["203.0.113.0/24", "198.51.100.7"],
        "annotations": {"example.com/internal": "true"},
    }
    make("balanced", loadBalancer=asked)
    space.wait_condition("balanced", "Ready")
    service = space.get("service", "balanced-loadbalancer")
    assert service["spec"]["type"] == "LoadBalancer"
    assert service["spec"]["loadBalancerClass"] == "example.com/internal"
    assert service["spec"]["loadBalancerSourceRanges"] == ["203.0.113.0/24", "198.51.100.7/32"]
    assert service["metadata"]["annotations"]["example.com/internal"] == "true"
    assert "loadBalancer" not in space.status("balanced")
    given = {"status": {"loadBalancer": {"ingress": [{"ip": "203.0.113.9"}, {"hostname": "lb.example.com"}]}}}
    patch = ("patch", "service", "balanced-loadbalancer", "--subresource=status", "--type=merge")
    space.kubectl(*patch, "-p", json.dumps(given))
    wanted = ["203.0.113.9", "lb.example.com"]
    space.wait("balanced", "the addresses", lambda status: status.get("loadBalancer") == wanted, 30)
