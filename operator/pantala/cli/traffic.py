"""The share of each version in the requests, as a table, and a shadow beside the version that answers, in words. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any, TypedDict

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from pantala.api import durations


class Measured(TypedDict):
    """What Prometheus counted in the last five minutes."""

    requests: int | None
    errorPercent: str | None
    p50: str | None
    p99: str | None


class Traffic(TypedDict):
    """The share of one version in the requests, or in copies of them; percents."""

    version: str
    asked: int | None
    configured: int | None
    observed: int | None
    mirror: int | None
    measured: Measured | None


def entries(status: Iterable[Mapping[str, Any]]) -> list[Traffic]:
    """The entries of `status.traffic`, each with every field."""
    return [
        {
            "version": one["version"],
            "asked": one.get("asked"),
            "configured": one.get("configured"),
            "observed": one.get("observed"),
            "mirror": one.get("mirror"),
            "measured": _measured(one["measured"]) if one.get("measured") else None,
        }
        for one in status
    ]


def drawn(traffic: list[Traffic], stable: str | None) -> RenderableType:
    """A line for each version, and one for each shadow that can be compared with the version that answers.

    Args:
        traffic: The entries; at least one.
        stable: The version that answers.
    """
    counted = any(one["measured"] for one in traffic)
    titles = ["TRAFFIC", "ASKED", "CONFIGURED", "OBSERVED", "MIRROR"]
    titles += ["REQUESTS", "ERRORS", "P50", "P99"] if counted else []
    found = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for number, title in enumerate(titles):
        found.add_column(title, justify="right" if number else "left", overflow="fold")
    for one in traffic:
        shares = [_percent(share) for share in (one["asked"], one["configured"], one["observed"], one["mirror"])]
        found.add_row(one["version"], *shares, *(_figures(one["measured"]) if counted else ()))
    words = [f"shadow {one['version']}: {told}" for one in traffic if (told := compared(one, traffic, stable))]
    return Group(found, *(Text(line) for line in words))


def compared(shadow: Traffic, traffic: Iterable[Traffic], stable: str | None) -> str:
    """How copies fare beside the requests of the version that answers; empty if this version gets no copies."""
    if shadow["mirror"] is None or shadow["version"] == stable:
        return ""
    copies = shadow["measured"]
    if not copies or not copies["requests"]:
        return "no copies were counted in the last five minutes"
    users = next((one["measured"] for one in traffic if one["version"] == stable), None)
    if not users or not users["requests"]:
        return f"nothing to compare with: no requests of {stable or 'another version'} were counted"
    parts = [_errors(copies["errorPercent"], users["errorPercent"])]
    parts += [_times("p50", copies["p50"], users["p50"]), _times("p99", copies["p99"], users["p99"])]
    return f"{', '.join(part for part in parts if part)} of {stable}"


def _errors(copies: str | None, users: str | None) -> str:
    if copies is None or users is None:
        return ""
    points = round(float(copies) - float(users), 1)
    return f"errors {points:+.1f} points" if points else "errors +0 points"


def _times(name: str, copies: str | None, users: str | None) -> str:
    if copies is None or users is None:
        return ""
    least = timedelta(milliseconds=1)
    return f"{name} {max(durations.parse(copies), least) / max(durations.parse(users), least):.1f}x"


def _measured(status: Mapping[str, Any]) -> Measured:
    return {
        "requests": status.get("requests"),
        "errorPercent": status.get("errorPercent"),
        "p50": status.get("p50"),
        "p99": status.get("p99"),
    }


def _figures(measured: Measured | None) -> tuple[str, ...]:
    if measured is None:
        return ("unknown", "", "", "")
    requests, errors = measured["requests"], measured["errorPercent"]
    return (
        "unknown" if requests is None else str(requests),
        "" if errors is None else f"{errors} %",
        measured["p50"] or "",
        measured["p99"] or "",
    )


def _percent(value: int | None) -> str:
    return "" if value is None else f"{value} %"
