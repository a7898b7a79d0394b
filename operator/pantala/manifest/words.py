"""Words for people that several features share: lists of names, taints of nodes."""

from __future__ import annotations

from collections.abc import Sequence

KEEP_AWAY = frozenset({"NoSchedule", "NoExecute"})
"""Effects of taints that keep pods away."""


def some(names: Sequence[str], most: int) -> str:
    """Names in a sentence; a long list is cut, and says how many there are beside those.

    Args:
        names: In the order in which they are told.
        most: How many are told.
    """
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")


def taint(key: str, value: str, effect: str) -> str:
    """A taint as kubectl writes it; without `=` where there is no value."""
    return f"{key}={value}:{effect}" if value else f"{key}:{effect}"
