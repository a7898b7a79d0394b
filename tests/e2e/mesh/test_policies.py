"""What sidecars enforce for a model of real Triton pods, by the operator: counted at the gateway, at the NodePort and at the server."""

import functools
import hashlib
import json
import os
import re
import shlex
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from typing_extensions import override

from tests.apiserver.operator_process import Operator
from tests.cluster import Cluster
from tests.cluster.addons import injection
from tests.cluster.addons.issuer import Issuer
from tests.cluster.addons.mesh_fixtures import Mesh
from tests.cluster.addons.service import http
from tests.cluster.process import wait_for
from tests.e2e.mesh.counting import counted, operating
from tests.e2e.mesh.support import Exposed, exposed
from tests.e2e.support import Space

pytestmark = [pytest.mark.e2e, pytest.mark.mesh]

SOME = 500
"""Requests of each kind, by each way."""
KEY = "3f1c9a7e0b5d48c2"
LARGEST = 4096
LIMIT = 100
TRAFFIC: dict[str, Any] = {
    "target": "v1",
    "access": {"allow": [{"methods": ["GET", "POST"]}], "deny": [{"paths": ["/v2/repository*"]}]},
    "authentication": {"apiKeys": {"keys": [{"name": "team-a", "sha256": hashlib.sha256(KEY.encode()).hexdigest()}]}},
    "limits": {"maxBodySize": "4Ki"},
}
ADMIN = 15000
"""Port of a sidecar's administration."""


@pytest.fixture(scope="module")
def operator(cluster: Cluster, injected: Mesh) -> Iterator[Operator]:
    """The operator, in a cluster whose namespaces can have sidecars."""
    with operating(cluster, "--mesh", "istio") as process:
        yield process


@dataclass(frozen=True)
class Guarded:
    """A model, and the ways to it."""

    model: Exposed

    @property
    def ways(self) -> tuple[str, str]:
        """Addresses of the gateway and of the NodePort."""
        return self.model.mesh.envoy.url, self.model.space.url(self.model.name)

    @property
    def pod(self) -> dict[str, Any]:
        """The only pod."""
        (pod,) = self.model.space.pods(self.model.name)
        return pod

    @property
    def served(self) -> int:
        """Inferences that the server itself has counted."""
        return counted(self.pod, self.model.name)

    def apply(self, traffic: dict[str, Any], mark: str) -> None:
        """Put these wishes in force, and no others: wait until the sidecar works with a configuration that has the mark."""
        self.model.apply("v1", **{"target": "v1", **traffic})
        self.model.space.wait_condition(self.model.name, "TrafficReady", reason="Routed")

        def known() -> bool:
            (dump,) = (json.loads(self.sidecar("/config_dump?resource=dynamic_listeners"))["configs"],)
            active = [json.dumps(it["active_state"]) for it in dump if it.get("name") == "virtualInbound"]
            return bool(active) and mark in active[0]

        wait_for(known, f"the sidecar works with {mark}", 30, every=0.2)

    def ask(
        self, url: str, *, path: str = "", method: str = "POST", size: int = 0, key: str = KEY, **headers: str
    ) -> Counter[int]:
        """Send 500 inferences with a key, filled up with blanks to so many bytes; how many got which status."""
        tensor = {"name": "X", "datatype": "INT32", "shape": [1], "data": [0]}
        body = json.dumps({"inputs": [tensor]}).ljust(size).encode()
        sent = {"Host": self.model.host, "Content-Type": "application/json", "x-api-key": key, **headers}
        sent = {name.replace("_", "-"): value for name, value in sent.items() if value}
        where = f"{url}{path or f'/v2/models/{self.model.name}/infer'}"
        with ThreadPoolExecutor(8) as pool:
            return Counter(pool.map(lambda _: http(method, where, body, sent)[0], range(SOME)))

    def sidecar(self, path: str) -> str:
        """What the administration of the pod's sidecar answers."""
        return http("GET", f"http://{self.pod['status']['podIP']}:{ADMIN}{path}")[2].decode()


@pytest.fixture(scope="module")
def guarded(stored: Space, injected: Mesh) -> Iterator[Guarded]:
    """A model of Triton that is to be guarded, in a namespace without sidecars."""
    with exposed(stored, injected, "triton", "guarded") as model:
        model.apply("v1", **TRAFFIC)
        yield Guarded(model)


def test_nobody_enforces_without_sidecars(guarded: Guarded) -> None:
    """While pods have no sidecar the condition says so and what to do, and no gateway leads to the model.

    What it says, done, heals it.
    """
    model, space = guarded.model, guarded.model.space
    space.wait_condition(model.name, "Ready")
    said = space.wait_condition(model.name, "TrafficReady", "False", "NotEnforced")["message"]
    for field in ("traffic.access", "traffic.authentication", "traffic.limits.maxBodySize"):
        assert field in said
    wait_for(lambda: not model.mesh.envoy.routes(model.host), "no route at the gateway", 10)
    assert guarded.ask(model.mesh.envoy.url) == {404: SOME}
    status = space.status(model.name)
    assert "hosts" not in status
    assert "nodePort" not in status, "nothing is opened to the outside"
    assert model.host not in status["url"]
    (command,) = re.findall(r"`kubectl ([^`]+)`", said)
    (label,) = injection.LABEL.items()
    assert "=".join(label) in said
    space.cluster.kubectl("label", "namespace", space.namespace, "=".join(label))
    space.kubectl(*shlex.split(command))
    space.wait_condition(model.name, "TrafficReady", reason="Routed", seconds=120)
    model.wait_pods("v1", 1)
    space.wait_ready(model.name)
    assert {it["name"] for it in guarded.pod["status"]["initContainerStatuses"]} >= {"istio-proxy", "fetch"}
    model.wait_weights({"v1": 100})


