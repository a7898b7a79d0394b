"""The work queue: each key at most once in it, never worked on twice at a time, backed off after a failure."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)

FIRST_BACKOFF, LAST_BACKOFF = 0.5, 60.0
"""Seconds of the first and the longest wait after a failure; each is twice the one before."""


class WorkQueue(Generic[K]):
    """Keys to be reconciled.

    A key that comes while it is being worked on is done once more afterwards, so no change is missed and none is done
    twice at a time. Keys that cannot wait have a lane of their own, which every worker looks at first and to which some
    workers can be reserved.
    """

    def __init__(self, jitter: Callable[[], float] = lambda: 1.0) -> None:
        self._ready: OrderedDict[K, None] = OrderedDict()
        self._first: OrderedDict[K, None] = OrderedDict()
        self._working: set[K] = set()
        self._again: set[K] = set()
        self._again_first: set[K] = set()
        self._timers: dict[K, asyncio.TimerHandle] = {}
        self._failures: dict[K, int] = {}
        self._wake = asyncio.Event()
        self._wake_first = asyncio.Event()
        self._jitter = jitter

    def __len__(self) -> int:
        """Keys that wait for a worker."""
        return len(self._ready) + len(self._first)

    def add(self, key: K, *, first: bool = False) -> None:
        """Work on `key` as soon as a worker is free; with `first` before all keys that were added without."""
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()
        if key in self._working:
            (self._again_first if first else self._again).add(key)
        elif first and key not in self._first:
            self._ready.pop(key, None)
            self._first[key] = None
            self._wake.set()
            self._wake_first.set()
        elif key not in self._ready and key not in self._first:
            self._ready[key] = None
            self._wake.set()

    def add_after(self, key: K, seconds: float) -> None:
        """Work on `key` in `seconds` at the latest; an earlier date that is already set stays."""
        loop = asyncio.get_running_loop()
        timer = self._timers.get(key)
        if key in self._ready or key in self._first or (timer is not None and timer.when() <= loop.time() + seconds):
            return
        if timer is not None:
            timer.cancel()
        self._timers[key] = loop.call_later(seconds, self._due, key)

    async def get(self, *, first: bool = False) -> K:
        """The next key, with `first` only one that was added so; `done` must follow."""
        wake = self._wake_first if first else self._wake
        while not (self._first or (self._ready and not first)):
            wake.clear()
            await wake.wait()
        key, _ = (self._first or self._ready).popitem(last=False)
        self._working.add(key)
        return key

    def done(self, key: K, *, failed: bool = False, after: float | None = None) -> None:
        """The work on `key` has ended.

        Args:
            key: As `get` gave it.
            failed: Try again after a wait that doubles with each failure in a row.
            after: Look again in so many seconds.
        """
        self._working.discard(key)
        if failed:
            count = self._failures[key] = self._failures.get(key, 0) + 1
            # The power is bounded as well: after a day of failures it would not fit in a float.
            wait = min(LAST_BACKOFF, FIRST_BACKOFF * 2 ** min(count - 1, 10)) * self._jitter()
            after = wait if after is None else max(wait, after)
        else:
            self._failures.pop(key, None)
        again, again_first = key in self._again, key in self._again_first
        self._again.discard(key)
        self._again_first.discard(key)
        if again_first:
            self.add(key, first=True)  # At once even after a failure: no failure of ours brings such news.
        elif again:
            # News came while working. After a failure they may be its cause or its cure: not at once, but soon.
            self.add_after(key, FIRST_BACKOFF) if failed else self.add(key)
        elif after is not None:
            self.add_after(key, after)

    def _due(self, key: K) -> None:
        self._timers.pop(key, None)
        self.add(key)
