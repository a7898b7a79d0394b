"""Routes of the Gateway API before their real judges: the API server's rules, istiod's conditions, and what an Envoy does.

What arrives is counted at the backends.
"""

import contextlib
import json
import random
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent import futures
from dataclasses import replace
from itertools import count
from typing import Any

import grpc
import pytest

from pantala.manifest.types import Manifest
from pantala.traffic import gateway_api
from pantala.traffic.route import Backend, Route
from tests.cluster.addons import istio
from tests.cluster.addons.echo import PORT, Echo
from tests.cluster.addons.envoy import EnvoySidecar
from tests.cluster.addons.gateway_api import service
from tests.cluster.addons.mesh_fixtures import GATEWAY, Mesh
from tests.cluster.addons.service import http
from tests.cluster.process import wait_for
from tests.traffic import gateway_reference
from tests.traffic.gateway_routes import route, traffic
from tests.traffic.test_gateway_api import CASES

pytestmark = pytest.mark.mesh

SPACE = "gateway-api"
GRPC_PORT = 8091
V1, V2, V3 = (Backend(name, f"resnet-{name}", PORT, GRPC_PORT) for name in ("v1", "v2", "v3"))
BACKENDS = {it.version: it for it in (V1, V2, V3)}
CALL = "/inference.GRPCInferenceService/ModelInfer"
REQUESTS = 600
_numbers = count()


class _Call(grpc.GenericRpcHandler):
    """Answers every call with the name of the version, and counts it."""

    def __init__(self, name: str) -> None:
        self.name, self.count = name, 0

    def service(self, _: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        def answer(_: bytes, context: grpc.ServicerContext) -> bytes:
            self.count += 1
            return self.name.encode()

        return grpc.unary_unary_rpc_method_handler(answer)


class Served:
    """Three versions with HTTP and gRPC behind the gateway."""

    def __init__(self, mesh: Mesh, stack: contextlib.ExitStack) -> None:
        self.mesh = mesh
        self.echoes = {name: stack.enter_context(Echo(name)) for name in BACKENDS}
        self.calls = {name: _Call(name) for name in BACKENDS}
        for name, echo in self.echoes.items():
            server = grpc.server(futures.ThreadPoolExecutor(4))
            server.add_generic_rpc_handlers((self.calls[name],))
            assert server.add_insecure_port(f"{echo.address}:{GRPC_PORT}") == GRPC_PORT
            server.start()
            stack.callback(lambda server=server: server.stop(None).wait())
            self.serve(f"resnet-{name}", echo)
        self.serve("resnet", self.echoes["v1"])

    def serve(self, name: str, echo: Echo) -> None:
        """Make a Service of a version."""
        istio.apply(self.mesh.cluster, service(name, SPACE, echo.address, {"http": PORT, "grpc": GRPC_PORT}))

    def apply(self, objects: list[Manifest]) -> None:
        """As JSON: to YAML a header y is the truth."""
        self.mesh.cluster.kubectl(
            "apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
        )

    def put(self, wanted: Route) -> str:
        """Put a route in force under a host of its own, and return the host."""
        name = f"m{next(_numbers)}"
        host = f"{name}.example.com"
        objects = self.objects(wanted, name, host)
        self.apply(objects)
        wanted_names = {rule["name"] for one in objects if "hostnames" in one["spec"] for rule in one["spec"]["rules"]}
        envoy = self.mesh.envoy
        # Each of several objects arrives for itself.
        wait_for(
            lambda: wanted_names <= {it.get("name") for it in envoy.routes(host, envoy.api_port)},
            "all rules in Envoy",
            20,
        )
        return host

    def objects(self, wanted: Route, name: str, host: str) -> list[Manifest]:
        """The route for a namespace and a gateway that are there, without an owner."""
        gateway = ("istio-system", GATEWAY)
        self.serve(name, self.echoes["v1"])
        return gateway_api.objects(
            replace(wanted, name=name, namespace=SPACE, owner=(), hosts=(host,), gateway=gateway)
        )

    def clear(self) -> None:
        """Forget what was counted."""
        for echo in self.echoes.values():
            echo.clear()
        for call in self.calls.values():
            call.count = 0

    def ask(
        self, host: str, path: str = "/", headers: dict[str, str] | None = None, method: str = "GET"
    ) -> tuple[int, dict[str, str], bytes]:
        """One request to the gateway: status, headers and body of the answer."""
        return http(method, f"{self.mesh.envoy.api_url}{path}", headers={"Host": host, **(headers or {})})

    def counted(self, host: str, requests: int = REQUESTS, **asked: Any) -> dict[str, int]:
        """What arrived where of so many requests, which are all answered with 200."""
        self.clear()
        with futures.ThreadPoolExecutor(8) as pool:
            given = list(pool.map(lambda _: self.ask(host, **asked)[0], range(requests)))
        assert Counter(given) == {200: requests}
        return {name: echo.count for name, echo in self.echoes.items() if echo.count}

    def call(self, host: str, times: int = 1, metadata: tuple[tuple[str, str], ...] = ()) -> Counter[str]:
        """The versions that answered calls of gRPC."""
        address = self.mesh.envoy.api_url.removeprefix("http://")
        with grpc.insecure_channel(address, options=[("grpc.default_authority", host)]) as channel:
            ask: Callable[..., bytes] = channel.unary_unary(CALL)
            return Counter(ask(b"", metadata=metadata, timeout=20).decode() for _ in range(times))


@pytest.fixture(scope="module")
def served(mesh_plane: Mesh) -> Iterator[Served]:
    """Versions in a namespace that goes at the end; neither istiod nor Envoy has refused anything by then."""
    istio.apply(mesh_plane.cluster, [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SPACE}}])
    with contextlib.ExitStack() as stack:
        yield Served(mesh_plane, stack)
        assert mesh_plane.envoy.rejections() == {}
        assert mesh_plane.istiod.rejections() == []
    mesh_plane.cluster.kubectl("delete", f"namespace/{SPACE}")


