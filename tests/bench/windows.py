"""What the article's rule and ours would have scaled a model to: `python -m tests.bench.windows`.

Every run is a model of its own with the same requests, and its replicas follow what its own rule says. The series of each step,
15 s apart, go into a real Prometheus, and the rule is asked there at that time: the chart's own text, with windows of different
length, and the article's. Pods end, with the mark that a scrape leaves of it, and new ones load for a minute at 0 %.

Cards are not real: utilization is the share of the work that falls on a replica, with the noise of requests that come when they come.
"""

import random
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from rich.console import Console
from rich.table import Table

from pantala.autoscaling import signals
from tests.bench import hpa, remote_write
from tests.bench.remote_write import Sample
from tests.charts import rules

MINUTES = 48
SEEDS = (1, 2, 3, 4, 5)
"""Each run is made with the same noises; figures are means."""
TARGET = 70.0
"""Percent that a replica's cards shall be busy."""
LOAD = 60
"""Seconds in which a new replica loads the model."""
LOST = 18.0
"""Minute in which a node with half of the replicas ends."""
SERIES = "DCGM_FI_DEV_GPU_UTIL"

STEADY, BURST, SURGE = 120.0, 350.0, 400.0
"""Work that there is, in percent of one replica."""
_TIMES = ((4, 4.75, BURST), (10, 25, SURGE), (38, MINUTES, SURGE))


def demand(minute: float) -> float:
    """Steady, but for a burst of 45 s, a surge of a quarter of an hour, and another a few minutes after replicas went."""
    return next((work for begin, end, work in _TIMES if begin <= minute < end), STEADY)


