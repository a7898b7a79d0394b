"""How fast the number of replicas may change, where the user does not say it: by the time that a replica takes to start. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from pantala.api.scaling import Behavior, ScalingRules
from pantala.manifest.types import Manifest

STEPS = (15, 30, 60, 120, 300, 600, 1200, 1800)
"""Seconds to which a start time is rounded up, so that it does not follow each new replica. The last is the longest period
that a policy may have (k8s.io/kubernetes, pkg/apis/autoscaling/validation: MaxPeriodSeconds); twice of it is the longest
window (MaxStabilizationWindowSeconds)."""
UNKNOWN = 60
"""Seconds that count before a replica has started."""
_MARGIN = 0.2
"""A recorded step stays while the start time is within it by this share more or less."""
_LEAST_WINDOW = 300
_MORE_PODS, _MORE_PERCENT = 4, 100
_FEWER_PODS, _FEWER_PERCENT, _FEWER_SECONDS = 1, 10, 60


def start_step(seconds: Sequence[float], before: int | None) -> int:
    """The time that a replica takes to start, as one of `STEPS`.

    Args:
        seconds: What the replicas of the ledger took.
        before: The step of the live autoscaler, which stays unless the time has really moved; None if there is none.
    """
    known = before if before in STEPS else None
    if not seconds:
        return known or UNKNOWN
    middle = statistics.median(seconds)
    if known is not None:
        below = ([0, *STEPS])[STEPS.index(known)]
        if below * (1 - _MARGIN) < middle <= known * (1 + _MARGIN):
            return known
    return next((step for step in STEPS if middle <= step), STEPS[-1])


def behavior(asked: Behavior | None, start: int) -> Manifest:
    """The block `behavior` of an HPA, complete: what the user leaves open follows from the start time.

    Upwards replicas come in one step, and none are added before those of the last step can have started: until then their
    load is still on the others, and an autoscaler would order them again. Downwards the window outlasts a start, so that a
    replica does not go while one that takes over its load still starts.

    Args:
        asked: What the user sets.
        start: Seconds that a replica takes to start, out of `start_step`.
    """
    more = _policies(("Percent", _MORE_PERCENT, start), ("Pods", _MORE_PODS, start))
    fewer = _policies(("Pods", _FEWER_PODS, _FEWER_SECONDS), ("Percent", _FEWER_PERCENT, _FEWER_SECONDS))
    return {
        "scaleUp": _rules(asked.scale_up if asked else None, 0, more),
        "scaleDown": _rules(asked.scale_down if asked else None, max(_LEAST_WINDOW, 2 * start), fewer),
    }


def _rules(asked: ScalingRules | None, window: int, policies: list[Manifest]) -> Manifest:
    made: Manifest = {"stabilizationWindowSeconds": window, "selectPolicy": "Max", "policies": policies}
    if asked is None:
        return made
    if asked.stabilization_window_seconds is not None:
        made["stabilizationWindowSeconds"] = asked.stabilization_window_seconds
    if asked.select_policy is not None:
        made["selectPolicy"] = asked.select_policy
    if asked.policies is not None:
        made["policies"] = _policies(*((it.type, it.value, it.period_seconds) for it in asked.policies))
    return made


def _policies(*policies: tuple[str, int, int]) -> list[Manifest]:
    return [{"type": kind, "value": value, "periodSeconds": seconds} for kind, value, seconds in policies]