def split(*shares: tuple[Backend, int], **wanted: Any) -> Route:
    """A route with these shares and this traffic block."""
    return route(shares or ((V1, 100),), traffic(**wanted), backends=tuple(BACKENDS.values()))


def live(served: Served, name: str) -> Manifest:
    found: Manifest = json.loads(
        served.mesh.cluster.kubectl("get", f"httproutes.gateway.networking.k8s.io/{name}", "-n", SPACE, "-o", "json")
    )
    return found


@pytest.mark.parametrize("case", CASES)
def test_routes_are_accepted(served: Served, case: str) -> None:
    """Whatever the golden files hold is taken by the CRDs' rules, and istiod says that it is accepted and resolved."""
    name = f"golden-{case}"
    gateway = ("istio-system", GATEWAY) if CASES[case].gateway else None
    given = replace(CASES[case], name=name, namespace=SPACE, owner=(), gateway=gateway)
    ports = {"http": 8000, "grpc": 8001, "other": 9000}
    istio.apply(served.mesh.cluster, [*service(name, SPACE, served.echoes["v1"].address, ports)])
    for backend in ("a", "b", "c"):
        istio.apply(served.mesh.cluster, service(f"{name}-{backend}", SPACE, served.echoes["v1"].address, ports))
    made = json.loads(
        json.dumps(gateway_api.objects(given))
        .replace('"resnet-v1"', f'"{name}-a"')
        .replace('"resnet-v2"', f'"{name}-b"')
        .replace('"resnet-v3"', f'"{name}-c"')
    )
    istio.apply(served.mesh.cluster, made)
    for one in made:
        wanted = len(one["spec"]["parentRefs"])
        wait_for(
            lambda one=one, wanted=wanted: (
                len(live(served, one["metadata"]["name"]).get("status", {}).get("parents", ())) == wanted
            ),
            "istiod reports",
            20,
            every=0.1,
        )
        found = live(served, one["metadata"]["name"])
        conditions = {
            (it["type"], it["status"]) for parent in found["status"]["parents"] for it in parent["conditions"]
        }
        assert conditions == {("Accepted", "True"), ("ResolvedRefs", "True")}, found["status"]
        assert gateway_api.problem(found, gateway) is None


