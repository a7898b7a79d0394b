"""The fetcher's own account of what it brought, out of the termination message of its container.

A pod can say anything: what the schema of the status would refuse is left out, since otherwise nothing of the status
could be written.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from pantala.api import durations
from pantala.manifest.types import Manifest

_LARGEST = 2**63 - 1
_LONGEST_SECONDS = 3600.0 * 99_999
_FINGERPRINT_LIMIT = 80


@dataclass(frozen=True)
class Account:
    """What a fetcher told."""

    status: Manifest
    """As it goes into the status."""
    config: str | None = None
    """Where the `config.pbtxt` of a Triton model came from: `store`, or `overlay` for the generated one."""


def newest(pods: Iterable[Manifest]) -> Account | None:
    """The account of the newest pod that has one; None if there is none."""
    for pod in sorted(pods, key=lambda item: str(item["metadata"].get("creationTimestamp", "")), reverse=True):
        for status in pod.get("status", {}).get("initContainerStatuses", ()):
            ended = status.get("state", {}).get("terminated", {})
            if status.get("name") == "fetch" and ended.get("exitCode") == 0 and ended.get("message"):
                account = _read(ended["message"])
                if account is not None:
                    return account
    return None


def _read(text: str) -> Account | None:
    try:
        account = json.loads(text)
    except ValueError:
        return None
    if not isinstance(account, Mapping):
        return None
    sources = account.get("bytes")
    counts = [_count(value) for value in sources.values()] if isinstance(sources, Mapping) else []
    fingerprint = account.get("fingerprint")
    found = {
        "files": _count(account.get("files")),
        "bytes": _count(sum(count for count in counts if count is not None)) if counts and None not in counts else None,
        "duration": _duration(account.get("seconds")),
        "fingerprint": fingerprint if isinstance(fingerprint, str) and len(fingerprint) <= _FINGERPRINT_LIMIT else None,
    }
    status = {key: value for key, value in found.items() if value is not None}
    config = account.get("config")
    return Account(status, config if isinstance(config, str) else None) if status else None


def _count(value: Any) -> int | None:
    whole = isinstance(value, int) and not isinstance(value, bool)
    return value if whole and 0 <= value <= _LARGEST else None


def _duration(value: Any) -> str | None:
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        return None
    if not 0 <= value < _LONGEST_SECONDS:
        return None
    return durations.format(timedelta(seconds=round(value, 3)))
