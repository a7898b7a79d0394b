"""What the status says of the cards of versions: what was asked, what is granted, and what the user should know. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from pantala.accelerators.base import Grant, NoUtilization
from pantala.accelerators.registry import PROVIDERS
from pantala.api.accelerator import Accelerator
from pantala.api.resolve import ResolvedVersion
from pantala.manifest.types import Manifest
from pantala.planner.cards import Cards
from pantala.planner.ledger import Ledger
from pantala.status.conditions import bounded
from pantala.status.reasons import Reason
from pantala.status.transitions import Notice

WARNINGS_BYTES = 6 * 1024
"""Most bytes of the warnings of all versions together; each has an equal part."""
_GRANTS, _WARNINGS = 8, 8
_SHORT, _SERIES = 64, 512
_LARGE = "The weights of version"
_GIB, _MIB = 1 << 30, 1 << 20


def status(version: ResolvedVersion, cards: Cards, book: Ledger, versions: int) -> Manifest:
    """The field `accelerator` of a version's status.

    Args:
        version: The version.
        cards: What its pods ask of the provider of their cards.
        book: Its ledger: how many bytes a replica has.
        versions: How many versions the status tells of.
    """
    found: Manifest = {"provider": cards.provider}
    grants = {grant.resource: _grant(grant) for grant in cards.claim.grants[:_GRANTS]}
    if grants:
        found["grants"] = [*grants.values()]
    if version.accelerator is not None and (words := _utilization(version.accelerator, cards.provider)):
        found["utilization"] = bounded(words, _SERIES)
    if warnings := _warnings(version, cards, book, WARNINGS_BYTES // max(1, versions)):
        found["warnings"] = warnings
    return found


def too_large(version: ResolvedVersion, cards: Cards, book: Ledger) -> str | None:
    """What to say if the weights cannot fit the granted memory; None where they may, or where nothing is known."""
    asked, memory = version.accelerator, cards.claim.memory
    size = _size(book)
    if asked is None or memory is None or size is None or size <= memory.bytes * cards.claim.cards:
        return None
    count = cards.claim.cards
    granted = f"{_amount(memory.bytes)} of memory" if count == 1 else f"{count} x {_amount(memory.bytes)} of memory"
    least = f"{math.ceil(size / count / _GIB)} GiB"
    step = (
        f"take slices of more than {least}" if asked.profile else f"set accelerator.memoryPerCard to more than {least}"
    )
    return (
        f"{_LARGE} {version.name} are {_amount(size)}, and a replica was granted {granted}, into which they cannot"
        f" fit: {step}, raise accelerator.count if the server divides a model over cards, or serve a smaller model."
    )


def _size(book: Ledger) -> int | None:
    """Bytes that the newest replica fetched, or a replica in the mean where none is listed any more; None if nobody knows."""
    size = next((sum(it["bytes"].values()) for it in reversed(book.entries) if it.get("bytes")), None)
    if size is None and book.totals.get("bytes") and book.totals.get("replicas"):
        size = sum(book.totals["bytes"].values()) // book.totals["replicas"]
    return size


def notices(before: Mapping[str, Any], after: Mapping[str, Any], large: Mapping[str, str]) -> tuple[Notice, ...]:
    """One Event for each version of which the status says for the first time that it is too large.

    Args:
        before: The status as it was.
        after: The status as it shall be.
        large: What `too_large` says, by version.
    """
    old, new = _told(before), _told(after)
    return tuple(
        Notice("Warning", Reason.MODEL_TOO_LARGE, words)
        for name, words in large.items()
        if words in new.get(name, ()) and not any(it.startswith(_LARGE) for it in old.get(name, ()))
    )


def _told(found: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """The warnings of each version."""
    return {
        version["name"]: tuple((version.get("accelerator") or {}).get("warnings", ()))
        for version in found.get("versions", ())
    }


def _grant(grant: Grant) -> Manifest:
    return {
        "resource": bounded(grant.resource, 253),
        "asked": bounded(grant.asked, _SHORT),
        "granted": bounded(grant.granted, _SHORT),
        "unit": bounded(grant.unit, _SHORT),
        "amount": grant.amount,
    }


def _utilization(asked: Accelerator, provider: str) -> str | None:
    """The series of one replica's cards, or why there is none."""
    known = PROVIDERS.get(provider)
    if known is None:
        return None
    found = known.utilization(asked.model_copy(update={"provider": provider}))
    if isinstance(found, NoUtilization):
        return f"None. {found.why}"
    labels = [found.namespace_label, found.pod_label, *(f'{name}="{value}"' for name, value in found.selector.items())]
    factor = "" if found.scale == 1 else f", times {found.scale:.4g}"
    return f"{found.series} by {', '.join(labels)}{factor}: percent of what is granted."


def _warnings(version: ResolvedVersion, cards: Cards, book: Ledger, room: int) -> list[str]:
    """The warnings, that of weights which do not fit first, as far as there is room."""
    large = too_large(version, cards, book)
    found: list[str] = []
    for words in ((large,) if large else ()) + cards.claim.warnings[: _WARNINGS - 1]:
        if room < len(words) // 2:
            break
        found.append(bounded(words, min(room, _SERIES)))
        room -= len(found[-1].encode())
    return found


def _amount(size: int) -> str:
    return f"{size / _GIB:.1f} GiB" if size >= _GIB else f"{math.ceil(size / _MIB)} MiB"