def test_split(served: Served) -> None:
    """80 to 20 and three versions arrive by their shares, and the live route says them."""
    found = served.counted(served.put(split((V1, 80), (V2, 20))))
    assert sum(found.values()) == REQUESTS
    assert 0.74 < found["v1"] / REQUESTS < 0.86
    host = served.put(split((V1, 50), (V2, 30), (V3, 20)))
    found = served.counted(host)
    assert {name: round(number / REQUESTS, 1) for name, number in found.items()} == pytest.approx(
        {"v1": 0.5, "v2": 0.3, "v3": 0.2}, abs=0.11
    )
    services = {it.service: it.version for it in BACKENDS.values()}
    assert gateway_api.shares(live(served, host.partition(".")[0]), services) == {"v1": 50, "v2": 30, "v3": 20}


@pytest.mark.parametrize(("percent", "least", "most"), [(100, REQUESTS, REQUESTS), (25, 100, 200)])
def test_mirror(served: Served, percent: int, least: int, most: int) -> None:
    """All requests arrive at the version that answers, and so many copies at the other."""
    host = served.put(split((V1, 100), mirrors=[{"version": "v3", "percent": percent}]))
    found = served.counted(host)
    wait_for(lambda: served.echoes["v3"].count >= least, "copies arrive", 10)
    assert found["v1"] == REQUESTS
    assert least <= served.echoes["v3"].count <= most


def test_rules(served: Served) -> None:
    """Rules by header and prefix take their requests from the shares, the first that fits before a more specific one."""
    rules = [
        {"name": "exact", "headers": [{"name": "X-Version", "value": "v2"}], "version": "v2"},
        {"name": "dots", "headers": [{"name": "x-team", "type": "Prefix", "value": "a.b*"}], "version": "v2"},
        {"name": "deep", "prefix": "/deep/er", "version": "v3"},
        {"name": "late", "prefix": "/deep/er", "headers": [{"name": "x-version", "value": "v2"}], "version": "v1"},
        {
            "name": "regex",
            "headers": [{"name": "x-user", "type": "RegularExpression", "value": "[a-f]+"}],
            "version": "v3",
        },
    ]
    host = served.put(split((V1, 100), rules=rules))
    n = 100
    assert served.counted(host, n, headers={"x-version": "v2"}) == {"v2": n}
    assert served.counted(host, n, headers={"x-version": "v22"}) == {"v1": n}
    assert served.counted(host, n, headers={"x-team": "a.b*c"}) == {"v2": n}
    assert served.counted(host, n, headers={"x-team": "axbbc"}) == {"v1": n}
    assert served.counted(host, n, path="/deep/er/x?y") == {"v3": n}
    assert served.counted(host, n, path="/deep/err") == {"v1": n}
    assert served.counted(host, n, path="/deep/er", headers={"x-version": "v2"}) == {"v2": n}
    assert served.counted(host, n, headers={"x-user": "fade"}) == {"v3": n}
    assert served.counted(host, n, headers={"x-user": "fades"}) == {"v1": n}


def test_prefix(served: Served) -> None:
    """A prefix is taken away, that of a rule stays, and other paths of the host are not the model's."""
    rules = [
        {"name": "deep", "prefix": "/v2/models", "version": "v2"},
        {"name": "pin", "headers": [{"name": "x-version", "value": "v3"}], "version": "v3"},
    ]
    host = served.put(replace(split((V1, 100), rules=rules), prefix="/models/res.net"))

    def seen(path: str, **headers: str) -> tuple[str, str]:
        served.clear()
        status, _, body = served.ask(host, path, headers)
        assert status == 200, path
        answer = json.loads(body)
        return answer["name"], answer["path"]

    assert seen("/models/res.net") == ("v1", "/")
    assert seen("/models/res.net/") == ("v1", "/")
    assert seen("/models/res.net/predictions/a?b=c") == ("v1", "/predictions/a?b=c")
    assert seen("/models/res.net/v2/models") == ("v2", "/v2/models")
    assert seen("/models/res.net/v2/models/x") == ("v2", "/v2/models/x")
    assert seen("/models/res.net/v2/modelsx") == ("v1", "/v2/modelsx")
    assert seen("/models/res.net/v2/models/x", **{"x-version": "v3"}) == ("v2", "/v2/models/x")
    assert seen("/models/res.net/x", **{"x-version": "v3"}) == ("v3", "/x")
    assert served.ask(host, "/models/resnet")[0] == 404
    assert served.ask(host, "/models/res.nett")[0] == 404
    assert served.ask(host, "/")[0] == 404
    assert served.counted(host, path="/models/res.net/a") == {"v1": REQUESTS}


