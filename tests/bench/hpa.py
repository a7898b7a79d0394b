"""What the HPA controller proposes: its formula, for metrics of pods and for one value of all.

Source: k8s.io/kubernetes 1.36, pkg/controller/podautoscaler/replica_calculator.go and horizontal.go, with the defaults of its flags
and of `behavior`.
"""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

TOLERANCE = 0.1
SYNC = 15
"""Seconds between two looks."""
DOWN = 300
"""Seconds of which the largest proposal counts before replicas are taken away."""


def by_pods(values: Mapping[str, float], pods: Collection[str], target: float) -> int:
    """Proposal from a value of each pod (`type: Pods`): a pod without one counts so that it moves nothing."""
    known = {pod: values[pod] for pod in pods if pod in values}
    if not known:
        return len(pods)
    ratio = sum(known.values()) / len(known) / target
    missing = [pod for pod in pods if pod not in known]
    if not missing:
        return len(pods) if abs(1 - ratio) <= TOLERANCE else math.ceil(ratio * len(known))
    known |= dict.fromkeys(missing, target if ratio < 1 else 0.0)
    anew = sum(known.values()) / len(known) / target
    wanted = math.ceil(anew * len(known))
    turned = (ratio < 1 < anew) or (ratio > 1 > anew)
    wrong = (anew < 1 and wanted > len(pods)) or (anew > 1 and wanted < len(pods))
    return len(pods) if abs(1 - anew) <= TOLERANCE or turned or wrong else wanted


def by_query(value: float | None, ready: int, current: int, target: float) -> int:
    """Proposal from one value that is the mean of all (`type: External` with a Value, as KEDA makes it)."""
    if value is None:
        return current
    ratio = value / target
    return current if abs(1 - ratio) <= TOLERANCE else math.ceil(ratio * ready)


@dataclass
class Scaler:
    """The part that remembers: rates and stabilization of the default behavior."""

    least: int
    most: int
    proposals: list[tuple[float, int]] = field(default_factory=list)

    def decide(self, now: float, current: int, proposal: int) -> int:
        """Replicas after this look: up at once, by at most 4 or 100 % in 15 s; down to the largest of the last 300 s."""
        self.proposals = [(at, value) for at, value in self.proposals if at > now - DOWN] + [(now, proposal)]
        if proposal >= current:
            wanted = min(proposal, max(2 * current, current + 4))
        else:
            wanted = min(current, max(value for _, value in self.proposals))
        return max(self.least, min(self.most, wanted))
