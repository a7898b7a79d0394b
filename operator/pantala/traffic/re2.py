r"""Regular expressions that Envoy takes: those of RE2, as far as it can be told without RE2.

Envoy refuses the routes of all models of a port if one expression does not compile, or is larger than it allows. Istio's
webhook keeps out what does not compile, and nothing does for the Gateway API. What is taken here is what RE2 and Python both
know, which is less than RE2 (github.com/google/re2/wiki/Syntax): neither `\Q` nor `\p`.
"""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Iterable

from pantala.api.traffic import HeaderMatch

_GROUP = re.compile(r"\(\?(?:[ims]+\)|[ims]*:|P<[A-Za-z_][A-Za-z0-9_]*>)")
_ESCAPE = re.compile(r"\\(?:[dDwWsSbBAntrfva]|x[0-9a-fA-F]{2}|[!-/:-@\[-`{-~])")
_REPEAT = re.compile(r"\{(\d+)(?:,(\d*))?\}")
_POSSESSIVE = re.compile(r"[*+?}]\+")
_MOST = 1000
"""Repetitions that RE2 takes, those within each other multiplied."""


HOW = "write it with plain characters, sets, groups and repetitions up to 1000, without \\Q, \\p and look-around"
"""What to do about an expression that is not known."""


def unknown(headers: Iterable[HeaderMatch]) -> HeaderMatch | None:
    """The first condition whose expression is not surely one of RE2."""
    return next((it for it in headers if it.type == "RegularExpression" and not known(it.value)), None)


def known(pattern: str) -> bool:
    """Whether an expression is surely one of RE2."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about sets that Python may read in another way one day
            re.compile(pattern)
    except (re.error, OverflowError, RecursionError):
        return False
    # One character or escape at a time, so that what a backslash hides is no group.
    place = 0
    bare = []
    while place < len(pattern):
        if pattern[place] == "\\":
            if not (found := _ESCAPE.match(pattern, place)):
                return False
            place = found.end()
            bare.append(".")
            continue
        if pattern.startswith("(?", place) and not _GROUP.match(pattern, place):
            return False
        bare.append(pattern[place])
        place += 1
    text = "".join(bare)
    counts = [int(last or first) for first, last in _REPEAT.findall(text)]
    return math.prod(max(count, 1) for count in counts) <= _MOST and not _POSSESSIVE.search(text)
