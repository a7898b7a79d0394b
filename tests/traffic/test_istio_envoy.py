"""What a route does to requests: counted at the backends, behind a real Envoy that a real istiod configures."""

import json

import pytest

from pantala.traffic import istio
from pantala.traffic.route import Backend, Split
from tests.cluster.process import wait_for
from tests.traffic.istio_cases import header, rule
from tests.traffic.istio_world import World, statuses

pytestmark = pytest.mark.mesh

MANY = 1000
Versions = tuple[Backend, Backend, Backend]


@pytest.fixture(scope="module")
def versions(world: World) -> Versions:
    """Three versions; the first two have a second port."""
    return world.version("v1", grpc=True), world.version("v2", grpc=True), world.version("v3")


@pytest.mark.parametrize("shares", [(80, 20), (60, 30, 10)])
def test_shares_are_counted(world: World, versions: Versions, shares: tuple[int, ...]) -> None:
    """Each version gets its share of a thousand requests, within five standard deviations, and nobody else gets any."""
    made = world.put(f"split{len(shares)}", Split(tuple(zip(versions, shares, strict=False))))
    assert statuses(world.ask_often(made, MANY)) == {200: MANY}
    counts = [world.count(it.version) for it in versions]
    assert sum(counts) == MANY
    for count, share in zip(counts, (*shares, 0), strict=False):
        assert abs(count - share * 10) <= 5 * (MANY * share / 100 * (1 - share / 100)) ** 0.5


def test_mirrors_get_copies(world: World, versions: Versions) -> None:
    """Every request is answered by the version with the shares; one mirror gets all of them, the other a quarter."""
    v1, v2, v3 = versions
    made = world.put("mirrors", Split(((v1, 100),), ((v2, 100), (v3, 25))))
    answers = world.ask_often(made, MANY, "/v2/models/a?b=c", x_request="yes")
    assert statuses(answers) == {200: MANY}
    assert {json.loads(body)["name"] for _, _, body in answers} == {"v1-0"}
    wait_for(lambda: world.count("v2") == MANY, "all copies", 10)
    wait_for(lambda: world.count("v3") >= 181, "a quarter of the copies", 10)
    assert world.count("v3") <= 319
    assert world.paths("v3") == {"/v2/models/a?b=c": world.count("v3")}
    assert {seen.headers["x-request"] for seen in world.echoes["v3"][0].seen} == {"yes"}


def test_rules_come_before_shares(world: World, versions: Versions) -> None:
    """Requests that fit a rule go to its version, the first rule first; all others follow the shares."""
    v1, v2, v3 = versions
    rules = (
        rule("pin", v2, headers=[header("X-Version", "v2")]),
        rule("both", v3, headers=[header("x-client", "beta-", "Prefix")], prefix="/v2/models/a"),
        rule("regex", v2, headers=[header("x-client", "beta-[0-9]+", "RegularExpression")]),
        rule("path", v3, prefix="/v2/models/b"),
    )
    made = world.put("rules", Split(((v1, 100),), (), rules))
    for path, asked, expected in [
        ("/v2/models/b", {"x_version": "v2"}, "v2"),
        ("/v2/models/a/infer", {"x_client": "beta-7"}, "v3"),
        ("/v2/models/a", {"x_client": "beta-7"}, "v3"),
        ("/v2/models/ab", {"x_client": "beta-7"}, "v2"),
        ("/v2/models/ab", {"x_client": "beta-x"}, "v1"),
        ("/v2/models/b?c=d", {}, "v3"),
        ("/v2/models/bc", {}, "v1"),
        ("/", {"x_version": "v22"}, "v1"),
    ]:
        for server in world.servers():
            server.clear()
        assert statuses(world.ask_often(made, 100, path, **asked)) == {200: 100}
        assert world.paths(expected) == {path: 100}
        assert sum(server.count for server in world.servers()) == 100


def test_content_of_grpc_goes_to_its_port(world: World, versions: Versions) -> None:
    """The type of content decides about the port, with rules and with shares; a version without the port gets none."""
    v1, v2, v3 = versions
    rules = (rule("pin", v2, headers=[header("x-version", "v2")]),)
    made = world.put("ports", Split(((v1, 50), (v3, 50)), (), rules))
    grpc = {"content_type": "application/grpc+proto"}
    assert statuses(world.ask_often(made, 500, **grpc)) == {200: 500}
    assert statuses(world.ask_often(made, 100, x_version="v2", **grpc)) == {200: 100}
    assert statuses(world.ask_often(made, 500, content_type="application/json")) == {200: 500}
    found = {key: world.count(key) for key in world.echoes}
    assert (found["v1-grpc"], found["v2-grpc"], found["v2"]) == (500, 100, 0)
    assert found["v1"] + found["v3"] == 500


