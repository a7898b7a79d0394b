"""The background task that finds out why autoscalers miss measures, and wakes the models about which there is news.

One round is about all models: it looks at the metrics APIs, asks Prometheus for the recorded series of what is missing, and only
where these are missing too for the exporters' own. As long as no autoscaler misses anything nobody is asked.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from typing import Protocol

from prometheus_client import Counter, Gauge

from pantala.autoscaling import raw
from pantala.autoscaling.signals import Source as Kind
from pantala.cluster.cache import Key
from pantala.planner.measured import Unmeasured
from pantala.planner.probed import Answers, Api, Ask, Clue, Finding, Findings, Rows, judge, unrecorded

log = logging.getLogger(__name__)

INTERVAL = 30.0
"""Seconds from one round to the next, while a measure is missing."""
QUERY_SECONDS = 10.0
"""Seconds of one round in which queries of users are begun."""
_SOON = 1.0
"""Seconds between two rounds at least, when there is something new to find out."""

ROUNDS = Counter(
    "pantala_metric_probes_total",
    "Rounds of looking for missing measures by what Prometheus did: ok, unasked (it was not needed, or its address is unknown), or"
    " unreachable, timeout, tls, refused, garbage, oversized, token, error.",
    ["result"],
)
MISSING = Gauge("pantala_missing_measures", "Measures that autoscalers of models have no value of.")


class Source(Protocol):
    """Who has series: `remote.prometheus.Prometheus`, which is imported only where it is used."""

    def ask(self, query: str) -> list[tuple[Mapping[str, str], float]]:
        """Blocks for a bounded time; raises `Unmeasured`."""

    def close(self) -> None:
        """Make an `ask` under way end soon."""


class MetricProbe:
    """Asks every half a minute while something is missing. Holds nothing that a restart would miss."""

    def __init__(
        self,
        apis: Callable[[Iterable[str]], Awaitable[Mapping[str, Api]]],
        source: Source | None,
        changed: Callable[[Key], None],
        interval: float = INTERVAL,
        now: Callable[[], float] = time.monotonic,
        *,
        queries: bool = False,
    ) -> None:
        """Asks nothing yet.

        Args:
            apis: Looks at groups of metrics APIs (`cluster.metrics_api.look`).
            source: Prometheus; None if nobody said where it is.
            changed: Called with a model about whose missing measures something else was found out.
            interval: Seconds between two rounds.
            now: A clock in seconds that never goes back.
            queries: Whether Prometheus may be asked what users wrote: only where KEDA sees no less of it than the operator.
        """
        self._queries = queries
        self._asked: dict[str, float] = {}
        self._apis, self._source, self._changed, self._interval, self._now = apis, source, changed, interval, now
        self._asks: dict[Key, tuple[Ask, ...]] = {}
        self._found: dict[Key, Findings] = {}
        self._unsure: dict[Key, Findings] = {}
        self._news = asyncio.Event()
        self._state = "ok"
        MISSING.set_function(lambda: float(sum(map(len, self._asks.values()))))

    def found(self, key: Key) -> Findings:
        """What is known of a model's missing measures."""
        return self._found.get(key, {})

    def ask(self, key: Key, asks: tuple[Ask, ...]) -> None:
        """These measures of a model are missing, and no others; what is new is looked for at once."""
        names = {ask.name for ask in asks}
        before = {ask.name for ask in self._asks.get(key, ())}
        if asks:
            self._asks[key] = asks
        else:
            self._asks.pop(key, None)
        for known in (self._found, self._unsure):
            kept = {name: finding for name, finding in known.get(key, {}).items() if name in names}
            if kept:
                known[key] = kept
            else:
                known.pop(key, None)
        if names - before:
            self._news.set()

    async def run(self) -> None:
        """Ask until cancelled."""
        try:
            while True:
                await self._news.wait() if not self._asks else None
                self._news.clear()
                begun = self._now()
                await self.poll()
                await asyncio.sleep(min(_SOON, self._interval))
                left = self._interval - (self._now() - begun)
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._news.wait(), max(left, 0.0))
        finally:
            if self._source is not None:
                self._source.close()

    async def poll(self) -> None:
        """One round. Never fails: what cannot be asked is logged once, and told as what it is."""
        asks = dict(self._asks)
        every = [ask for some in asks.values() for ask in some]
        if not every:
            return
        try:
            apis = await self._apis(sorted({ask.group for ask in every}))
        except Exception:  # a defect: told, but the operator's work does not depend on it
            log.exception("looking at the metrics APIs")
            return
        answers = Answers(apis=apis, asked=self._source is not None)
        wanted = [ask for ask in every if ask.signal.source is not Kind.RESOURCE and _serves(ask, answers)]
        result = "unasked"
        if self._source is not None and wanted:
            result = await asyncio.to_thread(_recorded, self._source, wanted, answers)
        ROUNDS.labels(result).inc()
        self._log(result, answers.trouble)
        self._take(asks, answers, of_users=False)
        if self._queries and self._source is not None:
            # Last: what users wrote may be slow, and must not hold up what is known of others.
            tried = wanted if answers.trouble is None else []
            answers.queries = await asyncio.to_thread(self._of_users, self._source, tried)
            self._take(asks, answers, of_users=True)

    def _of_users(self, source: Source, asks: list[Ask]) -> dict[str, Finding]:
        """Try queries of users, those first that were not tried for longest, as many as there is time for. Blocks."""
        queries = {ask.signal.series for ask in asks if ask.signal.source is Kind.QUERY}
        self._asked = {query: when for query, when in self._asked.items() if query in queries}
        found, end = {}, self._now() + QUERY_SECONDS
        for query in sorted(queries, key=lambda it: self._asked.get(it, 0.0)):
            if self._now() >= end:
                break
            self._asked[query] = self._now()
            found[query] = _tried(source, query)
        return found

    def _take(self, asks: Mapping[Key, tuple[Ask, ...]], answers: Answers, *, of_users: bool) -> None:
        """Keep what was found out, about queries of users or about the rest, and wake the models about which there is news."""
        for key, some in asks.items():
            present = self._asks.get(key, ())  # the model may have other questions meanwhile
            mine = [ask for ask in some if self._of_user(ask) is of_users and ask in present]
            if mine:
                self._keep(key, mine, answers)

    def _of_user(self, ask: Ask) -> bool:
        return self._queries and ask.signal.source is Kind.QUERY

    def _keep(self, key: Key, asks: Iterable[Ask], answers: Answers) -> None:
        before, doubts = self._found.get(key, {}), self._unsure.get(key, {})
        found, unsure = dict(before), dict(doubts)
        for ask in asks:
            finding = judge(ask, answers)
            if finding is None:
                continue
            # What is all there may just have come: the autoscaler has its next look first.
            doubtful = finding.clue in {Clue.RECORDED, Clue.UNASKED} and finding.offered is not False
            unsure.pop(ask.name, None)
            if doubtful and finding not in {before.get(ask.name), doubts.get(ask.name)}:
                unsure[ask.name] = finding
            else:
                found[ask.name] = finding
        self._unsure[key] = unsure
        if found != before:
            self._found[key] = found
            self._changed(key)

    def _log(self, result: str, words: str | None) -> None:
        state = "ok" if words is None else result
        if state != self._state and words is not None:
            log.warning("why measures are missing is not known: %s", words)
        elif state != self._state:
            log.info("Prometheus answers again")
        self._state = state


