"""How fast the number of replicas may change, by the time that a replica takes to start."""

import itertools
from typing import Any

import pytest

from pantala.api.scaling import Behavior
from pantala.autoscaling import behavior


@pytest.mark.parametrize(
    ("seconds", "before", "step"),
    [
        ([], None, 60),
        ([], 300, 300),
        ([3.0], None, 15),
        ([15.0], None, 15),
        ([16.0], None, 30),
        ([50.0, 70.0, 4000.0], None, 120),
        ([5000.0], None, 1800),
        # Within a fifth of the recorded step nothing moves.
        ([71.0], 60, 60),
        ([73.0], 60, 120),
        ([49.0], 120, 120),
        ([47.0], 120, 60),
        ([3.0], 30, 15),
        ([13.0], 30, 30),
        ([9000.0], 1800, 1800),
        ([40.0], 77, 60),
    ],
)
def test_step(seconds: list[float], before: int | None, step: int) -> None:
    """The median is rounded up to a step; the recorded one stays until the median is a fifth beyond it."""
    assert behavior.start_step(seconds, before) == step


def test_no_flapping_between_two_steps() -> None:
    """Start times that lie on both sides of a step's end move it at most once."""
    seen: list[float] = []
    steps: list[int | None] = [None]
    for seconds in itertools.islice(itertools.cycle((58.0, 63.0, 55.0, 66.0)), 40):
        seen = [*seen[-19:], seconds]
        steps.append(behavior.start_step(seen, steps[-1]))
    assert sum(one != other for one, other in itertools.pairwise(steps[1:])) <= 1


@pytest.mark.parametrize(("start", "window"), [(15, 300), (120, 300), (300, 600), (1800, 3600)])
def test_defaults(start: int, window: int) -> None:
    """Upwards by double or 4 pods in a start time; downwards slowly, looking back for two of them, at least 5 minutes."""
    assert behavior.behavior(None, start) == {
        "scaleUp": {
            "stabilizationWindowSeconds": 0,
            "selectPolicy": "Max",
            "policies": [
                {"type": "Percent", "value": 100, "periodSeconds": start},
                {"type": "Pods", "value": 4, "periodSeconds": start},
            ],
        },
        "scaleDown": {
            "stabilizationWindowSeconds": window,
            "selectPolicy": "Max",
            "policies": [
                {"type": "Pods", "value": 1, "periodSeconds": 60},
                {"type": "Percent", "value": 10, "periodSeconds": 60},
            ],
        },
    }


POLICY = {"type": "Pods", "value": 2, "periodSeconds": 10}


@pytest.mark.parametrize("direction", ["scaleUp", "scaleDown"])
@pytest.mark.parametrize(
    "rules",
    [{"stabilizationWindowSeconds": 0}, {"selectPolicy": "Disabled"}, {"policies": [POLICY]}],
    ids=lambda rules: next(iter(rules)),
)
def test_field_of_the_user_replaces_its_default_alone(direction: str, rules: dict[str, Any]) -> None:
    """What the user sets in one direction stands as written; all else is as without it."""
    made = behavior.behavior(Behavior.model_validate({direction: rules}), 30)
    plain = behavior.behavior(None, 30)
    assert made == {**plain, direction: {**plain[direction], **rules}}


def test_bounds_of_kubernetes() -> None:
    """No step leads to more than the API server takes: periods of 1800 s, windows of 3600 s."""
    for step in behavior.STEPS:
        made = behavior.behavior(None, step)
        assert made["scaleDown"]["stabilizationWindowSeconds"] <= 3600
        assert all(0 < policy["periodSeconds"] <= 1800 for rules in made.values() for policy in rules["policies"])
