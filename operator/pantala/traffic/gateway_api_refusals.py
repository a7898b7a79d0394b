"""What the standard channel of the Gateway API cannot carry out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from pantala.api.traffic import Cors, HeaderChanges, Headers, Traffic, TrafficRule
from pantala.traffic import re2
from pantala.traffic.precedence import MAX_MATCHES, Match
from pantala.traffic.route import Refusal

MAX_RULES = 16
"""Rules of one HTTPRoute."""
MAX_ALL_MATCHES = 128
"""Matches of one HTTPRoute."""
ORIGIN = re.compile(r"\*|https?://([A-Za-z0-9-]+\.)*[A-Za-z0-9-]+(:[0-9]{1,5})?")
"""Origins that the CRD takes, of those that the API takes (`HTTPCORSFilter.allowOrigins`)."""


def plain(value: str) -> bool:
    """Whether a header can be given this value: it is not empty, and no implementation reads it as more than text."""
    return bool(value.strip()) and "%" not in value


def fits(sizes: Sequence[int]) -> bool:
    """Whether one HTTPRoute holds rules with so many matches each."""
    return len(sizes) <= MAX_RULES and max(sizes, default=0) <= MAX_MATCHES and sum(sizes) <= MAX_ALL_MATCHES


def refusals(traffic: Traffic | None) -> tuple[Refusal, ...]:
    """What the standard channel of the Gateway API cannot carry out, but for too many rules."""
    if traffic is None:
        return ()
    found = [*_rule_refusals(traffic.rules or ())]
    missing = {
        "retries": (traffic.retries, "leave retries to the gateway's own settings"),
        "rateLimit": (traffic.rate_limit, "limit in front of the gateway"),
        "access": (traffic.access, "use a NetworkPolicy for addresses and namespaces"),
        "authentication": (traffic.authentication, "check keys and tokens in front of the gateway"),
        "limits": (traffic.limits, "use a policy of your gateway's implementation"),
        "outlierDetection": (traffic.outlier_detection, "use a policy of your gateway's implementation"),
    }
    for name, (value, instead) in missing.items():
        if value is not None:
            words = "no equivalent in the Gateway API's standard channel"
            found.append(Refusal(f"traffic.{name}", f"{words}: remove it and {instead}"))
    found += _cors_refusals(traffic.cors)
    headers = traffic.headers or Headers()
    for way, changes in (("request", headers.request), ("response", headers.response)):
        found += _header_refusals(f"traffic.headers.{way}", changes or HeaderChanges())
    return tuple(found)


def _rule_refusals(rules: tuple[TrafficRule, ...]) -> Iterable[Refusal]:
    for place, rule in enumerate(rules):
        if Match.of(rule):
            continue
        names = [header.name.lower() for header in rule.headers or ()]
        words = f"the rule {rule.name} matches a content-type, by which the route itself tells gRPC from HTTP"
        step = "match another header, or an exact content-type that is not gRPC"
        if wrong := re2.unknown(rule.headers or ()):
            words = f"the rule {rule.name} has a regular expression for {wrong.name} that is not surely one of RE2"
            step = re2.HOW
        elif len(set(names)) < len(names):
            words = f"the rule {rule.name} has two conditions on one header, of which the Gateway API takes one"
            step = "write them as one RegularExpression"
        yield Refusal(f"traffic.rules[{place}]", f"{words}: {step}")


def _cors_refusals(cors: Cors | None) -> Iterable[Refusal]:
    for origin in cors.allow_origins if cors else ():
        if not ORIGIN.fullmatch(origin):
            words = f"the Gateway API does not take the origin {origin}"
            yield Refusal("traffic.cors.allowOrigins", f"{words}: write a host name with or without a port")


def _header_refusals(field: str, changes: HeaderChanges) -> Iterable[Refusal]:
    for block, values in (("set", changes.set), ("add", changes.add)):
        for name, value in (values or {}).items():
            if "%" in value:
                words = (
                    f"the value of the header {name} has a %, which implementations of the Gateway API read differently"
                )
                yield Refusal(f"{field}.{block}", f"{words}: write it without")