def _serves(ask: Ask, answers: Answers) -> bool:
    """Whether the API is there: without it Prometheus makes no difference."""
    api = answers.apis.get(ask.group)
    return api is not None and api.present and api.answers


def _recorded(source: Source, asks: list[Ask], answers: Answers) -> str:
    """Ask Prometheus for recorded series and for what they are made of, and note what it says; how that went, in one word. Blocks."""
    asks = [ask for ask in asks if ask.signal.source is not Kind.QUERY]
    try:
        if not asks:
            source.ask("vector(1)")  # whether it answers at all
            return "ok"
        spaces = {ask.namespace for ask in asks}
        rows = source.ask(raw.recorded_query({ask.signal.series for ask in asks}, spaces))
        answers.recorded = {
            (it.get("__name__", ""), it.get("namespace", ""), it.get("pod") or it.get("service", "")) for it, _ in rows
        }
        lacking = [ask.raw for ask in asks if ask.raw is not None and unrecorded(ask, answers)]
        names = {name for one in lacking for name in one.series}
        labels = sorted({label for one in lacking for label in (*one.pod_labels, *one.namespace_labels)})
        samples = source.ask(raw.raw_query(names, labels)) if names else []
        cards = {name for one in lacking if one.of_cards for name in one.series}
        targets = source.ask(raw.exporters_query(cards)) if cards else []
        exporters = {(it.get("namespace", ""), it.get("pod", "")) for it, _ in targets}
        answers.raw = Rows((it for it, _ in samples), exporters, labels)
    except Unmeasured as error:
        answers.trouble = str(error)
        return error.result
    except Exception as error:  # a defect: told, but the operator's work does not depend on it
        log.debug("asking Prometheus", exc_info=True)
        answers.trouble = f"asking it failed ({type(error).__name__})"
        return "error"
    return "ok"


def _tried(source: Source, query: str) -> Finding:
    """What is wrong with a query of a user's. KEDA takes one finite number in a vector and nothing else (prometheus_scaler.go, v2.21.0)."""
    try:
        rows = source.ask(query)
    except Unmeasured as error:
        return Finding(Clue.BAD_QUERY, str(error))
    if not rows:
        return Finding(Clue.EMPTY)
    if len(rows) > 1:
        return Finding(Clue.BAD_QUERY, "it gives several numbers")
    return Finding(Clue.RECORDED) if math.isfinite(rows[0][1]) else Finding(Clue.BAD_QUERY, f"it gives {rows[0][1]}")
