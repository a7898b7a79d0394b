"""Tokens: what the API's patterns let through and the mesh does not take."""

import json
from typing import Any

import pytest

from pantala.traffic import policies
from tests.traffic.policy_cases import CASES, ISSUER, JWKS, route

FIELD = "traffic.authentication.jwt"
KEY = json.loads(JWKS)["keys"][0]
RSA = {"kty": "RSA", "n": "A" * 342, "e": "AQAB"}


def refused(*issuers: dict[str, Any]) -> list[str]:
    wanted = {"authentication": {"jwt": [{"issuer": ISSUER, **it} for it in issuers]}}
    return [it.field for it in policies.refusals(route(wanted).traffic)]


@pytest.mark.parametrize("case", CASES)
def test_nothing_of_the_goldens_is_refused(case: str) -> None:
    """What is reviewed in golden files can be carried out."""
    assert policies.refusals(route(CASES[case]).traffic) == []


@pytest.mark.parametrize("key", [KEY, RSA, {"kty": "OKP", "crv": "Ed25519", "x": "A" * 43}])
def test_public_keys(key: dict[str, Any]) -> None:
    """Keys of the three types are taken, and one that is not right among them spoils the set."""
    assert refused({"jwks": json.dumps({"keys": [key]})}) == []
    assert refused({"jwks": json.dumps({"keys": [key, {**key, "kty": "none"}]})}) == [f"{FIELD}[0].jwks"]


@pytest.mark.parametrize(
    "jwks",
    [
        "{}",
        "[]",
        '"keys"',
        '{"keys": []}',
        '{"keys": {}}',
        '{"keys": [1]}',
        '{"keys": [{}]}',
        '{"keys": [',
        "[" * 16000,
        json.dumps({"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}),
        json.dumps({"keys": [RSA | {"n": "AQAB"}]}),
        json.dumps({"keys": [RSA | {"n": "A" * 341}]}),
        json.dumps({"keys": [RSA | {"n": "+" * 342}]}),
        json.dumps({"keys": [RSA | {"e": ""}]}),
        json.dumps({"keys": [KEY | {"crv": "P-512"}]}),
        json.dumps({"keys": [KEY | {"crv": ["P-256"]}]}),
        json.dumps({"keys": [KEY | {"x": "AQ"}]}),
        json.dumps({"keys": [KEY | {"y": None}]}),
    ],
)
def test_key_sets_that_envoy_cannot_read(jwks: str) -> None:
    """A key set that Envoy refuses would hold up every later change of the replicas' sidecars: it is told before."""
    assert refused({"jwks": JWKS, "issuer": "good"}, {"jwks": jwks}) == [f"{FIELD}[1].jwks"]


@pytest.mark.parametrize(
    "uri",
    [
        "https://:443/",
        "https://a:x/",
        "https://a:99999/",
        "https://[a/",
    ],
)
def test_addresses_of_key_sets(uri: str) -> None:
    """An address without a host, or with a port that is none, is told."""
    assert refused({"jwksUri": uri}) == [f"{FIELD}[0].jwksUri"]
    assert refused({"jwksUri": "https://a:8443/keys?x=1"}) == []
