"""What the status tells of autoscalers: what they want, what limits them, what they miss, and why they last scaled."""

from decimal import Decimal
from typing import Any

import pytest

from pantala.planner.autoscaler_report import amount
from tests.planner.scaled import FOUND, NONE, QUEUE, UTILIZATION, Scaled, failing, pods
from tests.planner.world import model, version

GPU, LENGTH = "pantala_gpu_utilization", "pantala_queue_length"
WHEN = "2026-01-02T03:04:00Z"


def limit(reason: str) -> tuple[Any, ...]:
    """A bound that is met."""
    return ({"type": "ScalingLimited", "status": "True", "reason": reason, "message": ""},)


def test_before_and_after_the_first_look() -> None:
    """At first only who decides is known; then what it wants."""
    world = Scaled()
    assert world.autoscaler() == {"engine": "HPA"}
    world.looks(pods(GPU, "42"), desiredReplicas=2)
    assert world.autoscaler() == {"engine": "HPA", "desiredReplicas": 2}


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ({"more": limit("TooManyReplicas")}, "at maxReplicas (5), and the measures ask for more"),
        ({"more": limit("TooFewReplicas")}, "at minReplicas (1), and the measures ask for fewer"),
        ({"more": limit("ScaleUpLimit")}, "behavior.scaleUp allows no faster growth"),
        (
            {"able": {"type": "AbleToScale", "status": "True", "reason": "ScaleDownStabilized"}},
            "the measures ask for fewer, and did not within behavior.scaleDown.stabilizationWindowSeconds",
        ),
        ({}, None),
    ],
)
def test_limits(status: Any, words: str | None) -> None:
    """What keeps an autoscaler from what its measures ask for is told in the words of the spec."""
    world = Scaled()
    world.looks(pods(GPU, "42"), **status)
    assert world.autoscaler().get("limited") == words


def test_a_limit_of_before_is_not_told() -> None:
    """While measures are missing Kubernetes leaves the bound as it was; it says nothing any more."""
    world = Scaled()
    world.looks(NONE, condition=failing("x"), more=limit("TooManyReplicas"))
    assert "limited" not in world.autoscaler()


def test_missing_measures_are_named() -> None:
    """A measure without a value is named, in both forms in which an HPA leaves it out."""
    world = Scaled(UTILIZATION, QUEUE)
    world.looks(pods(GPU, "42"), NONE)
    assert world.autoscaler()["missing"] == ["QueueLength"]
    world.looks(condition=failing("x"))
    assert world.autoscaler()["missing"] == ["GPUUtilization", "QueueLength"]


def test_why_it_scaled() -> None:
    """The measure that asked for most decided; it is told with its value of that moment, which later looks do not change."""
    world = Scaled(UTILIZATION, QUEUE)
    world.looks(pods(GPU, "91250m"), pods(LENGTH, "1"), desiredReplicas=2, lastScaleTime=WHEN)
    told = {"time": WHEN, "fromReplicas": 1, "toReplicas": 2, "why": "GPUUtilization 91.3, target 70"}
    assert world.autoscaler()["lastScale"] == told
    world.looks(pods(GPU, "50"), pods(LENGTH, "9"), currentReplicas=2)
    assert world.autoscaler()["lastScale"] == told


def test_history_is_not_rewritten() -> None:
    """Why it scaled stays as it was told, whatever the spec says later."""
    world = Scaled(UTILIZATION, QUEUE)
    world.looks(pods(GPU, "91"), pods(LENGTH, "1"), desiredReplicas=2, lastScaleTime=WHEN)
    told = world.autoscaler()["lastScale"]
    assert told["why"] == "GPUUtilization 91, target 70"
    scaling = {"engine": "HPA", "minReplicas": 1, "maxReplicas": 5}
    for metrics in ([{"type": "GPUUtilization", "target": 95}, QUEUE], [QUEUE]):
        world.edit(
            model(version(), scaling={**scaling, "metrics": metrics}, accelerator={"count": 1, "provider": "nvidia"})
        )
        world.settle()
        assert world.autoscaler()["lastScale"] == told


def test_what_nobody_looks_at_is_not_told() -> None:
    """Of a version that cannot be rendered, or left the spec, only who decided and what it last did is kept."""
    world = Scaled(UTILIZATION, QUEUE)
    world.looks(pods(GPU, "91"), NONE, desiredReplicas=5, lastScaleTime=WHEN, more=limit("TooManyReplicas"))
    told = world.autoscaler()
    assert {"limited", "missing", "desiredReplicas"} < set(told)
    world.edit(model(version("v2")))
    world.step()
    frozen = {it["name"]: it for it in world.report().status["versions"]}["v1"]
    assert frozen["state"] == "Frozen"
    assert frozen["autoscaler"] == {"engine": "HPA", "lastScale": told["lastScale"]}


def test_why_in_the_users_unit() -> None:
    """A share of a card is told in percent of the share, as the target is written."""
    world = Scaled(accelerator={"count": 1, "provider": "hami", "memoryPerCard": "5Gi", "corePercent": 50})
    world.looks(pods(GPU, "45"), desiredReplicas=2, lastScaleTime=WHEN)
    assert world.autoscaler()["lastScale"]["why"] == "GPUUtilization 90, target 70"


def test_bounds_scale_too() -> None:
    """A number outside of the bounds is mended without a look at measures."""
    world = Scaled()
    world.looks(currentReplicas=7, desiredReplicas=5, lastScaleTime=WHEN)
    assert world.autoscaler()["lastScale"]["why"] == "maxReplicas is 5"


def test_a_change_that_nobody_saw() -> None:
    """What happened while no operator ran is told as far as it is known, and what was told before is kept."""
    world = Scaled()
    world.looks(pods(GPU, "42"), desiredReplicas=3, lastScaleTime=WHEN)
    whole = world.autoscaler()["lastScale"]
    world.children[next(ref for ref in world.children if ref.kind == "HorizontalPodAutoscaler")]["metadata"].pop(
        "scaledStatus"
    )
    assert world.autoscaler()["lastScale"] == whole
    world.model["status"]["versions"][0].pop("autoscaler")
    assert world.autoscaler()["lastScale"] == {"time": WHEN, "toReplicas": 3}


def test_a_fixed_number_has_no_autoscaler() -> None:
    """Without an autoscaler the status tells of none, also when there was one."""
    world = Scaled()
    world.looks(pods(GPU, "42"))
    world.autoscaler()
    world.edit(model(version(), scaling={"minReplicas": 2}))
    world.settle()
    assert world.autoscaler() == {}


@pytest.mark.parametrize(
    ("value", "text"), [("91.25", "91.3"), ("0.5", "0.5"), ("1234.4", "1234"), ("70", "70"), ("0", "0")]
)
def test_figures(value: str, text: str) -> None:
    """Figures have three digits that count."""
    assert amount(Decimal(value)) == text


def test_the_condition_that_holds_is_no_limit() -> None:
    """A rescale that worked limits nothing."""
    world = Scaled()
    world.looks(
        pods(GPU, "42"), condition=FOUND, able={"type": "AbleToScale", "status": "True", "reason": "SucceededRescale"}
    )
    assert "limited" not in world.autoscaler()