def test_a_prefix_is_taken_away(world: World, versions: Versions) -> None:
    """The server sees the path behind the prefix, with its query; other models may share the host."""
    v1, v2, v3 = versions
    shared = ("shared.routed.example.com",)
    rules = (rule("path", v2, prefix="/v2/models"),)
    made = world.put("prefixed", Split(((v1, 100),), (), rules), prefix="/models/res.net", hosts=shared)
    world.put("prefixed-too", Split(((v3, 100),)), prefix="/models/res", hosts=shared)
    for path, version, seen in [
        ("/models/res.net", "v1", "/"),
        ("/models/res.net/", "v1", "/"),
        ("/models/res.net?a=/b", "v1", "/?a=/b"),
        ("/models/res.net/v2/health?a=b&a=/models/res.net/", "v1", "/v2/health?a=b&a=/models/res.net/"),
        ("/models/res.net/models/res.net/x", "v1", "/models/res.net/x"),
        ("/models/res.net/a%2Fb%20c", "v1", "/a%2Fb%20c"),
        ("/models/res.net/v2/models", "v2", "/v2/models"),
        ("/models/res.net/v2/models/a?b", "v2", "/v2/models/a?b"),
        ("/models/res.net/v2/modelsa", "v1", "/v2/modelsa"),
        ("/models/res/v2", "v3", "/v2"),
    ]:
        for server in world.servers():
            server.clear()
        assert statuses(world.ask_often(made, 50, path)) == {200: 50}
        assert world.paths(version) == {seen: 50}
        assert sum(server.count for server in world.servers()) == 50
    for path in ("/models/res.net2", "/models/resXnet", "/models", "/", "/v2/models", "/x/models/res.net"):
        assert world.ask(made, path)[0] == 404


def test_headers_are_set_added_and_removed(world: World, versions: Versions) -> None:
    """Values arrive as they were written, with every %; what the client sent is replaced, kept beside, or gone."""
    v1, _, _ = versions
    value = "100% %REQ(x-secret)% %ENVIRONMENT(HOME)% %% \"a\", 'b'; \\n {c}"
    changes = {"set": {"X-Set": value, "x-none": ""}, "add": {"x-add": value}, "remove": ["X-Gone"]}
    traffic = {"headers": {"request": changes, "response": {"set": {"x-echo": value}, "remove": ["content-type"]}}}
    made = world.put("headers", Split(((v1, 100),)), traffic)
    sent = {"x_set": "mine", "x_none": "mine", "x_add": "mine", "x_gone": "mine", "x_secret": "s"}
    answers = world.ask_often(made, 500, **sent)
    assert {headers["x-echo"] for _, headers, _ in answers} == {value}
    assert not any("content-type" in headers for _, headers, _ in answers)
    assert world.count("v1") == 500
    for seen in world.echoes["v1"][0].seen:
        assert seen.headers["x-set"] == value
        assert seen.headers["x-add"] == value  # the last of two
        assert not {"x-none", "x-gone"} & seen.headers.keys()


def test_preflights(world: World, versions: Versions) -> None:
    """Envoy answers preflights of the origins itself; those of others get no permission and reach no server."""
    v1, _, _ = versions
    origin = "https://app.example.com"
    cors = {"allowOrigins": [origin], "allowMethods": ["POST"], "allowHeaders": ["X-A"], "maxAge": "1h1s"}
    made = world.put("cors", Split(((v1, 100),)), {"cors": cors})
    anyone = world.put("cors-any", Split(((v1, 100),)), {"cors": {"allowOrigins": ["*"]}})

    def preflight(to: istio.Route, origin: str) -> dict[str, str]:
        status, headers, _ = world.ask(to, method="OPTIONS", origin=origin, access_control_request_method="POST")
        assert status == 200
        return {name: value for name, value in headers.items() if name.startswith("access-control-")}

    assert preflight(made, origin) == {
        "access-control-allow-origin": origin,
        "access-control-allow-methods": "POST",
        "access-control-allow-headers": "x-a",
        "access-control-max-age": "3601",
    }
    for other in ("https://evil.example.com", "https://appXexample.com", f"{origin}.evil.com", "null"):
        assert "access-control-allow-origin" not in preflight(made, other)
    assert preflight(anyone, "https://evil.example.com")["access-control-allow-origin"] == "https://evil.example.com"
    assert world.count("v1") == 0
    answers = world.ask_often(made, 500, origin=origin)
    assert {headers["access-control-allow-origin"] for _, headers, _ in answers} == {origin}
    assert world.count("v1") == 500
