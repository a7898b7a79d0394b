"""What `pantala doctor` says: one finding for each thing that it looked at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from pantala.manifest import words


class Severity(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARNING = "warning"
    """It works, and will not under some load, on some node, or after some restart."""
    ERROR = "error"
    """Models do not get their weights from peers, or not at all."""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    severity: Severity
    check: str
    """Which check says so; docs/doctor.md has a heading for each."""
    message: str
    object: str = ""
    """What it is about, as `Kind namespace/name`; empty: the whole installation."""
    value: str = ""
    """The value that decided, where there is one."""
    next: str = ""
    """The next step; empty where nothing is to be done."""


def ok(check: str, message: str, object: str = "", value: str = "") -> Finding:  # noqa: A002 - the field's name
    """Nothing to be done."""
    return Finding(Severity.OK, check, message, object, value)


def warning(check: str, message: str, next: str, object: str = "", value: str = "") -> Finding:  # noqa: A002 - the fields' names
    """Something that bites later."""
    return Finding(Severity.WARNING, check, message, object, value, next)


def error(check: str, message: str, next: str, object: str = "", value: str = "") -> Finding:  # noqa: A002 - the fields' names
    """Something that is broken."""
    return Finding(Severity.ERROR, check, message, object, value, next)


def some(names: Sequence[str], most: int = 5) -> str:
    """Names in a sentence, not too many of them."""
    return words.some(names, most)
