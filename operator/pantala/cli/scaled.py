"""What `pantala status` tells of the autoscaler of a version, out of the status alone. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypedDict


class LastScale(TypedDict):
    """The autoscaler's last change."""

    time: str
    fromReplicas: int | None
    """None if nobody saw it."""
    toReplicas: int
    why: str | None
    """The measure that decided, with its value and target of that time; None if nobody saw it."""


class Scaler(TypedDict):
    """Who decides about the number of replicas."""

    engine: str
    desiredReplicas: int | None
    """None before it has looked."""
    limited: str | None
    """What keeps it from what the measures ask for."""
    missing: list[str]
    """Measures that it has no value of."""
    lastScale: LastScale | None


def scaler(status: Mapping[str, Any]) -> Scaler:
    """The autoscaler as a version's status tells of it."""
    last = status.get("lastScale")
    return {
        "engine": status["engine"],
        "desiredReplicas": status.get("desiredReplicas"),
        "limited": status.get("limited"),
        "missing": list(status.get("missing") or ()),
        "lastScale": None
        if last is None
        else {
            "time": last["time"],
            "fromReplicas": last.get("fromReplicas"),
            "toReplicas": last["toReplicas"],
            "why": last.get("why"),
        },
    }


def lines(found: Scaler) -> list[str]:
    """The lines of a tree."""
    wanted = found["desiredReplicas"]
    parts = [f"by {found['engine']}", *([f"{wanted} wanted"] if wanted is not None else [])]
    parts += [found["limited"]] if found["limited"] else []
    told = [f"scaling  {', '.join(parts)}"]
    if found["missing"]:
        told.append(f"missing  {', '.join(found['missing'])}")
    if last := found["lastScale"]:
        before = "" if last["fromReplicas"] is None else f"{last['fromReplicas']} -> "
        told.append(
            f"scaled   {before}{last['toReplicas']} at {last['time']}" + (f": {last['why']}" if last["why"] else "")
        )
    return told
