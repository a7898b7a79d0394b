"""Durations as people write them in the resource: one pattern, one parser.

The format is that of Kubernetes GEP-2257: up to four pairs of a number and a unit out of ``h``, ``m``, ``s``, ``ms``,
without sign, fraction or space: ``30m``, ``1h30m``, ``250ms``.
"""

import re
from datetime import timedelta

PATTERN = r"^([0-9]{1,5}(h|m|s|ms)){1,4}$"
"""What the schema accepts (GEP-2257, "Format")."""

MAX_LENGTH = 28
"""Characters of the longest value that `PATTERN` allows: four times five digits and two letters."""

_PAIR = re.compile(r"([0-9]{1,5})(ms|h|m|s)")
_MILLISECONDS = {"h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1}


def parse(text: str) -> timedelta:
    """Read a duration.

    Args:
        text: A duration such as ``1h30m``.

    Raises:
        ValueError: The text is not a duration.
    """
    if not re.fullmatch(PATTERN.strip("^$"), text):
        raise ValueError(f"{text!r} is not a duration: write numbers with the units h, m, s, ms, such as 30m or 1m30s")
    return timedelta(milliseconds=sum(int(number) * _MILLISECONDS[unit] for number, unit in _PAIR.findall(text)))


def format(value: timedelta) -> str:  # noqa: A001 - read as durations.format
    """Write a duration in its shortest form, to the millisecond; `parse` reads it back.

    Raises:
        ValueError: The value is negative or has more than 99999 hours.
    """
    left = round(value / timedelta(milliseconds=1))
    if left < 0 or left >= 100_000 * _MILLISECONDS["h"]:
        raise ValueError(f"{value} cannot be written as a duration: it must lie between 0s and 99999h")
    parts = []
    for unit, size in _MILLISECONDS.items():
        number, left = divmod(left, size)
        if number:
            parts.append(f"{number}{unit}")
    return "".join(parts) or "0s"
