"""Which version gets which share of the requests now: what is asked for, as far as versions are ready. Pure.

A version without a ready replica gets nothing, at once. It comes back when it has been ready for `RETURN`, so that one that
comes and goes does not take requests with it. If no version is ready the shares stay as they are: requests fail either
way, and whoever comes first finds them in place. A version that is to take over everything does so when it is rolled out and the
mesh has had time to learn of its pods.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from pantala.manifest.percents import percents
from pantala.manifest.types import Manifest
from pantala.planner.observed import Mesh, ready_pods, rolled_out, wanted_replicas
from pantala.planner.phases import instant, since

RETURN = timedelta(seconds=15)
"""How long a version must have been ready before it gets a share of requests beside others."""
LEARN = timedelta(seconds=5)
"""How long a mesh is given to learn of a pod, or of a route; mostly it needs a fraction of a second.

They reach it on different ways, the pod by way of the controller of EndpointSlices: Envoy knew the first pod of a model 50 ms and
more after the model was ready. A route that overtakes the first pod behind it answers 503, `no healthy upstream`.
"""


def learning(mesh: Mesh) -> timedelta:
    """`LEARN` where a mesh routes. Without one the Service's selector moves, and the same controller sets the pods in its place."""
    return timedelta() if mesh is Mesh.NONE else LEARN


@dataclass(frozen=True)
class Standing:
    """How a version stands."""

    ready: bool
    """Whether a replica answers."""
    since: datetime | None
    """Since when at least one did, without a break that is known of; None: none does."""
    rolled_out: bool
    """Whether all its replicas run its present template and are available."""

    def left(self, needed: timedelta, now: datetime) -> float | None:
        """Seconds until it has been ready for so long, 0 where it has; None where that comes not by itself."""
        return None if self.since is None else max(0.0, (self.since + needed - now).total_seconds())


@dataclass(frozen=True)
class Shares:
    """Shares in percent by version, which make 100."""

    configured: Mapping[str, int]
    wait: float | None = None
    """Seconds after which they may change though nothing happens; None: never."""


def standing(deployment: Manifest | None, pods: tuple[Manifest, ...]) -> Standing:
    """How a version stands, from its Deployment and its pods."""
    ready = ready_pods(pods) > 0
    begins = [instant_ for pod in pods if (instant_ := since(pod.get("status") or {}, "Ready")) is not None]
    if ready and deployment is not None and _means_one(deployment):
        # Pods are replaced; that there always was one is what the Deployment says of its availability.
        for condition in deployment.get("status", {}).get("conditions", ()):
            if condition["type"] == "Available" and condition["status"] == "True":
                available = instant(condition.get("lastTransitionTime"))
                begins += [available] if available is not None else []
    return Standing(ready, min(begins, default=None) if ready else None, rolled_out(deployment))


def _means_one(deployment: Manifest) -> bool:
    """Whether the condition Available says that a replica answers: it does also where none does, if all may be away."""
    replicas = wanted_replicas(deployment)
    away = deployment["spec"].get("strategy", {}).get("rollingUpdate", {}).get("maxUnavailable", "25%")
    # A percentage is rounded down (deploymentutil.ResolveFenceposts).
    count = replicas * int(away[:-1]) // 100 if isinstance(away, str) else int(away)
    return count < replicas


def shares(
    asked: Mapping[str, int],
    live: Mapping[str, int] | None,
    known: Mapping[str, Standing],
    now: datetime,
    learn: timedelta = LEARN,
) -> Shares:
    """The shares as they are to be.

    Args:
        asked: What the spec asks for, in percent; they make 100.
        live: What the live route gives; None or empty: there is none.
        known: The versions that have pods to be, by name.
        now: The time.
        learn: How long a version must have been ready before it takes over everything.
    """
    given = {name: weight for name, weight in (live or {}).items() if weight and name in known}
    needed = learn if len(asked) == 1 else RETURN
    joined, waits = [], []
    for name in asked:
        found = known.get(name)
        if found is None or not found.ready:
            continue
        left = found.left(needed, now)
        if name in given or (left == 0 and (found.rolled_out or len(asked) > 1)):
            joined.append(name)
        elif left:
            waits.append(left)
    for weights in (
        {name: asked[name] for name in joined},
        # Nobody who is asked for may answer yet: those who did before do, as far as they can.
        {name: weight for name, weight in given.items() if known[name].ready},
        # Not even they can: better one that is hardly ready than none.
        {name: weight for name, weight in asked.items() if name in known and known[name].ready},
        given,
    ):
        if weights:
            break
    else:
        weights = dict(asked)
    made = {name: share for name, share in percents(weights).items() if share}
    return Shares(made, min(waits, default=None) if made != asked else None)


def lasting(names: Iterable[str], known: Mapping[str, Standing], now: datetime) -> tuple[frozenset[str], float | None]:
    """Which of the versions may get requests beside the shares (rules, copies), and after how many seconds to look again."""
    left = {name: found.left(RETURN, now) for name in names if (found := known.get(name)) is not None and found.ready}
    waits = [seconds for seconds in left.values() if seconds]
    return frozenset(name for name, seconds in left.items() if seconds == 0), min(waits, default=None)
