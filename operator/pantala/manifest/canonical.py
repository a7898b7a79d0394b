"""One byte sequence per value: canonical JSON and the digests made of it."""

from __future__ import annotations

import hashlib
from typing import Any

import orjson


def canonical(value: Any) -> bytes:
    """JSON with sorted keys and no spaces; equal values give equal bytes on every machine."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def digest(value: Any, length: int = 16) -> str:
    """The first `length` hex characters of the sha256 of the canonical form: an identity, not a security measure."""
    return hashlib.sha256(canonical(value)).hexdigest()[:length]
