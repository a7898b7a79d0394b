"""What the article's rule and ours propose for the same series at one moment: `python -m tests.bench.moments`.

Each case is ten minutes of series of four replicas, written into a real Prometheus; nothing follows the proposals. `pods` are asked
as Prometheus Adapter asks for an HPA: those that there are. `query` is one mean of all, as a query of KEDA has it.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from tests.bench import hpa, remote_write, windows
from tests.bench.remote_write import Sample

SECONDS = 600
"""What a case lasts, up to the moment."""
Busy = Callable[[float], float | None]
"""Percent at a second before the moment (600 to 0); None: the pod is not there."""


@dataclass(frozen=True)
class Case:
    """Pods by name, each as busy as it is, and how many replicas would be right at a target of 70 %."""

    name: str
    pods: dict[str, Busy]
    right: int
    cards: int = 1

    def living(self) -> list[str]:
        """Pods that are there at the moment."""
        return [pod for pod, busy in self.pods.items() if busy(0) is not None]


def _constant(percent: float) -> Busy:
    return lambda _: percent


def _ended(percent: float, ago: float) -> Busy:
    return lambda before: percent if before > ago else None


def _came(percent: float, ago: float, loading: float) -> Busy:
    return lambda before: None if before > ago else 0.0 if before > ago - loading else percent


def _stepped(old: float, new: float, ago: float) -> Busy:
    return lambda before: old if before > ago else new


def _four(busy: Busy, prefix: str = "pod") -> dict[str, Busy]:
    return {f"{prefix}-{number}": busy for number in range(4)}


CASES = (
    Case("all at 60 %, one card", _four(_constant(60)), 4),
    Case("all at 60 %, two cards", _four(_constant(60)), 4, cards=2),
    Case("all at 30 %, four others at 95 % ended a minute ago", _four(_constant(30)) | _four(_ended(95, 60), "old"), 2),
    Case("all at 90 %, four others at 5 % ended a minute ago", _four(_constant(90)) | _four(_ended(5, 60), "old"), 6),
    Case("two at 80 %, two more came 3 min ago, loaded for 1 min, at 80 %", _four(_constant(80)) | {
        f"pod-{number}": _came(80, 180, 60) for number in (2, 3)
    }, 5),
    Case("from 40 % to 95 % a minute ago", _four(_stepped(40, 95, 60)), 6),
    Case("from 40 % to 95 % two minutes ago", _four(_stepped(40, 95, 120)), 6),
    Case("from 95 % to 30 % two minutes ago", _four(_stepped(95, 30, 120)), 2),
)  # fmt: skip


def _samples(namespace: str, case: Case, before: float) -> list[Sample]:
    found: list[Sample] = []
    for pod, busy in case.pods.items():
        value = busy(before)
        if value is None and busy(before + hpa.SYNC) is None:
            continue
        where = {"__name__": windows.SERIES, "namespace": namespace, "pod": pod, "job": "dcgm", "instance": "node"}
        found += [({**where, "gpu": str(card)}, value) for card in range(case.cards)]
    return found


def proposals() -> list[list[str]]:
    """Lines of the table, the head first."""
    queries = {rule.name: rule for rule in windows.compared() if rule.by_pods}
    names = ("article 5m", "ours 5m", "ours 2m")
    lines = [["replicas: four, and", "right", *(f"{name}, {by}" for name in names for by in ("pods", "query"))]]
    moment = time.time() - 1
    with remote_write.prometheus() as url:
        for before in range(SECONDS, -1, -hpa.SYNC):
            for number, case in enumerate(CASES):
                remote_write.write(url, moment - before, _samples(f"case-{number}", case, before))
        answers = {name: remote_write.ask(url, queries[name].query, moment) for name in names}
    for number, case in enumerate(CASES):
        cells = [case.name, str(case.right)]
        for name in names:
            values, living, target = answers[name][f"case-{number}"], case.living(), queries[name].target
            mean = sum(values.values()) / len(values)
            cells += [
                str(hpa.by_pods(values, living, target)),
                str(hpa.by_query(mean, len(living), len(living), target)),
            ]
        lines.append(cells)
    return lines


def main() -> None:
    """Print the table, for people and for docs/autoscaling.md."""
    lines = proposals()
    shown = Table(*lines[0])
    for line in lines[1:]:
        shown.add_row(*line)
    Console(width=160).print(shown)
    print("\n".join(f"| {' | '.join(line)} |" for line in lines))


if __name__ == "__main__":
    main()
