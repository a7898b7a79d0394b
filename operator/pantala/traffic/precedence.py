"""The first rule that fits decides: said to the Gateway API, where the most specific one does.

A request that fits several matches of an HTTPRoute goes by the one with the longest path, then by the one with most
headers, and only between equals by their order (Gateway API v1, `HTTPRouteRule.matches`). So a rule gets, besides its
own match, one more for each later and more specific one: both at once, which is at least as specific. A request then
never finds a match of a later rule before one of the first that fits, which `tests/traffic/test_precedence.py` shows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pantala.api.traffic import HeaderMatch, TrafficRule
from pantala.traffic import re2

MAX_MATCHES = 64
"""Matches of one rule of an HTTPRoute (CRD of v1.6)."""
CONTENT_TYPE = "content-type"
GRPC = HeaderMatch(name=CONTENT_TYPE, type="Prefix", value="application/grpc")
"""The mark of gRPC: every such request has it (gRPC over HTTP/2, Requests), `application/grpc+proto` among them."""


@dataclass(frozen=True)
class Match:
    """Conditions on a request, all of which must hold."""

    path: str = ""
    """Beginning of the path in whole parts, without a slash at the end; empty for any."""
    headers: tuple[HeaderMatch, ...] = ()
    """Conditions by the name of the header in lower case, in order of names; each name once."""

    @classmethod
    def of(cls, rule: TrafficRule) -> Match | None:
        """The conditions of a rule; None if it has two on one header, one on content-type that gRPC may fit, or no RE2."""
        named = {it.name.lower(): it.model_copy(update={"name": it.name.lower()}) for it in rule.headers or ()}
        kind = named.get(CONTENT_TYPE)
        if len(named) < len(rule.headers or ()) or (kind and not apart(kind, GRPC)):
            return None
        if re2.unknown(named.values()):
            return None
        return cls(rule.prefix or "", tuple(named[name] for name in sorted(named)))

    @property
    def rank(self) -> tuple[int, int]:
        """How specific it is: of two that fit, the greater decides."""
        return len(self.path), len(self.headers)

    def implies(self, other: Match) -> bool:
        """Whether every request that fits this one surely fits the other."""
        return within(self.path, other.path) and set(other.headers) <= set(self.headers)

    def and_also(self, other: Match) -> Match | None:
        """A match that only requests of this one fit, and all that fit both; None if none can.

        Of two conditions on the same header that of this one is kept: enough for both statements, and as specific.
        """
        if within(self.path, other.path):
            path = self.path
        elif within(other.path, self.path):
            path = other.path
        else:
            return None
        mine = {header.name: header for header in self.headers}
        theirs = {header.name: header for header in other.headers}
        if any(apart(mine[name], theirs[name]) for name in mine.keys() & theirs.keys()):
            return None
        both = theirs | mine
        return Match(path, tuple(both[name] for name in sorted(both)))


def within(path: str, prefix: str) -> bool:
    """Whether a path is a prefix or lies below it, by whole parts."""
    return path == prefix or path.startswith(prefix + "/")


def apart(one: HeaderMatch, other: HeaderMatch) -> bool:
    """Whether surely no value fits both conditions; two regular expressions may."""
    if one.type == "RegularExpression" or other.type == "RegularExpression":
        return False
    if one.type == other.type == "Exact":
        return one.value != other.value
    if one.type == "Exact":
        return not one.value.startswith(other.value)
    if other.type == "Exact":
        return not other.value.startswith(one.value)
    return not (one.value.startswith(other.value) or other.value.startswith(one.value))


def settled(matches: Sequence[Match]) -> list[tuple[Match, ...]]:
    """Matches for each of a list, such that the first of the list that fits decides in an HTTPRoute.

    A request fits one of the matches of a place exactly if it fits the match given for it. A place that needs more than
    `MAX_MATCHES` is left with one too many, as the number can double with every further rule.
    """
    found: list[tuple[Match, ...]] = [() for _ in matches]
    for place in reversed(range(len(matches))):
        mine = [matches[place]]
        for later in (one for several in found[place + 1 :] for one in several):
            if later.rank <= mine[0].rank or (both := mine[0].and_also(later)) is None:
                continue
            # What an earlier place takes anyway needs nothing of this one.
            taken = any(both.implies(earlier) for earlier in matches[:place])
            if not taken and not any(both.implies(one) and one.rank >= later.rank for one in mine):
                mine.append(both)
            if len(mine) > MAX_MATCHES:
                break
        found[place] = tuple(mine)
    return found
