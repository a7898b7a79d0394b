"""What was counted of the requests of a model's versions, and which of it is worth writing into the status. Pure."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from pantala.api import durations
from pantala.manifest.percents import percents

WINDOW = timedelta(minutes=5)
"""The time that a `Measurement` is about, up to now."""
QUIET = timedelta(minutes=1)
"""The shortest time between two changes of what the status tells of one model."""
_SHARE, _POINTS = 0.1, 2.0
_SIGMAS = 3.0
"""How many standard deviations a figure must move by to be news: about two of the difference of two figures."""

Service = tuple[str, str]
"""Namespace and name of a Service."""
Fields = Mapping[str, Any]
"""The fields `observed` and `measured` of an entry of `status.traffic`; each may be absent."""


@dataclass(frozen=True)
class Measurement:
    """The requests that one version got within the window."""

    requests: float
    """How many. Prometheus estimates: this is no whole number."""
    errors: float = 0.0
    """How many of them the server failed: HTTP 5xx, and the codes of gRPC that say the same."""
    p50: timedelta | None = None
    """Time within which half of them were answered. None: unknown."""
    p99: timedelta | None = None
    """Time within which 99 of 100 were answered. None: unknown."""


Measurements = Mapping[str, Measurement]
"""By version. A version that is not in it was not counted: that is not the same as no requests."""


@dataclass(frozen=True)
class Counted:
    """What was counted for one Service; `users` and `arrived` are the same where they cannot be told apart."""

    users: Measurement | None = None
    """Requests as those who sent them see them: never copies. None: not counted."""
    arrived: Measurement | None = None
    """Requests as the servers see them, copies included. None: not counted."""


class Unmeasured(Exception):  # noqa: N818 -- reads as what it says
    """Nothing could be measured; `str` says why, in words that hold no credentials."""

    def __init__(self, result: str, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.result = result
        """One word for the metric: unreachable, timeout, tls, refused, garbage, oversized or token."""
        self.status = status
        """Status of HTTP, where it was refused; None otherwise."""


def fields(measured: Measurements, shares: Collection[str]) -> dict[str, Fields]:
    """The measured fields of `status.traffic` by version, rounded to what they are good for: two digits.

    Args:
        measured: What was counted.
        shares: Versions with a share; only these have `observed`, whose sum is 100.
    """
    observed = percents({name: measured[name].requests for name in shares if name in measured})
    return {
        name: {**({"observed": observed[name]} if name in observed else {}), "measured": _told(one)}
        for name, one in measured.items()
    }


def told(traffic: Iterable[Mapping[str, Any]]) -> dict[str, Fields]:
    """The measured fields of `status.traffic` by version; a version without any is left out."""
    found = {one["version"]: {name: one[name] for name in ("observed", "measured") if name in one} for one in traffic}
    return {name: one for name, one in found.items() if one}


def shares(traffic: Iterable[Mapping[str, Any]]) -> frozenset[str]:
    """Versions of `status.traffic` with a share of the requests: one that is asked for, or one that is still given."""
    return frozenset(one["version"] for one in traffic if max(one.get("asked", 0), one.get("configured", 0)) > 0)


def merged(
    traffic: Iterable[Mapping[str, Any]], measured: Measurements, before: Iterable[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """The entries of `status.traffic` with their measured fields.

    Args:
        traffic: The new entries, without these fields.
        measured: What was counted (`Observed.measured`).
        before: The entries that the status has.
    """
    entries = list(traffic)
    names = {one["version"] for one in entries}
    old = {name: one for name, one in told(before).items() if name in names}
    counted = {name: one for name, one in measured.items() if name in names}
    found = settle(old, counted, shares(entries))
    return [{**one, **found.get(one["version"], {})} for one in entries]


def remembered(before: Mapping[str, Fields]) -> dict[str, Measurement]:
    """Measurements that make these fields again, as long as nothing better is known: after a restart."""
    return {name: _read(one["measured"]) for name, one in before.items() if "requests" in one.get("measured", {})}


def settle(
    before: Mapping[str, Fields], measured: Measurements, shares: Collection[str], since: timedelta | None = None
) -> dict[str, Fields]:
    """The measured fields to tell: the old ones unless there is news, so that noise writes no status.

    News are a share that moved by 2 points or more, requests, errors or latencies that changed by 10 % or more, and a
    figure that appeared or went; a move within the noise of so few requests is none. All figures of a model change together.

    Args:
        before: The fields as they were told last, by version.
        measured: What was counted.
        shares: Versions with a share.
        since: How long ago that was; None: long ago. Nothing changes within `QUIET`.
    """
    fresh = fields(measured, shares)
    if since is not None and since < QUIET:
        return dict(before)
    return fresh if _news(before, fresh) else dict(before)


def _news(before: Mapping[str, Fields], fresh: Mapping[str, Fields]) -> bool:
    """Whether a move of some figure is larger than its noise."""
    if before.keys() != fresh.keys():
        return True
    old, new = _observed(before), _observed(fresh)
    total = min(_total(before, old), _total(fresh, new))
    return (
        old.keys() != new.keys()
        or any(abs(new[name] - old[name]) >= _least_points(old[name], total) for name in old)
        or any(_moved(before[name].get("measured", {}), fresh[name]["measured"]) for name in fresh)
    )


def _observed(told: Mapping[str, Fields]) -> dict[str, float]:
    return {name: float(one["observed"]) for name, one in told.items() if "observed" in one}


def _total(told: Mapping[str, Fields], names: Collection[str]) -> float:
    return sum(float(told[name].get("measured", {}).get("requests", 0)) for name in names)


def _least_points(percent: float, total: float) -> float:
    """By how many points a share of `total` requests must move: `_SIGMAS` of a binomial distribution, 2 at least."""
    share = min(max(percent / 100, 0.01), 0.99)
    return max(_POINTS, _SIGMAS * 100 * math.sqrt(share * (1 - share) / total)) if total else _POINTS


def _moved(before: Mapping[str, Any], fresh: Mapping[str, Any]) -> bool:
    if before.keys() != fresh.keys():
        return True
    return any(
        abs(new - old) >= max(_SHARE * max(old, new), _SIGMAS * noise, 1.5 * step)
        for old, new, noise, step in _figures(before, fresh)
    )


def _figures(before: Mapping[str, Any], fresh: Mapping[str, Any]) -> Iterator[tuple[float, float, float, float]]:
    """Each figure before and now, the standard deviation that chance alone gives it, and the step of its rounding.

    One step is never news: a figure at the edge between two would go back and forth.
    """
    old, new = float(before["requests"]), float(fresh["requests"])
    yield old, new, math.sqrt(max(old, new)), 1
    if "errorPercent" in fresh:
        first, second = float(before["errorPercent"]), float(fresh["errorPercent"])
        middle = (first + second) / 2
        yield first, second, math.sqrt(middle * (100 - middle) / min(old, new)), 0.1
    for name, tail in (("p50", 0.5), ("p99", 0.01)):
        if name in fresh:
            first, second = _milliseconds(before[name]), _milliseconds(fresh[name])
            # A quantile rests on the requests beyond it.
            yield first, second, (first + second) / 2 / math.sqrt(max(1.0, min(old, new) * tail)), 1


def _milliseconds(duration: str) -> float:
    return durations.parse(duration) / timedelta(milliseconds=1)


def _told(one: Measurement) -> dict[str, Any]:
    requests = int(_digits(one.requests))
    if not requests:
        return {"requests": 0}
    percent = min(100.0, 100 * one.errors / one.requests)
    error = f"{_digits(percent) if percent >= 10 else percent:.1f}"  # noqa: PLR2004 -- two digits
    found: dict[str, Any] = {"requests": requests, "errorPercent": error}
    for name, value in (("p50", one.p50), ("p99", one.p99)):
        if value is not None:
            # A latency of nothing would say that nothing was measured.
            whole = max(1, round(_digits(value / timedelta(milliseconds=1))))
            found[name] = durations.format(timedelta(milliseconds=whole))
    return found


def _read(one: Mapping[str, Any]) -> Measurement:
    requests = float(one["requests"])
    latencies = [durations.parse(one[name]) if name in one else None for name in ("p50", "p99")]
    return Measurement(requests, requests * float(one.get("errorPercent", 0)) / 100, *latencies)


def _digits(value: float, keep: int = 2) -> float:
    """The value with two digits that count; what is below one has as many as whole numbers have: none."""
    if value < 10:  # noqa: PLR2004 -- no digit is lost
        return float(round(value))
    return float(round(value, keep - 1 - math.floor(math.log10(value))))
