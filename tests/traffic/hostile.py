"""Wishes that the API takes and that try to be more than data: quotes, globs, regular expressions, other languages."""

import hashlib
import json
import random
from collections.abc import Callable
from typing import Any

from pydantic import ValidationError

from pantala.api.traffic import Traffic
from pantala.traffic import policies
from pantala.traffic.route import Route
from tests.traffic.policy_cases import JWKS, route

_TEXTS = (
    *(
        '"',
        "'",
        "\\",
        "`",
        "$(id)",
        "${HOME}",
        "%DOWNSTREAM_REMOTE_ADDRESS%",
        "%REQ(x)%",
        "{{.Values}}",
        "{%",
        "<!--",
        "&amp;",
    ),
    *("*", "**", ".*", "(.+)+$", "[^/]", "^", "$", "|", "?", "#", "%2e%2e", "%00", "..", "//", "/./", "{*}", "{**}"),
    *(
        ": ",
        "- a",
        "\n",
        "\r\n",
        "\t",
        "\x00",
        "\x01",
        "\x7f",
        "é",
        "\u202e",
        "\u2028",
        "😀",
        "---",
        "!!python/object",
        "&a",
        "*a",
    ),
    *(
        '"}]}',
        "]]",
        "]] os.exit() --",
        '"] = "x", ["',
        "--[[",
        "null",
        "true",
        "~",
        "1e9",
        "0x10",
        "@type",
        "a",
        "Z",
        "0",
        "-",
        "_",
    ),
)


def routes(count: int, seed: int) -> list[Route]:
    """Routes of such models."""
    return [route(wishes(seed * count + index), name=f"m{index}") for index in range(count)]


def wishes(seed: int) -> dict[str, Any]:
    """What stands below `traffic` of one such model."""
    chance = random.Random(seed)
    while True:
        found = _wishes(chance)
        try:
            if not policies.refusals(route(found).traffic):
                return found
        except ValidationError:
            continue  # the API refuses it


def _wishes(chance: random.Random) -> dict[str, Any]:
    every: dict[str, Any] = {
        "rateLimit": {
            "requests": chance.randint(1, 1_000_000),
            "per": chance.choice(["50ms", "1s", "1h59m59s999ms", "24h"]),
        },
        "limits": {"maxBodySize": chance.choice(["1Ki", "1Gi", "1e6", "12345678", "0.5Gi", "1500000m"])},
        "access": {
            side: [entry for _ in range(3) if (entry := _entry(chance))] or [{"methods": ["GET"]}]
            for side in chance.sample(["allow", "deny"], chance.randint(1, 2))
        },
        "authentication": _keys(chance) if chance.random() < 0.5 else {"jwt": [_issuer(chance)]},
    }
    return {name: every[name] for name in chance.sample(sorted(every), chance.randint(1, 4))}


def _text(chance: random.Random, most: int = 4) -> str:
    return "".join(chance.choices(_TEXTS, k=chance.randint(1, most)))


def _fitting(chance: random.Random, block: str, build: Callable[[], tuple[Any, str]]) -> str:
    """A value that is built until the API accepts a wish with it."""
    while True:
        wish, value = build()
        try:
            Traffic.model_validate({block: wish})
        except ValidationError:
            continue
        return value


def _entry(chance: random.Random) -> dict[str, Any]:
    def path() -> tuple[Any, str]:
        text = "/" + _text(chance)
        return {"allow": [{"paths": [text]}]}, text

    entry = {
        "paths": [_fitting(chance, "access", path) for _ in range(2)],
        "namespaces": [chance.choice(["a", "0", "null", "true", "x" * 63, "a--b"])],
        "ipBlocks": [chance.choice(["0.0.0.0/0", "::/0", "10.0.0.1", "2001:db8::1/128", "1.2.3.4/0"])],
        "remoteIpBlocks": [chance.choice(["0.0.0.0", "::", "255.255.255.255/32"])],
        "methods": [chance.choice(["GET", "CONNECT", "TRACE"])],
    }
    return {name: entry[name] for name in chance.sample(sorted(entry), chance.randint(0, 3))}


def _issuer(chance: random.Random) -> dict[str, Any]:
    def text(field: str) -> str:
        def build() -> tuple[Any, str]:
            found = f"https://a/{_text(chance)}" if field == "jwksUri" else _text(chance)
            rule = (
                {"issuer": found}
                if field == "issuer"
                else {"issuer": "a", field: [found] if field == "audiences" else found}
            )
            return {"jwt": [rule]}, found

        return _fitting(chance, "authentication", build)

    key = {**json.loads(JWKS)["keys"][0], "kid": _text(chance), _text(chance): _text(chance)}
    issuer = {"issuer": text("issuer"), "audiences": [text("audiences") for _ in range(3)]}
    return issuer | chance.choice([{"jwksUri": text("jwksUri")}, {"jwks": json.dumps({"keys": [key]})}])


def _keys(chance: random.Random) -> dict[str, Any]:
    def header() -> tuple[Any, str]:
        name = "x" + _text(chance)
        return {"apiKeys": {"header": name, "keys": [{"name": "a", "sha256": "0" * 64}]}}, name

    name = _fitting(chance, "authentication", header)
    names = ["a", "end", "nil", "0", "x" * 63, "os--exit"]
    keys = [{"name": it, "sha256": hashlib.sha256(chance.randbytes(8)).hexdigest()} for it in names]
    return {"apiKeys": {"header": name, "keys": keys}}