@pytest.mark.parametrize("way", [0, 1], ids=["gateway", "nodeport"])
def test_sidecars_enforce(guarded: Guarded, way: int) -> None:
    """Keys, paths, methods and bodies: each of 500 requests gets what it is to get, and the server sees the good ones alone."""
    url, before = guarded.ways[way], guarded.served
    found = {
        "with the key": guarded.ask(url),
        "a body of the bound": guarded.ask(url, size=LARGEST),
        "a larger body": guarded.ask(url, size=LARGEST + 1),
        "without a key": guarded.ask(url, key=""),
        "with another key": guarded.ask(url, key="guess"),
        "a denied path": guarded.ask(url, path="/v2/repository/index"),
        "a method that is not allowed": guarded.ask(url, method="PUT"),
    }
    print(f"{url}: " + "; ".join(f"{name}: {dict(count)}" for name, count in found.items()))
    expected = (200, 200, 413, 401, 401, 403, 403)
    assert list(found.values()) == [{status: SOME} for status in expected]
    assert guarded.served - before == 2 * SOME


def test_the_example_takes_the_key_from_the_environment(guarded: Guarded) -> None:
    """The line of the status answers 200 where API_KEY is set, and 401 where it is not."""
    example = guarded.model.space.status(guarded.model.name)["example"]
    assert "$API_KEY" in example
    address = guarded.ways[0].removeprefix("http://")
    line = f"curl -s -o /dev/null -w '%{{http_code}}' --connect-to ::{address} {example.removeprefix('curl ')}"

    def run(key: str) -> str:
        environment = {**os.environ, "API_KEY": key}
        return subprocess.run(["sh", "-c", line], env=environment, capture_output=True, text=True, check=True).stdout

    assert (run(KEY), run("guess")) == ("200", "401")


def test_requests_are_limited(guarded: Guarded) -> None:
    """Of a thousand requests, half by each way, the replica takes as many as it may in an hour; strangers use up none."""
    guarded.apply({**TRAFFIC, "rateLimit": {"requests": LIMIT, "per": "1h"}}, "pantala_rate_limit")
    before = guarded.served
    strangers = guarded.ask(guarded.ways[0], key="guess")
    found = [guarded.ask(url) for url in guarded.ways]
    print(f"strangers {dict(strangers)}, gateway {dict(found[0])}, NodePort {dict(found[1])}")
    assert strangers == {401: SOME}
    assert found == [{200: LIMIT, 429: SOME - LIMIT}, {429: SOME}]
    assert guarded.served - before == LIMIT


NOBODY = {"namespaces": ["guests"]}


@pytest.mark.parametrize(
    ("access", "mark", "good", "bad"),
    [
        ({"deny": [{"methods": ["DELETE", "PUT"]}]}, '"PUT"', {}, {"method": "PUT"}),
        ({"allow": [{"remoteIpBlocks": ["203.0.113.0/24"]}]}, "203.0.113.0", {"x_forwarded_for": "203.0.113.7"}, {}),
        ({"deny": [NOBODY, {"paths": ["/v2/models/guarded/config"]}]}, "guests", {}, {"path": "/v2/models/guarded/config"}),
    ],
    ids=["methods", "forwarded", "namespaces"],
)  # fmt: skip
def test_lists(guarded: Guarded, access: dict[str, Any], mark: str, good: dict[str, str], bad: dict[str, str]) -> None:
    """Who is on a list gets 403, or is the only one who does not; without mutual TLS nobody is of a denied namespace."""
    guarded.apply({"access": access}, mark)
    before = guarded.served
    found = guarded.ask(guarded.ways[1], **good), guarded.ask(guarded.ways[1], **bad)
    print(f"{access}: {dict(found[0])}, {dict(found[1])}")
    assert found == ({200: SOME}, {403: SOME})
    assert guarded.served - before == SOME


def test_keys_that_the_mesh_reads(guarded: Guarded, tmp_path: Path) -> None:
    """The mesh reads the issuer's keys at `jwksUri`; who has a token of theirs is let in, who has none or a forged one is not."""
    handler = functools.partial(Quiet, directory=str(tmp_path))
    with Issuer() as issuer, Issuer() as forger, ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        (tmp_path / "jwks.json").write_text(issuer.jwks)
        rule = {"issuer": issuer.name, "jwksUri": f"http://127.0.0.1:{server.server_port}/jwks.json"}
        guarded.apply({"authentication": {"jwt": [rule]}}, issuer.name)
        tokens = [f"Bearer {issuer.token()}", "", f"Bearer {forger.token()}"]
        found = [guarded.ask(guarded.ways[0], authorization=token) for token in tokens]
        server.shutdown()
    print(f"with a token {dict(found[0])}, without {dict(found[1])}, forged {dict(found[2])}")
    assert found == [{200: SOME}, {403: SOME}, {401: SOME}]


class Quiet(SimpleHTTPRequestHandler):
    """Serves files and prints nothing."""

    @override
    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing."""


def test_everything_was_taken(guarded: Guarded) -> None:
    """The webhook of istiod refused no object, and neither the gateway nor the sidecar refused configuration."""
    mesh, space = guarded.model.mesh, guarded.model.space
    kinds = "authorizationpolicies,envoyfilters,virtualservices,destinationrules"
    made = space.kubectl("get", kinds, "-o", "name").split()
    assert made
    assert space.condition(guarded.model.name, "Accepted")["status"] == "True"
    assert mesh.istiod.rejections() == []
    assert mesh.envoy.rejections() == {}
    lines = guarded.sidecar("/stats?filter=update_rejected$").splitlines()
    assert lines
    assert [line for line in lines if not line.endswith(": 0")] == []
