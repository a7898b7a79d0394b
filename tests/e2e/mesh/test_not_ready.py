"""A version without a ready pod never gets a user's request, whatever the spec asks for."""

import json
import time
from collections.abc import Callable
from datetime import datetime

import pytest

from pantala.planner.shares import LEARN, RETURN
from tests.cluster.process import wait_for
from tests.e2e.mesh.crowd import Crowd
from tests.e2e.mesh.support import LEARNS, Exposed

pytestmark = [pytest.mark.e2e, pytest.mark.mesh]

Expose = Callable[[str, str], Exposed]
CAUSE = "no weights in this model"


def test_a_version_that_cannot_start_gets_nothing(expose: Expose) -> None:
    """Bad weights with 50 % of a split, and as the target: v1 answers all, nothing is lost, the status says why.

    A sound version in its place gets its share after 15 s of readiness, and as the target all of it after 5.
    """
    model = expose("triton", "cautious")
    model.apply("v1", target="v1")
    model.wait_routed({"v1": 100})
    loads = [model.load(keep_alive=kept, clients=8) for kept in (True, False)]
    with Crowd(*loads) as crowd:
        crowd.step("broken with 50 %")
        model.apply("v1", "broken", split={"v1": 50, "broken": 50})
        _wait_cause(model)
        assert model.weights() == {"v1": 100}
        crowd.step("broken as the target")
        model.apply("v1", "broken", target="broken")
        _wait_cause(model)
        assert model.weights() == {"v1": 100}
        assert set(crowd.values(0)) == {"v1"}
        crowd.step("v2 with 50 %")
        model.apply("v1", "v2", split={"v1": 50, "v2": 50})
        beside = model.wait_weights({"v1": 50, "v2": 50}, 120)
        assert beside >= _ready_since(model, "v2") + RETURN.total_seconds()
        crowd.step("v3 as the target")
        model.apply("v1", "v2", "v3", target="v3")
        alone = model.wait_weights({"v3": 100}, 120)
        assert alone >= _ready_since(model, "v3") + LEARN.total_seconds()
        wait_for(lambda: sum(crowd.values(alone + LEARNS).values()) >= 100, "answers after the switch", 30)
    late = alone - _ready_since(model, "v3")
    print(
        f"{crowd.account()}\nv2 was in the route {beside - _ready_since(model, 'v2'):.1f} s after it was ready, v3 {late:.1f} s"
    )
    assert late < RETURN.total_seconds()
    assert set(crowd.values(alone + LEARNS)) == {"v3"}
    assert crowd.lost == 0, crowd.account()


def _wait_cause(model: Exposed) -> None:
    """Wait until the broken version was started and refused by the server, and the status is about the present spec."""
    since = model.space.get("inferencemodel", model.name)["metadata"]["generation"]

    def told(status: dict[str, object]) -> bool:
        return status.get("observedGeneration") == since and CAUSE in json.dumps(status)

    model.space.wait(model.name, "the cause is told", told, 120)


def _ready_since(model: Exposed, version: str) -> float:
    """When the oldest pod of a version became ready, in seconds since the epoch, rounded down to whole ones."""
    found = [it for pod in model.space.pods(model.name, version) for it in pod["status"]["conditions"]]
    times = [datetime.fromisoformat(it["lastTransitionTime"]).timestamp() for it in found if it["type"] == "Ready"]
    return min(times, default=time.time())
