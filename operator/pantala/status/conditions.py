"""Conditions in the form of kstatus: Ready always, Reconciling and Stalled only while true."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pantala.status.reasons import Reason

MESSAGE_LIMIT = 1024
"""Characters of a message; the whole status stays under 64 KiB."""


@dataclass(frozen=True)
class Condition:
    """One statement about the model, without its times."""

    type: str
    status: bool | None
    """None is Unknown."""
    reason: Reason
    message: str


def timestamp(now: datetime) -> str:
    """A time as Kubernetes writes it, to the second."""
    return now.strftime("%Y-%m-%dT%H:%M:%SZ")


def merge(
    previous: Iterable[dict[str, Any]], conditions: Iterable[Condition], generation: int, now: datetime
) -> list[dict[str, Any]]:
    """The conditions as they go into the status.

    `lastTransitionTime` moves only when the status flips; a condition that is not given any more disappears.
    """
    before = {condition.get("type"): condition for condition in previous}
    merged = []
    for condition in sorted(conditions, key=lambda item: item.type):
        status = {True: "True", False: "False", None: "Unknown"}[condition.status]
        known = before.get(condition.type)
        unchanged = known is not None and known.get("status") == status
        merged.append(
            {
                "type": condition.type,
                "status": status,
                "reason": str(condition.reason),
                "message": condition.message[:MESSAGE_LIMIT],
                "lastTransitionTime": known["lastTransitionTime"] if known and unchanged else timestamp(now),
                "observedGeneration": generation,
            }
        )
    return merged
