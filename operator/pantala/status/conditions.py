"""Conditions in the form of kstatus: Ready always, Reconciling and Stalled only while true."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pantala.manifest.canonical import canonical
from pantala.status.reasons import Reason

MESSAGE_LIMIT = 1024
"""Bytes of a message in JSON; the whole status stays under 64 KiB."""


@dataclass(frozen=True)
class Condition:
    """One statement about the model, without its times."""

    type: str
    status: bool | None
    """None is Unknown."""
    reason: Reason
    message: str


def bounded(text: str, limit: int = MESSAGE_LIMIT) -> str:
    """The beginning of a text that takes at most `limit` bytes in JSON, in which a character may take six."""
    # A file name that is no UTF-8 comes as half of a surrogate pair, which no JSON of the API server's can hold.
    text = text.encode(errors="replace").decode()
    if len(canonical(text)) - 2 <= limit:
        return text
    while (size := len(canonical(text)) + 1) > limit:
        text = text[: min(len(text) - 1, len(text) * limit // size)]
    return text + "..."


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
                "message": bounded(condition.message),
                "lastTransitionTime": known["lastTransitionTime"] if known and unchanged else timestamp(now),
                "observedGeneration": generation,
            }
        )
    return merged
