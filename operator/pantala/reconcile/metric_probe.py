"""The background task that finds out why autoscalers miss measures, and wakes the models about which there is news.

One round is about all models: it looks at the metrics APIs, asks Prometheus for the recorded series of what is missing, and only
where these are missing too for the exporters' own. As long as no autoscaler misses anything nobody is asked.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress

from prometheus_client import Counter, Gauge

from pantala.autoscaling.signals import Source as Kind
from pantala.cluster.objects import Key
from pantala.planner.probed import Answers, Api, Ask, Clue, Finding, Findings, judge
from pantala.reconcile import metric_questions
from pantala.reconcile.metric_questions import Source

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
        names = {ask.key for ask in asks}
        before = {ask.key for ask in self._asks.get(key, ())}
        if asks:
            self._asks[key] = asks
        else:
            self._asks.pop(key, None)
        for known in (self._found, self._unsure):
            kept = {asked: finding for asked, finding in known.get(key, {}).items() if asked in names}
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
            result = await asyncio.to_thread(metric_questions.ask, self._source, wanted, answers)
        ROUNDS.labels(result).inc()
        self._log(result, answers.trouble or next(iter(answers.gaps.values()), None))
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
            found[query] = metric_questions.tried(source, query)
            if found[query].clue is Clue.UNREACHABLE:
                break  # of the others holds what is known of them
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
            old, doubt = before.get(ask.key), doubts.get(ask.key)
            unsure.pop(ask.key, None)
            if _doubtful(finding, old, doubt):
                unsure[ask.key] = finding
            else:
                found[ask.key] = finding
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


def _doubtful(finding: Finding, old: Finding | None, doubt: Finding | None) -> bool:
    """Whether a finding counts only when it is found a second time.

    Args:
        finding: What was found.
        old: What is known.
        doubt: What was found the last time, and did not count.
    """
    if finding.clue is Clue.UNREACHABLE:
        # One round without an answer is no reason to forget what is known.
        return old is not None and Clue.UNREACHABLE not in {old.clue, doubt.clue if doubt else None}
    if finding.clue is Clue.UNRECORDED:
        # Of series that have just come the rules have not made anything yet: a rate takes two scrapes.
        return old is not None and finding not in {old, doubt}
    # What is all there may just have come: the autoscaler has its next look first.
    fresh = finding.clue in {Clue.RECORDED, Clue.UNASKED} and finding.offered is not False
    return fresh and finding not in {old, doubt}
