"""The first rule that fits decides, where the Gateway API takes the most specific match."""

import random

import pytest

from pantala.api.traffic import Expose, HeaderMatch
from pantala.traffic import gateway_api
from pantala.traffic.precedence import Match, settled
from pantala.traffic.route import Backend, Split
from tests.traffic import gateway_reference
from tests.traffic.gateway_routes import GATEWAY, HOST, route, traffic

SEEDS = 150
V1, V2, V3 = Backend("v1", "resnet-v1", 80, 81), Backend("v2", "resnet-v2", 80), Backend("v3", "resnet-v3", 80, 81)


def exact(name: str, value: str) -> HeaderMatch:
    return HeaderMatch(name=name, type="Exact", value=value)


@pytest.mark.parametrize(
    ("count", "prefix", "least"),
    [(2, "", 1), (4, "", 1), (9, "", 0.9), (16, "", 0.9), (2, "/m", 1), (4, "/m", 0.9), (6, "/m", 0.9)],
)
def test_first_rule_that_fits_decides(count: int, prefix: str, least: float) -> None:
    """By the words of the Gateway API exactly one route takes a request, and it leads where the first rule that fits does.

    About requests of gRPC for a version that does not speak it the shares decide. The rules are at random, the seeds are fixed; of so many rules
    at least this part can be told to the Gateway API, all others are refused.
    """
    told = 0
    for seed in range(SEEDS):
        some = random.Random(seed * 100 + count)
        speaks = [V1, V2, V3] if seed % 3 else [V2]
        backends = {it.version: it for it in speaks}
        rules = [gateway_reference.rule(some, f"r{n}", some.choice(list(backends))) for n in range(count)]
        wanted = traffic(rules=[it.model_dump(by_alias=True, exclude_none=True) for it in rules])
        shares = tuple(zip(speaks, (50, 30, 20) if len(speaks) > 1 else (100,), strict=True))
        split = Split(shares, rules=tuple((it, backends[it.version]) for it in rules))
        given = route(wanted=wanted, split=split, gateway=GATEWAY, hosts=(HOST,), prefix=prefix or None)
        made = [it for it in gateway_api.objects(given) if it["spec"]["parentRefs"][0]["kind"] == "Gateway"]
        if not any(it["name"].startswith("rule.") for one in made for it in one["spec"]["rules"]):
            assert gateway_api.refusals(wanted, Expose(prefix=prefix or None)), "left out, but not refused"
            continue
        told += 1
        for _ in range(30):
            path, headers = gateway_reference.request(some)
            grpc = headers.get("content-type", "").startswith("application/grpc") and not prefix
            to = next((it for it in rules if gateway_reference.fits(it, (path, headers))), None)
            spoken = grpc and speaks != [V2]
            port = 80
            if spoken:
                to, port = to and (to if backends[to.version].grpc else None), 81
            services = {backends[to.version].service} if to else {it.service for it in speaks if it.grpc or not spoken}
            found = gateway_reference.deciding(made, (f"{prefix}{path}", headers))
            assert len(found) == 1, (seed, found)
            refs = found[0][1]["backendRefs"]
            assert {(it["name"], it["port"]) for it in refs} == {(it, port) for it in services}, (seed, path, headers)
    assert told >= least * SEEDS


def test_order_that_is_right_already_adds_nothing() -> None:
    """Rules from the most to the least specific are said as they are."""
    wanted = [Match("/a/b"), Match("/a", (exact("x", "1"),)), Match("/a"), Match()]
    assert settled(wanted) == [(one,) for one in wanted]


def test_conditions_that_exclude_each_other_add_nothing() -> None:
    """A later rule that no request fits together with an earlier one leaves it alone."""
    wanted = [
        Match("", (exact("x", "1"),)),
        Match("/a", (exact("x", "2"),)),
        Match("/b", (HeaderMatch(name="x", type="Prefix", value="12"),)),
    ]
    assert settled(wanted) == [(one,) for one in wanted]
