"""The background task that asks Prometheus about the traffic of all models, and wakes those about which there is news."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from prometheus_client import Counter

from pantala import naming
from pantala.cluster.objects import Key
from pantala.manifest.types import Manifest
from pantala.planner.measured import (
    WINDOW,
    Counted,
    Fields,
    Measurement,
    Measurements,
    Service,
    Unmeasured,
    remembered,
    settle,
    shares,
)

log = logging.getLogger(__name__)

INTERVAL = 30.0
"""Seconds from one round of queries to the next."""
KEPT = 2 * WINDOW
"""For how long figures are told that cannot be asked for anew."""

QUERIES = Counter(
    "pantala_prometheus_queries_total",
    "Rounds of queries about the traffic of models by result: ok, or unreachable, timeout, tls, refused, garbage, oversized, token, error.",
    ["result"],
)


class Source(Protocol):
    """Who counts: `remote.prometheus.Prometheus`, which is imported only where it is used."""

    def measure(self, namespaces: Collection[str]) -> Mapping[Service, Counted]:
        """Blocks for a bounded time; raises `Unmeasured`."""

    def close(self) -> None:
        """Make a `measure` under way end soon."""


@dataclass(frozen=True)
class Target:
    """The version that a Service leads to, and what it gets."""

    key: Key
    version: str
    share: bool = False
    """Whether it has a share of the requests."""
    copies: bool = False
    """Whether it gets copies: then its figures are what its servers saw."""


def targets(models: Iterable[Manifest]) -> dict[Service, Target]:
    """The Services of all versions that have a place in the `status.traffic` of their model."""
    found = {}
    for model in models:
        key = Key(model["metadata"]["namespace"], model["metadata"]["name"])
        traffic = (model.get("status") or {}).get("traffic") or ()
        sharing = shares(traffic)
        for one in traffic:
            service = key.namespace, naming.child_name(key.name, one["version"])
            copies = "mirror" in one and one["version"] not in sharing
            found[service] = Target(key, one["version"], share=one["version"] in sharing, copies=copies)
    return found


class Measurer:
    """Asks every half a minute, for all models at once. Holds nothing that a restart would miss."""

    def __init__(
        self,
        source: Source,
        targets: Callable[[], Mapping[Service, Target]],
        told: Callable[[Key], Mapping[str, Fields]],
        changed: Callable[[Key], None],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """Asks nothing yet.

        Args:
            source: Whom to ask.
            targets: The Services of all models, as they are now.
            told: What the status of a model tells (`planner.measured.told`).
            changed: Called with a model whose status should tell something else; at most once a minute for each.
            now: A clock in seconds that never goes back.
        """
        self._source, self._targets, self._told, self._changed, self._now = source, targets, told, changed, now
        self._known: dict[Key, Measurements] = {}
        self._when: dict[Key, float] = {}
        self._good = now()
        self._state = "ok"

    def measured(self, key: Key) -> Measurements:
        """What is known of a model: what its status tells already, unless there was news."""
        known = self._known.get(key)
        return remembered(self._told(key)) if known is None else known

    async def run(self) -> None:
        """Ask until cancelled."""
        try:
            while True:
                begun = self._now()
                await self.poll()
                await asyncio.sleep(max(1.0, INTERVAL - (self._now() - begun)))
        finally:
            self._source.close()

    async def poll(self) -> None:
        """One round. Never fails: what cannot be asked is logged once, and known after a while as unknown."""
        targets = self._targets()
        self._forget({target.key for target in targets.values()})
        if not targets:
            return
        try:
            counted = await asyncio.to_thread(self._source.measure, sorted({space for space, _ in targets}))
        except Unmeasured as error:
            self._failed(error.result, str(error))
        except Exception as error:  # a defect: told, but the operator's work does not depend on figures
            log.debug("asking Prometheus", exc_info=True)
            self._failed("error", repr(error))
        else:
            self._answered()
            self._take(targets, counted)
            return
        if timedelta(seconds=self._now() - self._good) >= KEPT:
            self._take(targets, {})

    def _take(self, targets: Mapping[Service, Target], counted: Mapping[Service, Counted]) -> None:
        """Keep what is news, and wake the models that it is about."""
        found: dict[Key, dict[str, Measurement]] = {}
        sharing: dict[Key, set[str]] = {}
        for service, target in targets.items():
            one = counted.get(service, Counted())
            figures = one.arrived if target.copies else one.users
            versions = found.setdefault(target.key, {})
            if figures is not None:
                versions[target.version] = figures
            if target.share and not target.copies:
                sharing.setdefault(target.key, set()).add(target.version)
        for key, measured in found.items():
            before, since = self._told(key), self._when.get(key)
            past = None if since is None else timedelta(seconds=self._now() - since)
            if settle(before, measured, sharing.get(key, ()), past) != before:
                self._known[key], self._when[key] = measured, self._now()
                self._changed(key)

    def _forget(self, keys: Collection[Key]) -> None:
        for key in self._known.keys() - keys:
            del self._known[key]
            del self._when[key]

    def _failed(self, result: str, words: str) -> None:
        QUERIES.labels(result).inc()
        if result != self._state:
            log.warning("the traffic of models is not measured: %s", words)
        self._state = result

    def _answered(self) -> None:
        QUERIES.labels("ok").inc()
        if self._state != "ok":
            log.info("the traffic of models is measured again")
        self._state, self._good = "ok", self._now()
