"""What a route becomes in Istio, and what is read back from it."""

import copy
from typing import Any

import pytest

from pantala.api.traffic import Traffic
from pantala.traffic import conditions, destination, filters, istio
from pantala.traffic.route import Backend, Route, Split
from tests.golden import assert_golden
from tests.traffic.istio_cases import (
    CASES,
    EVERYTHING,
    EXPOSED,
    HOSTS,
    NAMESPACE,
    PIN,
    PLAIN,
    RULES,
    SERVICES,
    V1,
    V2,
    V3,
    header,
    route,
    rule,
)


def made(wanted: Route, name: str = "resnet") -> dict[str, Any]:
    """The spec of the VirtualService of this name."""
    found = {it["metadata"]["name"]: it for it in istio.objects(wanted) if it["kind"] == "VirtualService"}
    return found[name]["spec"]  # type: ignore[no-any-return]  # a manifest


def ways(wanted: Route, name: str = "resnet") -> dict[str, dict[str, Any]]:
    """The routes of a VirtualService by name, in their order."""
    return {it["name"]: it for it in made(wanted, name)["http"]}


def live(wanted: Route) -> dict[str, Any]:
    """The VirtualService of the model as the API server would have it."""
    return copy.deepcopy(next(it for it in istio.objects(wanted) if it["metadata"]["name"] == "resnet"))


@pytest.mark.parametrize("case", CASES)
def test_routes_become_these_objects(case: str) -> None:
    """A route becomes exactly the objects that were reviewed."""
    for manifest in istio.objects(CASES[case]):
        assert_golden(f"istio-{case}/{manifest['kind'].lower()}-{manifest['metadata']['name']}.yaml", manifest)


def test_destination_rules_come_first() -> None:
    """Bounds hold before the first request goes where they are about."""
    found = [(it["kind"], it["metadata"]["name"]) for it in istio.objects(CASES["everything"])]
    assert found == [
        *(("DestinationRule", f"resnet-{version}") for version in ("v1", "v2", "v4", "v3")),
        ("VirtualService", "resnet.gateway"),
        ("VirtualService", "resnet"),
    ]


def test_grpc_comes_before_http() -> None:
    """No route of HTTP takes a request of gRPC for which there is one of gRPC."""
    assert list(ways(CASES["grpc"])) == ["rule.pin.grpc", "split.grpc", "rule.plain", "rule.pin", "split"]


def test_grpc_goes_to_those_that_speak_it() -> None:
    """The shares of versions without gRPC fall to the others in proportion; mirrors without it get no copies."""
    split = Split(((V1, 50), (V2, 30), (PLAIN, 20)), ((V3, 10), (Backend("v5", "resnet-v5", 80), 100)))
    grpc = ways(route(split))["split.grpc"]
    assert [(it["destination"]["port"]["number"], it["weight"]) for it in grpc["route"]] == [(8001, 50), (8001, 30)]
    assert [it["destination"]["host"].split(".")[0] for it in grpc["mirrors"]] == ["resnet-v3"]


def test_a_rule_of_its_own_mirror_copies_nothing_to_it() -> None:
    """What a rule leads to the mirror itself does not come to it twice; other mirrors get their copies."""
    found = ways(route(Split(((V1, 100),), ((V3, 25), (PLAIN, 50)), RULES)))
    assert [it["percentage"]["value"] for it in found["rule.path"]["mirrors"]] == [50]
    assert [it["percentage"]["value"] for it in found["rule.pin"]["mirrors"]] == [25, 50]


def test_without_a_gateway_no_host_is_claimed() -> None:
    """A model that no gateway leads to is known by its name inside of the cluster alone."""
    assert made(route(hosts=HOSTS))["hosts"] == ["resnet.vision.svc.cluster.local"]
    assert made(route(hosts=HOSTS, prefix="/a"))["gateways"] == ["mesh"]


