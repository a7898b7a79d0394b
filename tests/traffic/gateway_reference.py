"""What the Gateway API says about the precedence of matches, by its words (`HTTPRouteRule.matches`), and rules at random."""

import random
import re
from collections.abc import Mapping
from typing import Any

from pantala.api.traffic import HeaderMatch, TrafficRule
from pantala.manifest.types import Manifest
from pantala.traffic.precedence import within

PATHS = ("/a", "/a/b", "/a/b/c", "/ab")
VALUES = ("1", "12", "2")
TYPES = {
    "Exact": str.__eq__,
    "Prefix": str.startswith,
    "RegularExpression": lambda value, pattern: bool(re.fullmatch(pattern, value)),
}
_BITS = (
    *(
        '"',
        "'",
        "\\",
        "%REQ(x)%",
        "$(id)",
        "{{ .Values }}",
        "*",
        "?",
        "[",
        ")",
        "{",
        "|",
        "^",
        "$",
        ".",
        ".*",
        "+",
        ",",
    ),
    *(
        " ",
        "- a: b",
        "&x",
        "<script>",
        "../",
        "~",
        "null",
        "true",
        "1e3",
        "\\r\\nx-evil: 1",
        "\\Q",
        "@type",
        "(?=a)",
        "a{9}",
    ),
)
Asked = tuple[str, Mapping[str, str]]


def rule(some: random.Random, name: str, version: str) -> TrafficRule:
    """A rule with up to three headers and maybe a prefix."""
    headers = [
        {"name": header, "type": kind, "value": f"{value}.*" if kind == "RegularExpression" else value}
        for header in some.sample("xyz", some.randint(0, 3))
        for kind, value in [(some.choice(list(TYPES)), some.choice(VALUES))]
    ]
    made: dict[str, Any] = {"name": name, "version": version}
    if headers:
        made["headers"] = headers
    if not headers or some.random() < 0.5:
        made["prefix"] = some.choice(PATHS)
    return TrafficRule.model_validate(made)


def request(some: random.Random) -> Asked:
    """A path and headers that rules are about."""
    headers = {name: some.choice([*VALUES, "3"]) for name in some.sample("xyz", some.randint(0, 3))}
    if some.random() < 0.5:
        headers["content-type"] = some.choice(["application/json", "application/grpc", "application/grpc+proto"])
    return some.choice([*PATHS, "/a/b/c/d", "/b", "/"]), headers


def hostile(some: random.Random) -> str:
    """A text that means something to somebody: a shell, a template, YAML, an expression, Envoy."""
    return "".join(some.choice(_BITS) for _ in range(some.randint(1, 4)))


def fits(rule: TrafficRule, asked: Asked) -> bool:
    """Whether a request fits a rule: whole parts of the path, and every condition on a header."""
    return (not rule.prefix or within(asked[0], rule.prefix)) and all(_holds(it, asked) for it in rule.headers or ())


def _holds(it: HeaderMatch, asked: Asked) -> bool:
    value = asked[1].get(it.name.lower())
    return value is not None and TYPES[it.type](value, it.value)


def deciding(routes: list[Manifest], asked: Asked) -> list[tuple[str, Manifest]]:
    """The rules of HTTPRoutes that may decide about a request, each with the name of its route.

    These are those of the most specific match, the first one of each route: between routes age decides, which nobody
    can rely on.
    """
    found = [
        ((len(match["path"]["value"]), len(match.get("headers", ()))), route["metadata"]["name"], rule)
        for route in routes
        for rule in route["spec"]["rules"]
        for match in rule["matches"]
        if _match_fits(match, asked)
    ]
    best: dict[str, Manifest] = {}
    for rank, name, rule in found:
        if rank == max(rank for rank, _, _ in found):
            best.setdefault(name, rule)
    return list(best.items())


def _match_fits(match: Manifest, asked: Asked) -> bool:
    prefix = match["path"]["value"].rstrip("/")
    return within(asked[0], prefix) and all(
        (value := asked[1].get(it["name"].lower())) is not None and TYPES[it["type"]](value, it["value"])
        for it in match.get("headers", ())
    )
