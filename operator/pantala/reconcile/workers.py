"""Workers that take keys off the queue; one broken model delays no other."""

from __future__ import annotations

import asyncio
import logging
import time

from pantala.cluster.objects import Key
from pantala.errors import ApiError, Unavailable
from pantala.reconcile import metrics
from pantala.reconcile.queue import WorkQueue
from pantala.reconcile.reconciler import Reconciler

log = logging.getLogger(__name__)

WORKERS = 16
"""Models that are reconciled at a time: enough to hide the API server's latency, few enough to be fair to it."""

RESERVED_WORKERS = 4
"""Further workers that only take keys that cannot wait: a route that still leads to a lost pod fails requests. More than
one, since a pass of theirs can be slow as well."""


async def work(queue: WorkQueue[Key], reconciler: Reconciler, *, reserved: bool = False) -> None:
    """Reconcile keys until cancelled; a reserved worker takes only those that were added as `first`."""
    while True:
        key = await queue.get(first=reserved)
        begun = time.perf_counter()
        try:
            after = await reconciler.reconcile(key)
        except (ApiError, Unavailable) as error:
            metrics.RECONCILES.labels("retry").inc()
            log.warning("%s/%s: tried again soon: %s", *key, error)
            queue.done(key, failed=True, after=error.retry_after if isinstance(error, ApiError) else None)
        except asyncio.CancelledError:
            raise
        except Exception:
            # A defect in the operator: loud, but the other models go on.
            metrics.RECONCILES.labels("error").inc()
            log.exception("%s/%s: could not be reconciled", *key)
            queue.done(key, failed=True)
        else:
            metrics.RECONCILES.labels("done").inc()
            queue.done(key, after=after)
        metrics.RECONCILE_SECONDS.observe(time.perf_counter() - begun)
