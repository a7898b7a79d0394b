"""What Prometheus is asked about missing measures, and what its answers come to: bounded, however large a mesh or a query is.

Everything here blocks and belongs into a thread. What is wrong with one answer says nothing about the others.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Protocol

from pantala.autoscaling import mesh, raw
from pantala.autoscaling.signals import Source as Kind
from pantala.planner.measured import Unmeasured
from pantala.planner.probed import Answers, Ask, Clue, Finding, Rows, unrecorded

log = logging.getLogger(__name__)


class Source(Protocol):
    """Who has series: `remote.prometheus.Prometheus`, which is imported only where it is used."""

    def ask(self, query: str) -> list[tuple[Mapping[str, str], float]]:
        """Blocks for a bounded time; raises `Unmeasured`."""

    def close(self) -> None:
        """Make an `ask` under way end soon."""


def ask(source: Source, asks: list[Ask], answers: Answers) -> str:
    """Ask for recorded series and for what they are made of, and note what is said.

    Args:
        source: Prometheus.
        asks: The measures that are missing; of queries of users only whether Prometheus answers at all is asked.
        answers: Gets `recorded`, `raw` and `mesh`, and `trouble` or `gaps`.

    Returns:
        How that went, in one word: ok, or what is wrong.
    """
    asks = [ask for ask in asks if ask.signal.source is not Kind.QUERY]
    if not asks:
        result, answers.trouble = _attempt(lambda: source.ask("vector(1)"))  # whether it answers at all
        return result
    result, answers.trouble = _attempt(lambda: _records(source, asks, answers))
    if answers.trouble is not None:
        return result
    lacking = [ask for ask in asks if ask.raw is not None and unrecorded(ask, answers)]
    # What is wrong with the one says nothing about who is measured by the other.
    for kind, look in ((Kind.PODS, _exporters), (Kind.SERVICE, _mesh)):
        some = [ask for ask in lacking if ask.signal.source is kind]
        how, words = _attempt(partial(look, source, some, answers)) if some else ("ok", None)
        if words is not None:
            answers.gaps[kind] = words
            result = how
    return result


def _attempt(work: Callable[[], object]) -> tuple[str, str | None]:
    """How asking went, in one word, and what is wrong; None if nothing is."""
    try:
        work()
    except Unmeasured as error:
        return error.result, str(error)
    except Exception as error:  # a defect: told, but the operator's work does not depend on it
        log.debug("asking Prometheus", exc_info=True)
        return "error", f"asking it failed ({type(error).__name__})"
    return "ok", None


def _records(source: Source, asks: list[Ask], answers: Answers) -> None:
    """Note the recorded series."""
    rows = source.ask(raw.recorded_query({ask.signal.series for ask in asks}, {ask.namespace for ask in asks}))
    answers.recorded = {
        (it.get("__name__", ""), it.get("namespace", ""), it.get("pod") or it.get("service", "")) for it, _ in rows
    }


def _exporters(source: Source, asks: list[Ask], answers: Answers) -> None:
    """Note the series of exporters and model servers, and which pods export them."""
    made = [ask.raw for ask in asks if ask.raw is not None]
    names = {name for one in made for name in one.series}
    labels = sorted({label for one in made for label in (*one.pod_labels, *one.namespace_labels)})
    samples = source.ask(raw.raw_query(names, labels)) if names else []
    cards = {name for one in made if one.of_cards for name in one.series}
    targets = source.ask(raw.exporters_query(cards)) if cards else []
    exporters = {(it.get("namespace", ""), it.get("pod", "")) for it, _ in targets}
    answers.raw = Rows((it for it, _ in samples), exporters, labels)


def _mesh(source: Source, asks: list[Ask], answers: Answers) -> None:
    """Note whose requests a mesh counts."""
    answers.mesh = mesh.read(it for it, _ in source.ask(mesh.query({ask.namespace for ask in asks})))


_OF_QUERY = frozenset({"timeout", "garbage", "oversized"})
"""What a query can be the reason of: it takes too long, gives no vector, or too much."""
_BAD, _UNPROCESSABLE = 400, 422
"""What Prometheus answers to a query that it cannot read, or not execute."""


def tried(source: Source, query: str) -> Finding:
    """What is wrong with a query of a user's; `Clue.UNREACHABLE` if Prometheus does not say.

    KEDA takes one finite number in a vector and nothing else (prometheus_scaler.go, v2.21.0).
    """
    try:
        rows = source.ask(query)
    except Unmeasured as error:
        wrong = error.result in _OF_QUERY or error.status in {_BAD, _UNPROCESSABLE}
        return Finding(Clue.BAD_QUERY if wrong else Clue.UNREACHABLE, str(error))
    except Exception as error:  # a defect: told, but the operator's work does not depend on it
        log.debug("asking Prometheus", exc_info=True)
        return Finding(Clue.UNREACHABLE, f"asking it failed ({type(error).__name__})")
    if not rows:
        return Finding(Clue.EMPTY)
    if len(rows) > 1:
        return Finding(Clue.BAD_QUERY, "it gives several numbers")
    return Finding(Clue.RECORDED) if math.isfinite(rows[0][1]) else Finding(Clue.BAD_QUERY, f"it gives {rows[0][1]}")
