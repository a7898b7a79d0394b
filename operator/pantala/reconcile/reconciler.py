"""One pass over one model: all reads first, a pure plan, the writes, at most one status patch, then the events."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime
from typing import Protocol

from pydantic import ValidationError

from pantala.api.model import InferenceModel
from pantala.cluster.apply import Writer
from pantala.cluster.cache import Cache
from pantala.cluster.client import Client
from pantala.cluster.events import Recorder
from pantala.cluster.objects import Key
from pantala.cluster.resources import MODEL
from pantala.errors import ApiError
from pantala.manifest.settings import Settings
from pantala.planner import barrier, engines, live_route
from pantala.planner import plan as planning
from pantala.planner.measured import Measurements
from pantala.planner.observed import Observed
from pantala.planner.probed import Ask, Findings
from pantala.planner.report import LAZY_SECONDS, Report, Started, report, unreadable
from pantala.reconcile import metrics
from pantala.status.reasons import Reason

log = logging.getLogger(__name__)

RECHECK_SECONDS = 30.0
"""How soon a child that cannot be written is tried again: nothing tells when a stranger's object goes away."""

WEBHOOK_SECONDS = 5.0
"""The same where a webhook does not answer: that passes, and until then a route may lead to pods that are gone."""


class Probe(Protocol):
    """Who finds out why measures are missing: `reconcile.metric_probe.MetricProbe`."""

    def ask(self, key: Key, asks: tuple[Ask, ...]) -> None:
        """These measures of a model are missing, and no others."""

    def found(self, key: Key) -> Findings:
        """What is known of them."""


class Reconciler:
    """Makes one model true; holds nothing that a restart would miss."""

    def __init__(
        self,
        client: Client,
        cache: Cache,
        recorder: Recorder,
        settings: Settings,
        now: Callable[[], datetime],
        started: Callable[[Key, Started], None] | None = None,
        measured: Callable[[Key], Measurements] | None = None,
        probe: Probe | None = None,
    ) -> None:
        self._client = client
        self._cache = cache
        self._writer = Writer(client, cache)
        self._recorder = recorder
        self._settings = settings
        self._now = now
        self._started = started
        self._measured = measured
        self._probe = probe
        self._postponed: dict[Key, datetime] = {}
        self._ending: dict[str, datetime] = {}

    async def reconcile(self, key: Key) -> float | None:
        """One pass.

        Returns:
            Seconds after which to look again, or None if only a change can make a difference.
        """
        seen = self._cache.observe(key)
        if seen is None or "deletionTimestamp" in seen.model["metadata"]:
            self._postponed.pop(key, None)  # Garbage collection deletes the children.
            self._look_for(key, ())
            return None
        left = self._namespace_ends(key.namespace)
        if left is not None:
            return left
        try:
            return await self._pass(key, seen)
        except ApiError as error:
            if not error.namespace_ends:
                raise
            # The deletions of the children would wake this model again and again; its own ends it.
            self._ending[key.namespace] = self._now()
            return RECHECK_SECONDS

    async def _pass(self, key: Key, seen: Observed) -> float | None:
        """Plan, write, tell."""
        try:
            model = InferenceModel.read(seen.model)
        except ValidationError as error:
            self._look_for(key, ())
            return await self._tell(key, seen, unreadable(seen, error, self._now()))
        plan = planning.plan(model, seen, self._settings, self._now())
        problems = await self._writer.apply(seen, plan.apply)
        await self._writer.prune(barrier.deletable(plan.delete, plan.apply, problems))
        after = self._cache.observe(key)
        if after is None:
            return None
        if self._measured is not None:
            after = replace(after, measured=self._measured(key))
        if self._probe is not None:
            after = replace(after, probed=self._probe.found(key))
        outcome = report(model, after, plan, problems, self._now())
        self._look_for(key, outcome.asks)
        wait = await self._tell(key, after, outcome)
        if (seen.stable is not None and after.stable != seen.stable) or live_route.read(after) != plan.routing.live:
            return 0.0  # The traffic has moved: what had it can go, and no event tells of our own write.
        if engines.left(seen, after):
            return 0.0  # The same of an autoscaler: its successor can come.
        again = [WEBHOOK_SECONDS if it.reason is Reason.WEBHOOK_FAILED else RECHECK_SECONDS for it in problems]
        return min((one for one in (wait, outcome.wait, plan.wait, *again) if one is not None), default=None)

    def _look_for(self, key: Key, asks: tuple[Ask, ...]) -> None:
        """Have somebody find out why these measures are missing."""
        if self._probe is not None:
            self._probe.ask(key, asks)

    def _namespace_ends(self, namespace: str) -> float | None:
        """Seconds to leave a namespace alone because it was being deleted a moment ago; None if it was not."""
        since = self._ending.get(namespace)
        if since is None:
            return None
        left = RECHECK_SECONDS - (self._now() - since).total_seconds()
        if left > 0:
            return left
        del self._ending[namespace]
        return None

    async def _tell(self, key: Key, seen: Observed, outcome: Report) -> float | None:
        """Patch the status if it changed, then tell the events."""
        if outcome.status == (seen.model.get("status") or {}):
            self._postponed.pop(key, None)
            return None
        if not outcome.urgent:
            since = self._postponed.setdefault(key, self._now())
            left = LAZY_SECONDS - (self._now() - since).total_seconds()
            if left > 0:
                return left
        self._postponed.pop(key, None)
        meta = seen.model["metadata"]
        try:
            answer = await self._client.replace_status(MODEL, key.namespace, key.name, outcome.status, meta["uid"])
        except ApiError as error:
            if error.status in {404, 422}:
                # Deleted, or deleted and made again: the watch will say so, and the next pass is about the new one.
                # A status that the CRD's schema refuses is a defect, or an older CRD than the operator's.
                level = logging.ERROR if "is invalid" in error.message else logging.INFO
                log.log(level, "status of %s/%s was not written: %s", *key, error)
                return None
            raise
        self._cache.written(MODEL, answer)
        # A CRD that is older than this operator drops the ledger: then every pass would count the same replicas.
        if answer.get("status") == outcome.status:
            self._count(key, outcome.started)
        for notice in outcome.events:
            await self._recorder.record(seen.model, notice, self._now())
        return None

    def _count(self, key: Key, started: Iterable[Started]) -> None:
        """Count each replica that is ready now for the first time: the status says that it is, so it happens once."""
        for replica in started:
            metrics.started(replica.entry)
            if self._started is not None:
                self._started(key, replica)
