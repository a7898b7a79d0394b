"""A model's way from one replica to more and back, with clients that ask all the time and do not retry."""

import json
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from kubernetes.client import AppsV1Api
from kubernetes.config import new_client_from_config

from tests.cluster.process import wait_for
from tests.e2e.load import Load
from tests.e2e.scaling import GRACE, asking, work_spec
from tests.e2e.support import Space


@dataclass(frozen=True)
class Step:
    """What a Deployment was from a moment on."""

    at: float
    """Seconds since the epoch."""
    wanted: int
    """`spec.replicas`."""
    ready: int
    """`status.readyReplicas`."""


class Replicas:
    """The replicas of a Deployment over time, read ten times a second; a context manager."""

    def __init__(self, kubeconfig: Path, namespace: str, name: str) -> None:
        """Say which Deployment."""
        self._api: Any = AppsV1Api(new_client_from_config(str(kubeconfig)))
        self._of = name, namespace
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self.steps: list[Step] = []
        """Every change that was seen."""

    def __enter__(self) -> Self:
        """Begin to read."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Read no more."""
        self._end.set()
        self._thread.join()

    def _read(self) -> None:
        while not self._end.is_set():
            found = self._api.read_namespaced_deployment(*self._of)
            step = Step(time.time(), found.spec.replicas, found.status.ready_replicas or 0)
            last = self.steps[-1] if self.steps else None
            if last is None or (last.wanted, last.ready) != (step.wanted, step.ready):
                self.steps.append(step)
            self._end.wait(0.1)

    @property
    def now(self) -> Step:
        """The last one; waits for the first."""
        wait_for(lambda: bool(self.steps), f"Deployment {self._of}", 30)
        return self.steps[-1]

    def wait(self, count: int, since: float, seconds: float = 120) -> tuple[float, float]:
        """Wait until so many replicas are wanted and ready.

        Returns:
            Seconds from `since` until they were wanted, and until all were ready or the others were not ready any more.
        """
        wait_for(
            lambda: (self.now.wanted, self.now.ready) == (count, count), f"{count} replicas, {self.steps}", seconds
        )
        ready = self.steps[-1].at
        wanted = next(step.at for step in self.steps if step.at >= since and step.wanted == count)
        return wanted - since, ready - since

    def told(self) -> str:
        """The steps, in seconds since the first."""
        begun = self.steps[0].at
        return ", ".join(f"{step.at - begun:.1f} s {step.ready}/{step.wanted}" for step in self.steps)


@dataclass(frozen=True)
class Journey:
    """How long a model took from one replica to more and back."""

    wanted: float
    """Seconds from the begin of the load until the autoscaler wanted all replicas."""
    ready: float
    """Seconds until all were ready."""
    unwanted: float
    """Seconds from the end of the load until the autoscaler wanted one."""


def journey(replicas: Replicas, burst: Load, most: int, seconds: float = 120) -> Journey:
    """Let a load come and go: one replica, then `most`, then one; each of the two ways may take so many seconds."""
    replicas.wait(1, 0)
    begun = time.time()
    with burst:
        wanted, ready = replicas.wait(most, begun, seconds)
    ended = time.time()
    unwanted, _ = replicas.wait(1, ended, seconds)
    return Journey(wanted, ready, unwanted)


def last_scale(space: Space, name: str, replicas: int) -> str:
    """Wait until the status of a model tells that its first version was last scaled to so many replicas; why it was."""

    def last(status: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = status["versions"][0]["autoscaler"].get("lastScale", {})
        return found

    told = space.wait(name, f"the step to {replicas} is told", lambda it: last(it).get("toReplicas") == replicas)
    return str(last(told)["why"])


def there_and_back(
    space: Space,
    name: str,
    most: int,
    measures: Mapping[str, Any],
    *,
    clients: int,
    pause: float,
    seconds: float = 120,
) -> Journey:
    """Scale a model from one replica to `most` by a load of work of 0.1 s, and back by its end; no request may be lost.

    Two clients ask all the time, once in a second, until the replicas that were there for the load are gone.

    Args:
        space: where; the model `work` is stored.
        name: of the model, which is made and stays.
        most: replicas under load.
        measures: `metrics`, `engine` ... of its scaling.
        clients: of the load.
        pause: seconds between two requests of one of them.
        seconds: how long each of the two ways may take.
    """
    space.apply(name, work_spec(space, most, **measures))
    space.wait_ready(name)
    with (
        asking(space, name, 20, 1, 1.0) as fresh,
        asking(space, name, 20, 1, 1.0, keep_alive=True) as kept,
        Replicas(space.cluster.kubeconfig, space.namespace, f"{name}-v1") as replicas,
    ):
        burst = asking(space, name, 100, clients, pause)
        found = journey(replicas, burst, most, seconds)
        wait_for(lambda: len(_all_pods(space, name)) == 1, f"one pod of {name}", GRACE + 30, every=0.5)
    accounts = "; ".join(load.account() for load in (burst, fresh, kept))
    print(f"{name}: {found}; {replicas.told()}; {accounts}")
    assert all(1 <= step.wanted <= most for step in replicas.steps), replicas.told()
    assert not burst.lost + fresh.lost, accounts
    assert len(kept.lost) < most, accounts  # one for each replica that ended
    return found


def _all_pods(space: Space, name: str) -> list[dict[str, Any]]:
    """Also those that are on their way out."""
    found: list[dict[str, Any]] = json.loads(
        space.kubectl("get", "pods", "-l", f"pantala.dev/model={name}", "-o", "json")
    )["items"]
    return found