@pytest.mark.parametrize("prefix", [None, "/models/resnet"])
def test_sidecars_do_not_know_the_hosts_of_the_gateway(prefix: str | None) -> None:
    """A host may be called as somebody else's Service is: inside of the cluster nobody's requests are taken by it."""
    found = [it["spec"] for it in istio.objects(route(prefix=prefix, **EXPOSED)) if it["kind"] == "VirtualService"]
    assert [(it["hosts"], it["gateways"]) for it in found] == [
        (list(HOSTS), ["istio-system/ingress"]),
        (["resnet.vision.svc.cluster.local"], ["mesh"]),
    ]


def test_a_prefix_is_for_the_gateway_alone() -> None:
    """Inside of the cluster there is neither the prefix nor the gateway's host, which other models may share."""
    inside, outside = made(CASES["prefix"]), made(CASES["prefix"], "resnet.gateway")
    assert (inside["hosts"], inside["gateways"]) == (["resnet.vision.svc.cluster.local"], ["mesh"])
    assert (outside["hosts"], outside["gateways"]) == (list(HOSTS), ["istio-system/ingress"])
    assert not any("rewrite" in way for way in inside["http"])
    assert all(way["rewrite"] and not way["name"].endswith(".grpc") for way in outside["http"])


def test_no_shares_no_route() -> None:
    """Where no version gets anything there is no VirtualService, which would need a route."""
    assert istio.objects(route(Split(()))) == []
    assert list(ways(route(Split((), (), (PIN,)), traffic={}))) == ["rule.pin.grpc", "rule.pin"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [("30s", "30s"), ("1h30m", "5400s"), ("250ms", "0.25s"), ("1m1ms", "60.001s"), ("24h", "86400s"), ("0s", "0s")],
)
def test_durations_are_seconds(text: str, expected: str) -> None:
    """Durations have the form of protobuf's JSON, which Go reads too."""
    assert destination.duration(text) == expected


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (None, {"attempts": 2, "retryOn": "connect-failure,refused-stream"}),
        ({"attempts": 0}, {"attempts": 0}),
        ({"attempts": 5}, {"attempts": 5, "retryOn": "connect-failure,refused-stream"}),
        ({"attempts": 1, "retryOn": "499,503"}, {"attempts": 1, "retryOn": "503"}),
        ({"attempts": 1, "retryOn": "599"}, {"attempts": 0}),
    ],
)
def test_retries(asked: dict[str, Any] | None, expected: dict[str, Any]) -> None:
    """Istio's own default never holds, and a code that Istio refuses is left out."""
    assert filters.rendered(Traffic.model_validate({"retries": asked}))["retries"] == expected


def test_values_of_headers_are_no_commands() -> None:
    """A % is doubled; nothing else of a value is changed, names are in lower case."""
    value = "%ENVIRONMENT(HOME)% 100% %% \"quotes\", 'a': \\n {}"
    found = filters.rendered(Traffic.model_validate({"headers": {"request": {"add": {"X-A": value}}}}))
    doubled = "%%ENVIRONMENT(HOME)%% 100%% %%%% \"quotes\", 'a': \\n {}"
    assert found["headers"] == {"request": {"add": {"x-a": doubled}}}


def test_a_header_set_to_nothing_is_taken_away() -> None:
    """Envoy would leave it as it is."""
    changes = {"set": {"X-A": "", "x-b": "1"}, "add": {"x-c": ""}, "remove": ["x-a"]}
    found = filters.rendered(Traffic.model_validate({"headers": {"response": changes}}))
    assert found["headers"] == {"response": {"set": {"x-b": "1"}, "remove": ["x-a"]}}


def test_age_of_cors_is_whole_seconds() -> None:
    """Istio refuses fractions."""
    cors = {"allowOrigins": ["*"], "maxAge": "1s999ms"}
    assert filters.rendered(Traffic.model_validate({"cors": cors}))["corsPolicy"]["maxAge"] == "1s"


