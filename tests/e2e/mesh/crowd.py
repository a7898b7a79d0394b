"""Clients of several models at once, and the account of what they lost."""

import math
import statistics
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any, Self

from tests.cluster.process import wait_for
from tests.e2e.load import Answer, Load


class Crowd:
    """Loads of several models at once, and what they lost step by step."""

    def __init__(self, *loads: Load) -> None:
        self.loads = loads
        self._steps: list[tuple[str, float]] = []
        self._stack = ExitStack()
        self._ended = math.inf

    def __enter__(self) -> Self:
        """Start all, and wait until each got an answer; what is lost until the first step is lost as well."""
        self.step("clients come")
        for load in self.loads:
            self._stack.enter_context(load)
        for load in self.loads:
            wait_for(lambda load=load: any(not it.error for it in load.answers), "an answer", 90)  # type: ignore[misc]
        return self

    def __exit__(self, *_: object) -> None:
        """Stop all."""
        self._stack.close()
        self._ended = min(self._ended, time.time())

    def step(self, name: str) -> None:
        """A step begins; the one before it has ended."""
        self._steps.append((name, time.time()))

    @property
    def lost(self) -> int:
        """Requests without a good answer since the start."""
        return sum(len(load.lost) for load in self.loads)

    def between(self, since: float, until: float) -> list[Answer]:
        """Requests of all loads that were under way at a time between these two, in seconds since the epoch."""
        return [answer for load in self.loads for answer in load.between(since, until)]

    def values(self, since: float) -> Counter[Any]:
        """What requests got that began later than `since`, in seconds since the epoch."""
        return Counter(it.value for load in self.loads for it in load.answers if it.started > since and not it.error)

    def account(self) -> str:
        """Requests, rate and losses of every step, and of every load; to be printed."""
        lines: list[str] = []
        ends = [*(at for _, at in self._steps), self._ended][1:]
        for (name, since), until in zip(self._steps, ends, strict=True):
            found = [it for load in self.loads for it in load.answers if since <= it.started < until]
            bad = Counter(it.error for it in found if it.error)
            lines.append(
                f"{name}: {sum(bad.values())} lost of {len(found)} in {until - since:.1f} s "
                f"({len(found) / max(until - since, 0.001):.0f}/s) {dict(bad) or ''}"
            )
        return "\n".join([*lines, *(load.account() for load in self.loads)])


def percentiles(values: Sequence[float]) -> str:
    """Median, p99 and maximum, in milliseconds."""
    ordered = sorted(values)
    high = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
    return f"median {statistics.median(ordered) * 1000:.0f} ms, p99 {high * 1000:.0f} ms, of {len(ordered)}"
