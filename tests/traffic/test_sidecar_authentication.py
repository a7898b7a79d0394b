"""Tokens and keys, at real sidecars."""

from collections import Counter
from collections.abc import Iterator

import pytest

from tests.cluster.addons.issuer import Issuer
from tests.traffic.guarded import METRICS, Guarded
from tests.traffic.policy_cases import API_KEYS, KEYS

pytestmark = [pytest.mark.e2e, pytest.mark.mesh]


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    """An issuer whose tokens are let in."""
    with Issuer() as made:
        yield made


@pytest.fixture(scope="module")
def tokened(guarded: Guarded, issuer: Issuer) -> Guarded:
    """The replicas, which ask for tokens of one issuer for one of two audiences."""
    rule = {"issuer": issuer.name, "jwks": issuer.jwks, "audiences": ["resnet", "bert"]}
    guarded.put({"authentication": {"jwt": [rule]}})
    return guarded


def _bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def test_a_good_token_is_let_in(tokened: Guarded, issuer: Issuer) -> None:
    """HTTP and gRPC, for either audience; the server does not get the token."""
    for audience in ("resnet", "bert"):
        for answer in (
            tokened.ask(headers=_bearer(issuer.token(aud=audience))),
            tokened.call(_bearer(issuer.token(aud=audience))),
        ):
            assert answer.status in {200, "OK"}
            assert "authorization" not in answer.seen


def test_a_token_needs_no_subject(tokened: Guarded, issuer: Issuer) -> None:
    """A token without `sub`, as RFC 7519 permits, is good."""
    assert tokened.ask(headers=_bearer(issuer.token(aud="resnet", sub=None))).status == 200


def test_no_token_is_refused(tokened: Guarded) -> None:
    """403 at the ports for clients, at every replica; metrics are still read."""
    assert tokened.count(50) == {403: 50}
    assert tokened.count(50, replica=1) == {403: 50}
    assert tokened.call().status == "PERMISSION_DENIED"
    assert tokened.ask("/metrics", port=METRICS).status == 200


@pytest.mark.parametrize("case", ["audience", "no-audience", "expired", "issuer", "key", "nonsense", "cut"])
def test_bad_tokens_are_refused(tokened: Guarded, issuer: Issuer, case: str) -> None:
    """A token for others, of others, expired, or signed by another key lets nobody in, by HTTP or gRPC."""
    with Issuer("https://other.example.com") as other, Issuer() as forger:
        tokens = {
            "audience": lambda: issuer.token(aud="others"),
            "no-audience": issuer.token,
            "expired": lambda: issuer.token(aud="resnet", seconds=-300),
            "issuer": lambda: other.token(aud="resnet"),
            "key": lambda: forger.token(aud="resnet"),
            "nonsense": lambda: "nonsense",
            "cut": lambda: issuer.token(aud="resnet")[:-4],
        }
        token = tokens[case]()
    expected = (403, "PERMISSION_DENIED") if "audience" in case else (401, "UNAUTHENTICATED")
    assert (tokened.ask(headers=_bearer(token)).status, tokened.call(_bearer(token)).status) == expected


def test_tokens_that_others_let_in_are_not_ours(guarded: Guarded, issuer: Issuer) -> None:
    """A token of an issuer that is good for the whole namespace opens no model that does not name the issuer."""
    from tests.cluster.addons import istio
    from tests.cluster.process import wait_for
    from tests.traffic.guarded import SPACE

    with Issuer("https://other.example.com") as other:
        guarded.put({"authentication": {"jwt": [{"issuer": issuer.name, "jwks": issuer.jwks}]}})
        rule = {"issuer": other.name, "jwks": other.jwks}
        everybody = {
            "apiVersion": "security.istio.io/v1",
            "kind": "RequestAuthentication",
            "metadata": {"name": "everybody", "namespace": SPACE},
            "spec": {"jwtRules": [rule]},
        }
        istio.apply(guarded.mesh.cluster, [everybody])
        headers = _bearer(other.token())
        wait_for(lambda: guarded.ask(headers=headers).status == 403, "the issuer is known", 20)
        assert guarded.ask(headers=_bearer(issuer.token())).status == 200


def test_keys(guarded: Guarded) -> None:
    """600 requests with and without keys: each gets what its key says, and the server learns whose it was."""
    guarded.put({"authentication": {"apiKeys": API_KEYS}})
    sent = {"": 401, "wrong": 401, KEYS["team-a"]: 200, KEYS["team-b"]: 200}
    given = Counter(
        (key, guarded.ask(headers={"x-api-key": key} if key else {}, replica=turn % 2).status)
        for turn in range(150)
        for key in sent
    )
    assert given == dict.fromkeys(sent.items(), 150)
    forged = {"x-api-key": KEYS["team-a"], "x-pantala-client": "root"}
    for answer in (guarded.ask(headers=forged), guarded.call(forged)):
        assert answer.status in {200, "OK"}
        assert answer.seen["x-pantala-client"] == "team-a"
        assert "x-api-key" not in answer.seen
    assert guarded.call().status == "UNAUTHENTICATED"
    assert guarded.call({"x-api-key": "wrong"}).status == "UNAUTHENTICATED"
    seen = guarded.ask("/metrics", port=METRICS, headers={"x-pantala-client": "root"})
    assert seen.status == 200
    assert guarded.rejections() == []


def test_keys_behind_bearer(guarded: Guarded) -> None:
    """With `authorization` as the header a key stands behind Bearer, by HTTP and gRPC."""
    guarded.put({"authentication": {"apiKeys": {"header": "Authorization", **API_KEYS}}})
    good = _bearer(KEYS["team-b"])
    for answer in (guarded.ask(headers=good), guarded.call(good)):
        assert answer.status in {200, "OK"}
        assert answer.seen["x-pantala-client"] == "team-b"
        assert "authorization" not in answer.seen
    assert guarded.ask(headers={"authorization": KEYS["team-b"]}).status == 401
    assert guarded.call({"authorization": KEYS["team-b"]}).status == "UNAUTHENTICATED"


def test_strangers_use_up_nobodys_requests(guarded: Guarded) -> None:
    """Requests without a key are refused before they are counted."""
    guarded.put({"authentication": {"apiKeys": API_KEYS}, "rateLimit": {"requests": 20, "per": "24h"}})
    assert guarded.count(100) == {401: 100}
    assert guarded.count(30, headers={"x-api-key": KEYS["team-a"]}) == {200: 20, 429: 10}
