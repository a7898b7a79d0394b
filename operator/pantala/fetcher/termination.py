"""The termination message: the one thing of a finished container that the operator reads.

A pod's containers share 12 KiB of these, so each message has at most 1 KiB.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pantala.fetcher.errors import FetchError
from pantala.fetcher.progress import Progress
from pantala.fetcher.run import Summary

LIMIT = 1024
"""Bytes of a message."""


def success(summary: Summary, by_source: Mapping[str, int], seconds: float) -> str:
    """What was brought, from where, and in what time."""
    content: dict[str, Any] = {
        "fingerprint": summary.fingerprint,
        "files": summary.files,
        "bytes": dict(by_source),
        "seconds": round(seconds, 3),
    }
    if summary.digest is not None:
        content["digest"] = summary.digest
    if summary.config is not None:
        content["config"] = summary.config
    return json.dumps(content, separators=(",", ":"))


def failure(error: FetchError, redact: Callable[[str], str]) -> str:
    """Why nothing was brought; a long message is cut."""
    message = redact(error.message)
    while True:
        text = json.dumps(
            {"reason": error.failure.value, "message": message}, separators=(",", ":"), ensure_ascii=False
        )
        if len(text.encode(errors="replace")) <= LIMIT:
            return text
        message = message[: len(message) - max(8, (len(text.encode(errors="replace")) - LIMIT) // 4)] + "…"


def write(path: Path | None, text: str, progress: Progress) -> None:
    """Write the message; that it cannot be written is told in the log and changes nothing."""
    if path is None:
        return
    try:
        path.write_text(text, encoding="utf-8", errors="replace")
    except OSError as error:
        progress.log("the termination message cannot be written", level="warning", path=str(path), cause=error.strerror)
