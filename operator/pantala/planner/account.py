"""The fetcher's own account of what it brought, out of the termination message of its container.

A pod can say anything: what the schema of the status would refuse is left out, since otherwise nothing of the status
could be written.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from typing import Any

from pantala.manifest.types import Manifest
from pantala.planner import phases
from pantala.status.conditions import bounded

SOURCES = ("origin", "peer", "local", "cache", "proxy")
"""Where bytes come from (docs/conditions.md, the ledger)."""
FALLBACKS = frozenset({"NoSocket", "DaemonUnavailable", "DaemonFailed", "Stalled", "Unsupported"})
"""The words with which a fetcher says why it read the store in place of peers."""
LARGEST = 2**63 - 1
"""The largest number that the API server can hold."""
_LONGEST_SECONDS = 3600.0 * 99_999
_PARENTS = 4
_FALLBACK_LIMIT = 250
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
"""What a terminal would obey: `pantala status` shows the sentence."""
_FINGERPRINT = re.compile(r"[!-~]{1,80}")
_HOST = re.compile(r"[A-Za-z0-9._:-]{1,80}")


@dataclass(frozen=True)
class Account:
    """What a fetcher told."""

    figures: Manifest
    """As they go into the ledger."""
    seconds: timedelta | None = None
    """How long it took."""
    config: str | None = None
    """Where the `config.pbtxt` of a Triton model came from: `store`, or `overlay` for the generated one."""


def of(pod: Manifest) -> Account | None:
    """The account of a pod whose fetcher brought the weights, empty if it told nothing; None before that."""
    ended = phases.fetched(pod)
    return None if ended is None else _read(str(ended.get("message") or ""))


def newest(pods: Iterable[Manifest]) -> Account | None:
    """The account of the newest pod that has one with figures; None if there is none."""
    for pod in sorted(pods, key=lambda item: str(item["metadata"].get("creationTimestamp", "")), reverse=True):
        account = of(pod)
        if account is not None and account.figures:
            return account
    return None


def reason(fallback: str) -> str:
    """The word in the text of a fallback, one of `FALLBACKS` or `Other`."""
    word = fallback.partition(":")[0]
    return word if word in FALLBACKS else "Other"


@lru_cache(maxsize=2048)
def _read(text: str) -> Account:
    """Read a message; remembered, because it is asked for in every pass, of every pod."""
    try:
        told = json.loads(text)
    except (ValueError, RecursionError):
        return Account({})
    if not isinstance(told, Mapping):
        return Account({})
    fingerprint, fallback, config = told.get("fingerprint"), told.get("fallback"), told.get("config")
    found = {
        "files": _count(told.get("files")),
        "bytes": _counts({name: told["bytes"][name] for name in SOURCES if name in told["bytes"]})
        if isinstance(told.get("bytes"), Mapping)
        else None,
        "direct": _count(told.get("direct")),
        "parents": _parents(told.get("parents")),
        "retries": _count(told.get("retries")),
        "fallback": bounded(_CONTROL.sub(" ", fallback), _FALLBACK_LIMIT)
        if isinstance(fallback, str) and fallback
        else None,
        "fingerprint": fingerprint if isinstance(fingerprint, str) and _FINGERPRINT.fullmatch(fingerprint) else None,
    }
    figures = {key: value for key, value in found.items() if value is not None}
    return Account(figures, _seconds(told.get("seconds")), config if isinstance(config, str) else None)


def _count(value: Any) -> int | None:
    whole = isinstance(value, int) and not isinstance(value, bool)
    return value if whole and 0 <= value <= LARGEST else None


def _counts(values: Mapping[str, Any]) -> dict[str, int] | None:
    """Counts that belong together: all of them, or none if one is not a count."""
    counts = {name: count for name, value in values.items() if (count := _count(value)) is not None}
    return counts if counts and len(counts) == len(values) else None


def _parents(value: Any) -> dict[str, int] | None:
    if not isinstance(value, Mapping) or len(value) > _PARENTS or not all(_HOST.fullmatch(host) for host in value):
        return None
    return _counts(value)


def _seconds(value: Any) -> timedelta | None:
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value < _LONGEST_SECONDS:
        return None
    return timedelta(seconds=round(value, 3)) if math.isfinite(value) else None
