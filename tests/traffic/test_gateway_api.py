"""Routes of the Gateway API."""

from typing import Any

import pytest

from pantala.api.traffic import Expose
from pantala.traffic import gateway_api
from pantala.traffic.route import Route, Split
from tests.golden import assert_golden
from tests.traffic.gateway_routes import FULL, GATEWAY, HOST, V1, route, traffic

CASES: dict[str, Route] = {
    "inside": route(((V1, 100),)),
    "split": route(gateway=GATEWAY, hosts=(HOST,)),
    "prefix": route(gateway=GATEWAY, hosts=(HOST,), prefix="/models/resnet", wanted=traffic(**FULL)),
    "full": route(gateway=GATEWAY, hosts=(HOST, "r.example.com"), wanted=traffic(**FULL)),
    "many-rules": route(
        wanted=traffic(
            rules=[
                {"name": f"r{n}", "headers": [{"name": "x-user", "value": str(n)}], "version": f"v{n % 2 + 1}"}
                for n in range(16)
            ]
        )
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_objects(case: str) -> None:
    """A route becomes exactly the objects that were reviewed."""
    for manifest in gateway_api.objects(CASES[case]):
        assert_golden(f"gateway-api-{case}/httproute-{manifest['metadata']['name']}.yaml", manifest)


def test_nowhere_to_go() -> None:
    """Without a version that gets requests there is no route."""
    assert gateway_api.objects(route(split=Split(()))) == []


@pytest.mark.parametrize(
    ("fields", "field", "words"),
    [
        ({"retries": {"attempts": 1}}, "traffic.retries", "gateway's own settings"),
        ({"rateLimit": {"requests": 1}}, "traffic.rateLimit", "limit in front of the gateway"),
        ({"access": {"allow": [{"paths": ["/"]}]}}, "traffic.access", "NetworkPolicy"),
        ({"authentication": {"jwt": [{"issuer": "a"}]}}, "traffic.authentication", "in front of the gateway"),
        ({"limits": {"maxRequests": 1}}, "traffic.limits", "gateway's implementation"),
        ({"outlierDetection": {}}, "traffic.outlierDetection", "gateway's implementation"),
        ({"cors": {"allowOrigins": ["http://[::1]"]}}, "traffic.cors.allowOrigins", "host name"),
        ({"headers": {"response": {"add": {"x-a": "%START_TIME%"}}}}, "traffic.headers.response.add", "without"),
    ],
)
def test_what_cannot_be_had_is_refused(fields: dict[str, Any], field: str, words: str) -> None:
    """Each field that has no equivalent is named, with what to do in place of it."""
    (found,) = gateway_api.refusals(traffic(**fields), None)
    assert found.field == field
    assert words in found.message


@pytest.mark.parametrize(
    ("headers", "words"),
    [
        ([{"name": "x-a", "value": "1"}, {"name": "X-A", "value": "2"}], "as one RegularExpression"),
        ([{"name": "Content-Type", "value": "application/grpc+proto"}], "content-type that is not gRPC"),
        ([{"name": "content-type", "type": "Prefix", "value": "app"}], "content-type that is not gRPC"),
        ([{"name": "content-type", "type": "RegularExpression", "value": "x"}], "content-type that is not gRPC"),
    ],
)
def test_rules_that_cannot_be_said_are_refused_and_left_out(headers: list[Any], words: str) -> None:
    """A rule with two conditions on a header, or one that gRPC may fit, is not made into something broader."""
    wanted = traffic(rules=[{"name": "a", "headers": headers, "version": "v2"}])
    (found,) = gateway_api.refusals(wanted, None)
    assert found.field == "traffic.rules[0]"
    assert words in found.message
    (made,) = gateway_api.objects(route(wanted=wanted))
    assert [rule["name"] for rule in made["spec"]["rules"]] == ["split.grpc", "split"]


def test_content_type_that_is_no_grpc_is_a_condition_like_others() -> None:
    """A rule for JSON takes no gRPC, so it has no rule for it."""
    json = {"name": "json", "headers": [{"name": "Content-Type", "value": "application/json"}], "version": "v2"}
    wanted = traffic(rules=[json])
    assert gateway_api.refusals(wanted, None) == ()
    (made,) = gateway_api.objects(route(wanted=wanted))
    assert [rule["name"] for rule in made["spec"]["rules"]] == ["rule.json", "split.grpc", "split"]


def test_too_many_rules_are_refused() -> None:
    """Under a prefix each match is a rule, and there are 16 at most."""
    rules = [{"name": f"r{n}", "prefix": f"/r{n}", "version": "v2"} for n in range(16)]
    assert gateway_api.refusals(traffic(rules=rules), Expose(prefix="/models/resnet")) == ()
    wide = [{"name": "any", "headers": [{"name": "x-a", "value": "1"}], "version": "v1"}, *rules[1:]]
    (found,) = gateway_api.refusals(traffic(rules=wide), Expose(prefix="/models/resnet"))
    assert found.field == "traffic.rules"
    assert gateway_api.refusals(traffic(rules=wide), None) == ()
    made = gateway_api.objects(
        route(wanted=traffic(rules=wide), gateway=GATEWAY, hosts=(HOST,), prefix="/models/resnet")
    )
    assert [rule["name"] for rule in made[-1]["spec"]["rules"]] == ["split"]


def test_nothing_is_refused_of_what_is_not_asked() -> None:
    """Without a traffic block, or with what the goldens hold, there is nothing to refuse."""
    assert gateway_api.refusals(None, None) == ()
    fine = {name: value for name, value in FULL.items() if name in {"rules", "mirrors", "timeout"}}
    assert gateway_api.refusals(traffic(**fine), Expose(prefix="/models/resnet")) == ()
