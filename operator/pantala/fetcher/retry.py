"""Trying again what may pass: exponential backoff with full jitter, for as long as `seconds` without a success.

opendal's own RetryLayer is not used: it counts attempts (a store that restarts takes as long as it takes), says nothing
while it waits, and marks what it gave up on as permanent.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from time import monotonic
from typing import TypeVar

from pantala.errors import FetchFailure
from pantala.fetcher.errors import FetchError, Transient, classify

T = TypeVar("T")
_FIRST = 0.2
_LONGEST = 10.0


@dataclass
class Retry:
    """The budget that all requests of a run share."""

    seconds: float
    """How long nothing may succeed before the run gives up."""
    on_retry: Callable[[str, str, float], None]
    """Called before each wait with subject, cause and seconds."""
    retries: int = 0
    _last_success: float = field(default_factory=monotonic)

    def succeeded(self) -> None:
        """Bytes came: the store is there, so the patience begins anew."""
        self._last_success = monotonic()

    def again(self, subject: str, cause: str, delay: float) -> None:
        """Count and tell that a request is sent once more after `delay` seconds."""
        self.retries += 1
        self.on_retry(subject, cause, delay)

    async def call(self, subject: str, attempt: Callable[[], Awaitable[T]]) -> T:
        """Run `attempt` until it succeeds, fails for good or the budget is spent."""
        started = monotonic()
        number = 0
        while True:
            try:
                result = await attempt()
            except FetchError:
                raise
            except Transient as cause:
                transient = cause
            except Exception as error:  # noqa: BLE001 - opendal's exceptions share no base class
                verdict = classify(error, subject)
                if isinstance(verdict, FetchError):
                    raise verdict from None  # the text of the cause holds URLs and headers
                transient = verdict
            else:
                self.succeeded()
                return result
            quiet = monotonic() - max(started, self._last_success)
            if quiet >= self.seconds:
                message = f"{subject}: {transient}; gave up after {quiet:.0f} s; check the store and the way to it"
                raise FetchError(FetchFailure.UNAVAILABLE, message) from None
            delay = random.uniform(0.5, 1) * min(_LONGEST, _FIRST * 2**number)  # noqa: S311 - jitter
            delay = min(delay, max(0.05, self.seconds - quiet))
            number += 1
            self.again(subject, str(transient), delay)
            await asyncio.sleep(delay)
