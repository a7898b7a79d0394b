"""API keys: the script that checks them, run by a real Envoy."""

import hashlib
import random
from collections.abc import Iterator
from typing import Any

import pytest

from pantala.api.traffic import ApiKey, ApiKeys
from pantala.traffic import api_keys
from tests.cluster.addons.service import http
from tests.traffic.policy_cases import API_KEYS, KEYS, route
from tests.traffic.standalone import envoy_with

FORGED = {"x-pantala-client": "root"}
_PROBE = """
local check = envoy_on_request
function envoy_on_request(handle)
  local digits = handle:headers():get("x-digits")
  if digits == nil then
    return check(handle)
  end
  local text = string.gsub(digits, "%x%x", function(pair) return string.char(tonumber(pair, 16)) end)
  handle:respond({[":status"] = "200"}, sha256(string.sub(text, 2)))
end
"""
"""Behind the script: answers with the checksum of bytes that a header gives in hexadecimal digits, after one for nothing."""


def keys(**fields: Any) -> ApiKeys:
    return ApiKeys.model_validate({**API_KEYS, **fields})


def _filter(wanted: ApiKeys) -> dict[str, Any]:
    patches = api_keys.api_keys(route({}), wanted)["spec"]["configPatches"]
    value: dict[str, Any] = patches[0]["patch"]["value"]
    return value


@pytest.fixture(scope="module")
def keyed() -> Iterator[str]:
    """URL of an Envoy that asks for a key in x-api-key, and tells checksums."""
    filter_ = _filter(keys())
    filter_["typed_config"]["default_source_code"]["inline_string"] += _PROBE
    with envoy_with(filter_, ("x-api-key", "x-pantala-client")) as url:
        yield url


@pytest.fixture(scope="module")
def bearer() -> Iterator[str]:
    """URL of an Envoy that asks for a key behind the word Bearer."""
    with envoy_with(_filter(keys(header="Authorization")), ("authorization", "x-pantala-client")) as url:
        yield url


def test_checksums_are_those_of_sha256(keyed: str) -> None:
    """The script computes what hashlib does, for random bytes of every length to beyond three blocks."""
    chance = random.Random(256)
    for length in range(201):
        text = chance.randbytes(length)
        _, _, found = http("GET", keyed, headers={"x-digits": "00" + text.hex()})
        assert found.decode() == hashlib.sha256(text).hexdigest(), length


@pytest.mark.parametrize("client", KEYS)
def test_a_known_key_is_let_in(keyed: str, client: str) -> None:
    """The server learns whose key it was, and nothing of the key or of what the client claims to be."""
    status, headers, _ = http("GET", keyed, headers={"X-API-Key": KEYS[client], **FORGED})
    assert status == 200
    assert headers["seen-x-pantala-client"] == client
    assert "seen-x-api-key" not in headers


@pytest.mark.parametrize(
    "sent",
    [
        {},
        FORGED,
        {"x-api-key": ""},
        {"x-api-key": "wrong"},
        {"x-api-key": KEYS["team-a"] + "x"},
        {"x-api-key": f"Bearer {KEYS['team-a']}"},
        {"x-api-key": hashlib.sha256(KEYS["team-a"].encode()).hexdigest()},
        {"authorization": f"Bearer {KEYS['team-a']}"},
        {"x-api-key": "x" * 2000},
    ],
)
def test_nobody_else_is_let_in(keyed: str, sent: dict[str, str]) -> None:
    """No key, a wrong one, one elsewhere, or the checksum itself: 401, and what is said names the header."""
    status, headers, body = http("GET", keyed, headers=sent)
    assert status == 401
    assert body == b"a valid key is required in the header x-api-key\n"
    assert headers["www-authenticate"] == "ApiKey"


@pytest.mark.parametrize("word", ["Bearer", "bearer", "BEARER"])
def test_a_key_behind_bearer(bearer: str, word: str) -> None:
    """In Authorization a key stands behind the word Bearer, in any case."""
    status, headers, _ = http("GET", bearer, headers={"Authorization": f"{word} {KEYS['team-b']}", **FORGED})
    assert status == 200
    assert headers["seen-x-pantala-client"] == "team-b"
    assert "seen-authorization" not in headers


@pytest.mark.parametrize("value", ["", "Bearer", "Bearer ", KEYS["team-b"], f"Basic {KEYS['team-b']}", "Bearer wrong"])
def test_no_key_behind_bearer(bearer: str, value: str) -> None:
    """Anything else in Authorization is answered with 401."""
    status, headers, body = http("GET", bearer, headers={"Authorization": value})
    assert status == 401
    assert body == b"a valid key is required in the header authorization, behind the word Bearer\n"
    assert headers["www-authenticate"] == "Bearer"


def test_two_keys_are_none(keyed: str) -> None:
    """A header that comes twice is no key, even if one of the values is."""
    from http.client import HTTPConnection

    connection = HTTPConnection(keyed.removeprefix("http://"))
    connection.putrequest("GET", "/")
    connection.putheader("x-api-key", KEYS["team-a"])
    connection.putheader("x-api-key", "other")
    connection.endheaders()
    assert connection.getresponse().status == 401
    connection.close()


def test_a_script_that_fails_lets_nobody_in() -> None:
    """Envoy passes requests on when a script fails; this one answers 401 whatever breaks in it."""
    filter_ = _filter(keys())
    source = filter_["typed_config"]["default_source_code"]
    broken = source["inline_string"].replace("return CLIENTS[sha256(key)]", "return CLIENTS[nothing(key)]")
    assert broken != source["inline_string"]
    source["inline_string"] = broken
    with envoy_with(filter_, ()) as url:
        assert http("GET", url, headers={"x-api-key": KEYS["team-a"]})[0] == 401


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", 'a"] = "b'),
        ("name", "a\n"),
        ("sha256", '"' + "0" * 63),
        ("sha256", "0" * 63),
        ("header", 'x"\nos.exit()'),
    ],
)
def test_nothing_breaks_out_of_the_script(field: str, value: str) -> None:
    """What the API's patterns would not let through is no part of a script, however it came this far."""
    key = {"name": "team", "sha256": "0" * 64}
    given = key | ({field: value} if field in key else {})
    header = value if field == "header" else "x-api-key"
    wanted = ApiKeys.model_construct(header=header, keys=(ApiKey.model_construct(**given),))
    with pytest.raises(ValueError, match="cannot be written into a script"):
        api_keys.script(wanted)


def test_no_key_is_in_an_object() -> None:
    """The object holds checksums and names, and no key."""
    made = str(api_keys.api_keys(route({}), keys()))
    assert not any(key in made for key in KEYS.values())
    assert all(hashlib.sha256(key.encode()).hexdigest() in made for key in KEYS.values())