def test_timeout(served: Served) -> None:
    """A request that takes longer than the timeout gets 504; without a timeout it gets its answer."""
    host = served.put(split(timeout="300ms"))
    assert served.ask(host, "/delay/2")[0] == 504
    assert served.ask(host, "/")[0] == 200
    assert served.ask(served.put(split()), "/delay/2")[0] == 200


def test_header_changes(served: Served) -> None:
    """Headers of requests and answers are set, added and removed as written."""
    changes = {
        "request": {
            "set": {"x-team": 'a "b" <c>', "x-none": ""},
            "add": {"x-via": "pantala"},
            "remove": ["X-Internal"],
        },
        "response": {"set": {"x-echo": "hidden"}, "add": {"x-more": "1"}, "remove": ["server"]},
    }
    host = served.put(split(headers=changes))
    sent = {"x-team": "z", "x-none": "1", "x-via": "me", "x-internal": "s"}
    status, headers, body = served.ask(host, headers=sent)
    seen = json.loads(body)["headers"]
    assert status == 200
    assert seen["x-team"] == 'a "b" <c>'
    assert "x-none" not in seen
    assert "x-internal" not in seen
    assert "pantala" in seen["x-via"]
    assert headers["x-echo"] == "hidden"
    assert headers["x-more"] == "1"


def test_cors(served: Served) -> None:
    """A preflight of a page of an allowed origin is answered by the gateway, with what it may do."""
    cors = {"allowOrigins": ["https://app.example.com"], "allowMethods": ["POST"], "maxAge": "1h"}
    host = served.put(split(cors=cors))
    asked = {"Access-Control-Request-Method": "POST", "Origin": "https://app.example.com"}
    served.clear()
    status, headers, _ = served.ask(host, headers=asked, method="OPTIONS")
    found = {name.lower(): value for name, value in headers.items()}
    assert status in {200, 204}
    assert found["access-control-allow-origin"] == "https://app.example.com"
    assert found["access-control-allow-methods"] == "POST"
    assert found["access-control-max-age"] == "3600"
    assert served.echoes["v1"].count == 0
    _, headers, _ = served.ask(host, headers=asked | {"Origin": "https://evil.example.com"}, method="OPTIONS")
    assert "access-control-allow-origin" not in {name.lower() for name in headers}


def test_grpc(served: Served) -> None:
    """Calls of gRPC go to the servers' ports for it: by shares, by rules, and as copies."""
    rules = [{"name": "pin", "headers": [{"name": "x-version", "value": "v3"}], "version": "v3"}]
    host = served.put(split((V1, 80), (V2, 20), rules=rules, mirrors=[{"version": "v3", "percent": 100}]))
    served.clear()
    found = served.call(host, 500)
    assert 0.72 < found["v1"] / 500 < 0.88
    assert found["v1"] + found["v2"] == 500
    assert {name: call.count for name, call in served.calls.items() if name != "v3"} == found
    wait_for(lambda: served.calls["v3"].count == 500, "copies arrive", 10)
    assert served.call(host, 50, (("x-version", "v3"),)) == {"v3": 50}
    assert all(echo.count == 0 for echo in served.echoes.values())


