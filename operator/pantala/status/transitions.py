"""What a change of the status means: which Events tell of it, and whether somebody waits for it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pantala.status.reasons import WAITING, Reason


@dataclass(frozen=True)
class Notice:
    """An Event to be: told on transitions only."""

    type: str
    """`Normal` or `Warning`."""
    reason: str
    message: str


def _by_type(status: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    return {condition["type"]: condition for condition in status.get("conditions", ())}


_EARLY = frozenset({Reason.VERSION_NOT_READY, Reason.ROUTE_NOT_ACCEPTED})
"""Reasons that every new route has for a moment."""
_TOLD = ("Accepted", "Ready", "TrafficReady", "MetricsAvailable", "Stalled")


def _news(known: str | None, status: str) -> bool:
    """Whether it is told that the measures of autoscalers are there, or not: what is unknown passes."""
    return status == "False" or (status == "True" and known == "False")


def events(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[Notice, ...]:
    """One Event for each condition of interest that flipped, for weights that differ, and for a change of the serving version."""
    old, new = _by_type(before), _by_type(after)
    notices = []
    for kind in _TOLD:
        status, known = new.get(kind, {}).get("status"), old.get(kind, {}).get("status")
        if status == known or status is None or (kind == "MetricsAvailable" and not _news(known, status)):
            continue
        bad = status == ("True" if kind == "Stalled" else "False")
        # What is expected is not told: a new model is accepted and not ready yet.
        expected = {"Accepted": not bad, "Ready": bad, "TrafficReady": not bad or new[kind]["reason"] in _EARLY}
        if known is None and expected.get(kind, False):
            continue
        if kind == "TrafficReady" and "False" in {it.get("Ready", {}).get("status") for it in (old, new)}:
            continue  # nobody answers, or nobody did: Ready tells that
        if kind == "Stalled" and any(
            new.get(other, {}).get("status") == "False" for other in ("Accepted", "TrafficReady")
        ):
            continue  # told already, in the same words
        notices.append(Notice("Warning" if bad else "Normal", new[kind]["reason"], new[kind]["message"]))
    waits = new.get("Reconciling", {})
    if waits.get("reason") in WAITING and waits["reason"] != old.get("Reconciling", {}).get("reason"):
        notices.append(Notice("Warning", waits["reason"], waits["message"]))
    weights = new.get("Distributed", {})
    if weights.get("reason") == Reason.WEIGHTS_DIFFER != old.get("Distributed", {}).get("reason"):
        notices.append(
            Notice("Warning", weights["reason"], weights["message"])
        )  # nothing else tells: the model answers on
    moved = before.get("version")
    if moved and moved != after.get("version"):
        notices.append(
            Notice("Normal", "TrafficMoved", f"Version {after.get('version')} has the traffic; it was {moved}.")
        )
    return tuple(notices)


def urgent(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Whether somebody waits for the change: a condition that flips or changes its reason, a new generation, a version."""

    def essence(status: Mapping[str, Any]) -> Any:
        told = {
            kind: (condition.get("status"), condition.get("reason"))
            for kind, condition in _by_type(status).items()
            if kind != "Distributed"
        }
        return status.get("observedGeneration"), status.get("version"), status.get("url"), status.get("nodePort"), told

    # The pods are ready a moment before the Deployment says so: the two make one write.
    catching_up = _by_type(after).get("Reconciling", {}).get("reason") == Reason.ROLLING_OUT
    if catching_up and _by_type(before).get("Reconciling", {}).get("reason") == Reason.STARTING:
        return False
    return bool(essence(before) != essence(after))
