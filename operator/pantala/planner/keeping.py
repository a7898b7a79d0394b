"""Versions that nothing asks for any more: how long they keep their replicas. Pure.

A mesh learns of a new route a moment after it is written, and the way back to a version that is still warm is instant. So
replicas stay for `LEARN` where a mesh routes, and for `traffic.rollout.keepStable` where the user wants that.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from pantala.api import durations
from pantala.api.model import InferenceModel
from pantala.planner.observed import Observed, wanted_replicas
from pantala.planner.phases import instant
from pantala.planner.shares import learning


@dataclass(frozen=True)
class Kept:
    """Versions that keep their replicas for now."""

    names: frozenset[str] = frozenset()
    wait: float | None = None
    """Seconds after which the first of them may go; None: none is kept."""


def kept(model: InferenceModel, seen: Observed, idle: Iterable[str], now: datetime) -> Kept:
    """Those of the idle versions whose time is not over.

    Args:
        model: The resource.
        seen: What the cluster holds; its status says since when versions are idle.
        idle: Versions that nothing asks for.
        now: The time.
    """
    rollout = model.spec.traffic.rollout if model.spec.traffic else None
    wanted = durations.parse(rollout.keep_stable) if rollout else timedelta()
    time = max(wanted, learning(seen.mesh))
    if not time:
        return Kept()
    told = {
        item["name"]: instant(item.get("idleSince")) for item in (seen.model.get("status") or {}).get("versions", ())
    }
    left = {}
    for name in idle:
        if not wanted_replicas(seen.deployment(name)):
            continue
        since = told.get(name)
        # Not told yet: this pass will tell it, and time counts from then.
        left[name] = time if since is None else since + time - now
    names = {name: rest for name, rest in left.items() if rest > timedelta()}
    return Kept(frozenset(names), max(0.0, min(names.values()).total_seconds()) if names else None)