@pytest.mark.parametrize("seed", range(6))
def test_first_rule_that_fits_decides(served: Served, seed: int) -> None:
    """Rules at random lead requests in Envoy where the first that fits does, over HTTP and with a content-type of gRPC."""
    some = random.Random(seed)
    rules = [gateway_reference.rule(some, f"r{number}", some.choice(["v2", "v3"])) for number in range(8)]
    host = served.put(split(rules=[it.model_dump(by_alias=True, exclude_none=True) for it in rules]))
    hits = 0
    for _ in range(100):
        path, headers = gateway_reference.request(some)
        headers = {name: value for name, value in headers.items() if name != "content-type"}
        expected = next((it.version for it in rules if gateway_reference.fits(it, (path, headers))), "v1")
        status, _, body = served.ask(host, path, headers)
        assert (status, json.loads(body)["name"]) == (200, expected), (path, headers, rules)
        hits += expected != "v1"
    assert hits > 20
    for _ in range(20):
        _, headers = gateway_reference.request(some)
        headers = {name: value for name, value in headers.items() if name != "content-type"}
        expected = next((it.version for it in rules if gateway_reference.fits(it, (CALL, headers))), "v1")
        assert served.call(host, 1, tuple(headers.items())) == {expected: 1}


def test_hostile_routes(served: Served) -> None:
    """What the API allows and `refusals` lets pass is taken by the API server, istiod and Envoy, and is never more than text."""
    some, made = random.Random(20260607), 0
    while made < 15:
        text = gateway_reference.hostile(some)
        rules = [
            {"name": "a", "version": "v2", "headers": [{"name": "x-a", "type": "Exact", "value": text}]},
            {"name": "b", "version": "v3", "headers": [{"name": "x-b", "type": "Prefix", "value": text}]},
            {"name": "c", "version": "v3", "headers": [{"name": "x-c", "type": "RegularExpression", "value": text}]},
            {"name": "d", "version": "v2", "prefix": some.choice(["/...", "/~._-", "/a..b", "/-"])},
        ]
        changes = {"set": {"x-d": text}, "add": {"X-e": f"a {text}"}}
        wanted = traffic(rules=rules, headers={"request": changes, "response": changes})
        bad = {it.field for it in gateway_api.refusals(wanted, None)}
        if bad - {"traffic.rules[2]"}:
            continue
        host = served.put(split(rules=rules, headers={"request": changes, "response": changes}))
        made += 1
        assert served.mesh.envoy.rejections() == {}, text
        value = text.strip()
        if value == text:  # HTTP takes spaces at the ends away
            assert _name(served.ask(host, headers={"x-a": text})) == "v2"
            assert _name(served.ask(host, headers={"x-b": text})) == "v3"
        assert _name(served.ask(host, headers={"x-b": f"{text}more"})) == ("v3" if text.lstrip() == text else "v1")
        assert _name(served.ask(host, headers={"x-a": f"{text}more"})) == "v1"
        _, headers, body = served.ask(host)
        assert headers["x-d"] == json.loads(body)["headers"]["x-d"] == value


def _name(answer: tuple[int, dict[str, str], bytes]) -> str:
    assert answer[0] == 200
    return str(json.loads(answer[2])["name"])


def test_inside_of_the_cluster(served: Served) -> None:
    """The proxy of a client in the mesh has the shares of the route for the model's Service, which istiod accepts."""
    labels = {"app": "client"}
    name = "inside"
    served.serve(name, served.echoes["v1"])
    given = replace(split((V2, 60), (V3, 40)), name=name, namespace=SPACE, owner=())
    with EnvoySidecar(served.mesh.istiod.grpc, SPACE, labels) as client:
        listener = istio.client_sidecar("client", SPACE, client.port, labels)
        istio.apply(served.mesh.cluster, [listener, *gateway_api.objects(given)])

        def weights() -> list[int]:
            found = [
                route["route"]["weighted_clusters"]["clusters"]
                for config in client.config_dump("dynamic_route_configs")
                for host in config["route_config"].get("virtual_hosts", ())
                if host["name"] == f"{name}.{SPACE}.svc.cluster.local:{PORT}"
                for route in host["routes"]
                if route.get("name") == "split" and "weighted_clusters" in route["route"]
            ]
            return [cluster["weight"] for clusters in found for cluster in clusters]

        wait_for(lambda: weights() == [60, 40], "the shares in the client's proxy", 20)
        assert gateway_api.problem(live(served, name), None) is None
        assert client.rejections() == {}