def test_the_only_replica_is_never_left_out() -> None:
    """A version with one replica has no outlier detection, and without other bounds no DestinationRule."""
    wanted = route(Split(((V1, 50), (PLAIN, 50))), {"outlierDetection": {}})
    assert [it["metadata"]["name"] for it in destination.rules(wanted)] == ["resnet-v1"]
    bounded = route(Split(((PLAIN, 100),)), {"outlierDetection": {}, "limits": {"maxRequests": 1}})
    assert [list(it["spec"]["trafficPolicy"]) for it in destination.rules(bounded)] == [["connectionPool"]]
    assert destination.rules(route(traffic={"limits": {"maxBodySize": "1Mi"}})) == []


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (("b", "Exact"), ("b", "Exact"), {"exact": "b"}),
        (("b", "Exact"), ("bc", "Prefix"), None),
        (("bcd", "Exact"), ("bc", "Prefix"), {"exact": "bcd"}),
        (("b", "Prefix"), ("bc", "Prefix"), {"prefix": "bc"}),
        (("b", "Prefix"), ("c", "Prefix"), None),
        (("b", "Exact"), ("c", "Exact"), None),
        (("b", "Prefix"), ("b", "Exact"), {"exact": "b"}),
        (("b.*", "RegularExpression"), ("b.*", "RegularExpression"), {"regex": "b.*"}),
    ],
)
def test_two_conditions_on_one_header(
    one: tuple[str, str], other: tuple[str, str], expected: dict[str, str] | None
) -> None:
    """Istio has one condition per header: two become the one that says both, or the rule takes nothing."""
    pair = [header("X-A", *one), header("x-a", *other)]
    for headers in (pair, pair[::-1]):
        found = ways(route(Split(((V1, 100),), (), (rule("two", V2, headers=headers),))))
        assert (found["rule.two"]["match"][0]["headers"] if "rule.two" in found else None) == (
            expected and {"x-a": expected}
        )


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [
        ("application/grpc+proto", "Exact", {"exact": "application/grpc+proto"}),
        ("application/", "Prefix", {"prefix": "application/grpc"}),
        ("application/json", "Exact", None),
    ],
)
def test_a_rule_on_the_type_of_content(value: str, kind: str, expected: dict[str, str] | None) -> None:
    """A condition on content-type is joined with the mark of gRPC; where they exclude each other only HTTP is led."""
    found = ways(route(Split(((V1, 100),), (), (rule("type", V2, headers=[header("Content-Type", value, kind)]),))))
    grpc = found.get("rule.type.grpc")
    assert (grpc["match"][0]["headers"]["content-type"] if grpc else None) == expected
    assert "rule.type" in found


def test_refusals() -> None:
    """What Istio cannot do is said with the field and the way out."""
    rules = [
        {"name": "a", "version": "v1", "headers": [header("x-a", "b"), header("X-A", "c", "Prefix")]},
        {"name": "b", "version": "v1", "headers": [header("x-a", "b"), header("X-A", "c", "RegularExpression")]},
    ]
    traffic = Traffic.model_validate({"retries": {"attempts": 1, "retryOn": "5xx,499,404"}, "rules": rules})
    found = istio.refusals(traffic, None)
    assert [it.field for it in found] == ["traffic.retries.retryOn", "traffic.rules[1].headers"]
    assert "499" in found[0].message
    assert "x-a has two" in found[1].message


def test_nothing_of_the_cases_is_refused() -> None:
    """Everything that the golden files show is carried out."""
    assert istio.refusals(Traffic.model_validate(EVERYTHING), None) == ()
    assert istio.refusals(Traffic(), None) == ()


@pytest.mark.parametrize("case", CASES)
def test_what_is_written_is_read_back(case: str) -> None:
    """The shares and mirrors of a live object are those that were wanted."""
    split = CASES[case].split
    found = live(CASES[case]) if case not in {"everything", "connections"} else istio.objects(CASES[case])[-1]
    assert istio.shares(found, SERVICES) == {it.version: share for it, share in split.shares}
    assert istio.mirrors(found, SERVICES) == {it.version: percent for it, percent in split.mirrors}


