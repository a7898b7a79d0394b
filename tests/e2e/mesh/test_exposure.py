"""Pods that die: how soon a version without one is out of Envoy's route, and how many requests that costs."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import pytest

from tests.cluster.process import wait_for
from tests.e2e.mesh.crowd import Crowd, percentiles
from tests.e2e.mesh.processes import PodWatch
from tests.e2e.mesh.support import LEARNS, Exposed
from tests.e2e.test_recovery import container_id, kill
from tests.soak import soak

pytestmark = [pytest.mark.e2e, pytest.mark.mesh, pytest.mark.soak]

Expose = Callable[[str, str], Exposed]
WHOLE = {"v1": 60, "v2": 10, "v3": 10, "v4": 10, "v5": 10}
KILLED, FORCED, DELETED = "killed with SIGKILL", "deleted by force", "deleted"
ROUNDS = soak(
    [{"v2": DELETED, "v3": FORCED, "v4": KILLED, "v5": KILLED}],
    [dict.fromkeys(("v2", "v3", "v4", "v5"), how) for how in (DELETED, FORCED, KILLED)],
)
"""What happens to the only pod of each version but v1, round after round."""
AIM = soak(1.0, 0.5)
"""Seconds from when the API server has it that no pod answers to when Envoy's route is without the version, in the median.

Half a second is what is told of it, out of twelve; of four, on a machine that does other work, the median says less.
"""
SLOWEST = 5.0
"""Seconds that it may take at the most, on a machine that does other work."""
RETURN = 15.0
"""Seconds of readiness before a version gets its share back (pantala.planner.shares)."""
EXPOSED = 0.25
"""Part of the requests, while a version is dead and in the route, that may be lost: twice its share, and a bit."""


@dataclass(frozen=True)
class End:
    """The end of the only pod of a version, in seconds since the epoch."""

    version: str
    how: str
    begun: float
    known: float
    """When the API server had it that no pod of the version answers."""
    out: float
    """When Envoy's route was without the version."""

    @property
    def until(self) -> float:
        """When the last request may have begun that was lost for it."""
        return self.out + LEARNS


def test_a_version_whose_pods_die_leaves_the_route(expose: Expose) -> None:
    """Its share goes to the others half a second after the API server knows, and returns after 15 s of readiness.

    A server that is killed fails requests until the kubelet has seen it, which looks once a second; one that is deleted
    in order answers on, but Envoy leaves it out as soon as it is said to leave, a moment before or after the new weights.
    """
    model = expose("triton", "mortal")
    model.apply(*WHOLE, split=WHOLE)
    model.wait_routed(WHOLE)
    ends: list[End] = []
    loads = [model.load(keep_alive=kept, clients=8) for kept in (True, False)]
    with PodWatch(model.space.cluster, model.space.namespace, model.name) as watch, Crowd(*loads) as crowd:
        for deaths in ROUNDS:
            ends += [_end(model, watch, version, how) for version, how in deaths.items()]
            _wait_return(model)
    print("\n".join([crowd.account(), *(_told(crowd, end) for end in ends)]))
    seconds = [end.out - end.known for end in ends]
    print(f"from the API server's knowledge to Envoy's route: {percentiles(seconds)}")
    assert statistics.median(seconds) <= AIM, seconds
    assert max(seconds) <= SLOWEST, seconds
    _check_lost(crowd, ends)


def _end(model: Exposed, watch: PodWatch, version: str, how: str) -> End:
    """End the pod of a version, and wait until Envoy's route is without the version."""
    (pod,) = model.space.pods(model.name, version)
    name = pod["metadata"]["name"]
    identity = container_id(model.space, name)
    begun = time.time()
    if how == KILLED:
        kill(model.space, identity, "tritonserver")
    else:
        force = ("--grace-period=0", "--force") if how == FORCED else ()
        model.space.kubectl("delete", "pod", name, "--wait=false", *force)
    wait_for(lambda: version not in model.weights(), f"{version} is out of Envoy's route", 60, every=0.005)
    out = time.time()
    return End(version, how, begun, watch.emptied(version, begun), out)


def _wait_return(model: Exposed) -> None:
    """Wait until all have their shares again; none got it before it was ready for long enough."""
    model.wait_weights(WHOLE, 120)
    now = time.time()
    for version in WHOLE:
        (pod,) = model.space.pods(model.name, version)
        (since,) = [it["lastTransitionTime"] for it in pod["status"]["conditions"] if it["type"] == "Ready"]
        assert datetime.fromisoformat(since).timestamp() + RETURN <= now, f"{version} is back, ready since {since}"


def _told(crowd: Crowd, end: End) -> str:
    found = crowd.between(end.begun, end.until)
    lost = sum(bool(it.error) for it in found)
    return (
        f"{end.version} {end.how}: {(end.known - end.begun) * 1000:.0f} ms until the API server knew, "
        f"{(end.out - end.known) * 1000:.0f} ms until Envoy did; {lost} lost of {len(found)}"
    )


def _check_lost(crowd: Crowd, ends: list[End]) -> None:
    """What was lost was lost while a version was dead and in the route, and is no more than its share explains."""
    exposed = set()
    for end in ends:
        found = crowd.between(end.begun, end.until)
        lost = {it for it in found if it.error}
        assert len(lost) <= max(3.0, EXPOSED * len(found)), _told(crowd, end)
        exposed |= lost
    assert not {it for load in crowd.loads for it in load.lost} - exposed
