"""The termination message: the one thing of a finished container that the operator reads.

A pod's containers share 12 KiB of these, so each message has at most 1 KiB.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pantala.fetcher.errors import FetchError
from pantala.fetcher.options import Summary
from pantala.fetcher.progress import Progress

LIMIT = 1024
"""Bytes of a message."""
_PARENTS = 3
_OTHERS = "others"
_SHORTEST = 32
"""Characters of a fallback that are kept: its word is one of them."""


def success(summary: Summary, by_source: Mapping[str, int], direct: int, seconds: float) -> str:
    """What was brought, from where, and in what time; a long sentence is cut, and names of parents are left out last.

    Args:
        summary: what the run says.
        by_source: bytes by source.
        direct: bytes of the origin that the fetcher read itself.
        seconds: since the start.
    """
    content: dict[str, Any] = {
        "fingerprint": summary.fingerprint,
        "files": summary.files,
        "bytes": dict(by_source),
        "seconds": round(seconds, 3),
        "retries": summary.retries,
    }
    if summary.digest is not None:
        content["digest"] = summary.digest
    if summary.config is not None:
        content["config"] = summary.config
    if summary.asked_peers:
        content["direct"] = direct
    if summary.parents:
        content["parents"] = _largest(summary.parents)
    if summary.fallback is not None:
        content["fallback"] = summary.fallback
    while len(text := _dump(content).encode(errors="replace")) > LIMIT:
        fallback = content.get("fallback", "")
        if len(fallback) > _SHORTEST:
            short = _cut(fallback, len(text) - LIMIT)
            content["fallback"] = short if len(short) > _SHORTEST else fallback[: _SHORTEST - 1] + "…"
        else:
            del content["parents"]
    return _dump(content)


def _largest(parents: Mapping[str, int]) -> dict[str, int]:
    """The hosts that gave the most; the rest in one sum."""
    ranked = sorted(parents.items(), key=lambda item: (-item[1], item[0]))
    named = dict(ranked[:_PARENTS])
    if others := sum(number for _, number in ranked[_PARENTS:]):
        named[_OTHERS] = named.get(_OTHERS, 0) + others
    return named


def failure(error: FetchError, redact: Callable[[str], str]) -> str:
    """Why nothing was brought; a long message is cut."""
    message = redact(error.message)
    while True:
        text = _dump({"reason": error.failure.value, "message": message})
        if len(text.encode(errors="replace")) <= LIMIT:
            return text
        message = _cut(message, len(text.encode(errors="replace")) - LIMIT)


def _cut(text: str, excess: int) -> str:
    return text[: max(0, len(text) - max(8, excess // 4))] + "…"


def _dump(content: Mapping[str, Any]) -> str:
    return json.dumps(content, separators=(",", ":"), ensure_ascii=False)


def write(path: Path | None, text: str, progress: Progress) -> None:
    """Write the message; that it cannot be written is told in the log and changes nothing."""
    if path is None:
        return
    try:
        path.write_text(text, encoding="utf-8", errors="replace")
    except OSError as error:
        progress.log("the termination message cannot be written", level="warning", path=str(path), cause=error.strerror)