def needed(minute: float) -> int:
    """Replicas that the work needs at the target."""
    return -int(-demand(minute) // TARGET)


class Load(StrEnum):
    """What a single sample of a card shows; the mean of many is how busy it is."""

    MANY = "many at once"
    """Requests overlap: up to 40 percentage points more or less."""
    SINGLE = "one at a time"
    """A request is just being worked on, or none is."""

    def sample(self, busy: float, noise: random.Random) -> float:
        """A sample of a card that is so busy, in percent."""
        if self is Load.SINGLE:
            return 100.0 if noise.random() * 100 < busy else 0.0
        off = min(40.0, busy, 100 - busy)  # even on both sides: what is cut at 100 % would move the mean
        return busy + noise.uniform(-off, off)


@dataclass(frozen=True)
class Rule:
    """A rule, how many cards a replica has, and who reads it."""

    name: str
    query: str
    target: float
    cards: int
    load: Load
    seed: int
    by_pods: bool
    """The values of the pods that there are (HPA and Prometheus Adapter), else one mean of all series (a query of KEDA)."""

    @property
    def run(self) -> str:
        """Namespace of its model."""
        who = "pods" if self.by_pods else "query"
        return f"{self.name}-{self.cards}-{self.load}-{self.seed}-{who}".replace(" ", "-")


def compared() -> list[Rule]:
    """The article's rule, ours with its window, and ours with shorter ones; each with one card and with two."""
    article = f"(sum by (namespace, pod) (avg_over_time({SERIES}[5m])))/100"
    texts = {"article 5m": (article, TARGET / 100)}
    for window in ("5m", "2m", "1m", "15s"):
        expression = rules.expression(signals.GPU_UTILIZATION, {"rules": {"window": window}})
        texts[f"ours {window}"] = (expression, TARGET)
    return [
        Rule(name, query, target, cards, load, seed, by_pods)
        for by_pods in (True, False)
        for load in (Load if by_pods else (Load.MANY,))
        for cards in (1, 2)
        for name, (query, target) in texts.items()
        if by_pods or name in {"article 5m", "ours 2m"}
        for seed in SEEDS
    ]


@dataclass
class Model:
    """A model in the run of one rule."""

    rule: Rule
    scaler: hpa.Scaler = field(default_factory=lambda: hpa.Scaler(1, 20))
    pods: dict[str, float] = field(default_factory=lambda: {"pod-0": -1e9, "pod-1": -1e9})
    """When each was made."""
    ended: list[str] = field(default_factory=list)
    made: int = 2
    history: list[tuple[float, int, int]] = field(default_factory=list)
    """Second, replicas, and those that are ready."""

    def ready(self, now: float) -> list[str]:
        """Pods that have loaded."""
        return [pod for pod, since in self.pods.items() if now - since >= LOAD]

    def scale(self, now: float, replicas: int) -> None:
        """Make pods, or end the youngest."""
        for pod in list(self.pods)[replicas:]:
            self.end(pod)
        while len(self.pods) < replicas:
            self.pods[f"pod-{self.made}"] = now
            self.made += 1

    def end(self, pod: str) -> None:
        """End one pod."""
        del self.pods[pod]
        self.ended.append(pod)

    def samples(self, now: float, noise: random.Random) -> Iterator[Sample]:
        """What a scrape finds: each card of each pod, and the end of what has ended."""
        ready = self.ready(now)
        busy = min(100.0, demand(now / 60) / len(ready)) if ready else 0.0
        for pod in self.pods:
            for card in range(self.rule.cards):
                yield self._labels(pod, card), self.rule.load.sample(busy, noise) if pod in ready else 0.0
        for pod in self.ended:
            for card in range(self.rule.cards):
                yield self._labels(pod, card), None
        self.ended.clear()

    def step(self, now: float, values: dict[str, float]) -> None:
        """Let the autoscaler look at what the rule says of each pod."""
        rule, current = self.rule, len(self.pods)
        self.history.append((now, current, len(self.ready(now))))
        if rule.by_pods:
            proposal = hpa.by_pods(values, self.pods, rule.target)
        else:
            mean = sum(values.values()) / len(values) if values else None
            proposal = hpa.by_query(mean, len(self.ready(now)), current, rule.target)
        self.scale(now, self.scaler.decide(now, current, proposal))

    def _labels(self, pod: str, card: int) -> dict[str, str]:
        where = {
            "namespace": self.rule.run,
            "pod": pod,
            "gpu": str(card),
            "job": "dcgm-exporter",
            "instance": "node:9400",
        }
        return {"__name__": SERIES, **where}


def run(said: Callable[[str], None] = lambda _: None) -> list[Model]:
    """All runs, side by side."""
    models = [Model(rule) for rule in compared()]
    begin = time.time() - (MINUTES + 10) * 60
    with remote_write.prometheus() as url:
        for step in range(MINUTES * 60 // hpa.SYNC):
            now = step * hpa.SYNC
            if now == LOST * 60:
                for model in models:
                    for pod in list(model.pods)[::2]:
                        model.end(pod)
                        model.scale(now, len(model.pods) + 1)
            # runs of one seed begin each step with the same noise
            samples = [
                one for model in models for one in model.samples(now, random.Random(f"{model.rule.seed} {step}"))
            ]
            remote_write.write(url, begin + now, samples)
            answers = {
                query: remote_write.ask(url, query, begin + now) for query in {model.rule.query for model in models}
            }
            for model in models:
                model.step(now, answers[model.rule.query].get(model.rule.run, {}))
            if now % 600 == 0:
                said(f"minute {now // 60}")
    return models


def figures(model: Model) -> dict[str, float]:
    """What came of one run; in brackets what would be right."""
    minutes = [(second / 60, replicas, ready) for second, replicas, ready in model.history]
    step = hpa.SYNC / 60

    def most(begin: float, end: float) -> float:
        return max(replicas for minute, replicas, _ in minutes if begin <= minute < end)

    def enough_after(begin: float) -> float:
        found = (minute - begin for minute, _, ready in minutes if minute >= begin and ready * 100 >= demand(minute))
        return next(found, MINUTES - begin)

    back = [minute for minute, replicas, _ in minutes if 25 <= minute < 38 and replicas > needed(minute)]
    steady = [replicas for minute, replicas, _ in minutes if 15 <= minute < LOST]
    return {
        "burst (2)": most(4, 10),
        "surge (6)": most(10, 25),
        "steady (6)": sum(steady) / len(steady),
        "enough after": enough_after(10),
        "back after (5)": back[-1] + step - 25 if back else 0.0,
        "second surge: enough after": enough_after(38),
        "replica-minutes": sum(step * replicas for _, replicas, _ in minutes),
        "overloaded": sum(step for minute, _, ready in minutes if ready * 100 < demand(minute)),
    }


def table(models: list[Model]) -> list[list[str]]:
    """Lines of the table, the head first; figures are means over the seeds."""
    lines = [["requests", "cards", "read by", "rule", *figures(models[0])]]
    for at in range(0, len(models), len(SEEDS)):
        rule, found = models[at].rule, [figures(model) for model in models[at : at + len(SEEDS)]]
        cells = [f"{statistics.mean(one[name] for one in found):.1f}" for name in found[0]]
        lines.append([rule.load, str(rule.cards), "HPA" if rule.by_pods else "KEDA", rule.name, *cells])
    return lines


def main() -> None:
    """Print the table, for people and for docs/autoscaling.md."""
    lines = table(run(print))
    shown = Table(*lines[0])
    for line in lines[1:]:
        shown.add_row(*line)
    Console(width=160).print(shown)
    print("\n".join(f"| {' | '.join(line)} |" for line in lines))


if __name__ == "__main__":
    main()