def test_hosts_are_those_of_the_gateway() -> None:
    """The name inside of the cluster is not among them."""
    assert istio.hosts(live(route(**EXPOSED))) == ()
    assert istio.hosts(istio.objects(route(**EXPOSED))[0]) == HOSTS
    assert istio.hosts(istio.objects(CASES["prefix"])[0]) == HOSTS
    assert istio.hosts({"metadata": {"namespace": NAMESPACE}, "spec": {"hosts": "a", "gateways": ["b/c"]}}) == ()
    assert istio.hosts({"metadata": {"namespace": NAMESPACE}, "spec": {"hosts": ["a.b.c"]}}) == ()
    odd = ("x.vision.svc.example.com",)
    assert istio.hosts(istio.objects(route(gateway=EXPOSED["gateway"], hosts=odd))[0]) == odd


def test_weights_of_others_are_made_percents() -> None:
    """Weights are relative in Istio: whoever wrote 1, 1 and 1 gave thirds, which make 100."""
    found = live(route(Split(((V1, 40), (V2, 40), (V3, 20)))))
    for target in found["spec"]["http"][-1]["route"]:
        target["weight"] = 1
    assert istio.shares(found, SERVICES) == {"v1": 34, "v2": 33, "v3": 33}


@pytest.mark.parametrize(
    "edit",
    [
        lambda ways: ways[-1].update(name="other"),
        lambda ways: ways[-1].pop("name"),
        lambda ways: ways[-1].update(match=[{"uri": {"prefix": "/"}}]),
        lambda ways: ways[-1].update(redirect={"uri": "/"}),
        lambda ways: ways[-1].update(fault={"abort": {"httpStatus": 500}}),
        lambda ways: ways[-1].update(route=[]),
        lambda ways: ways[-1].update(route="x"),
        lambda ways: ways[-1]["route"][0].update(weight="80"),
        lambda ways: ways[-1]["route"][0].update(destination=None),
        lambda ways: ways[-1]["route"][0]["destination"].update(host="bert-v1.vision.svc.cluster.local"),
        lambda ways: ways[-1]["route"][0]["destination"].update(host="resnet-v1.other.svc.cluster.local"),
        lambda ways: ways[-1]["route"][0]["destination"].update(host="resnet-v1"),
        lambda ways: ways[-1]["route"][0]["destination"].update(subset="a"),
        lambda ways: ways.insert(0, {"name": "mine", "route": [{"destination": {"host": "a"}}]}),
        lambda ways: ways.insert(0, {"name": "rule.mine", "route": [{"destination": {"host": "a"}}]}),
        lambda ways: ways.clear(),
    ],
)
def test_what_others_wrote_is_not_guessed(edit: Any) -> None:
    """An object that was edited by hand, or is somebody else's, tells no shares."""
    found = live(route(Split(((V1, 80), (V2, 20)))))
    assert istio.shares(found, SERVICES) == {"v1": 80, "v2": 20}
    edit(found["spec"]["http"])
    assert istio.shares(found, SERVICES) is None


def test_mirrors_of_others_are_not_guessed() -> None:
    """Istio's older field, or a destination of somebody else, tells no mirrors; no percentage is all of it."""
    wanted = route(Split(((V1, 100),), ((V3, 25),)))
    old, foreign, whole = live(wanted), live(wanted), live(wanted)
    old["spec"]["http"][-1]["mirror"] = {"host": "a"}
    assert istio.mirrors(old, SERVICES) is None
    foreign["spec"]["http"][-1]["mirrors"][0]["destination"]["host"] = "a"
    assert istio.mirrors(foreign, SERVICES) is None
    del whole["spec"]["http"][-1]["mirrors"][0]["percentage"]
    assert istio.mirrors(whole, SERVICES) == {"v3": 100}
    assert istio.mirrors({}, SERVICES) is None
    assert istio.shares({"spec": None}, SERVICES) is None


def test_paths_are_matched_in_whole_parts() -> None:
    """A path is the one that is named, or lies below it; /models/resnet2 is neither."""
    assert conditions.below("/models/resnet") == [
        {"uri": {"exact": "/models/resnet"}},
        {"uri": {"prefix": "/models/resnet/"}},
    ]
