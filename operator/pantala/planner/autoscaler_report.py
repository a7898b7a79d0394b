"""What the autoscaler of a version does, and what the status says of it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from enum import StrEnum
from typing import Any

from pantala import naming
from pantala.autoscaling.signals import Signal
from pantala.manifest.types import Manifest
from pantala.planner import engines, readings
from pantala.planner.observed import SCALED, Observed
from pantala.planner.plan import Plan
from pantala.planner.readings import Reading
from pantala.status.conditions import bounded

_WORDS = 256
_MEASURES = 16
_DIGITS = 3


class State(StrEnum):
    """How an autoscaler fares with its measures."""

    PENDING = "pending"
    """It has not looked yet, or there is nothing to look at."""
    FOUND = "found"
    """It has a value of every measure."""
    PARTIAL = "partial"
    """It has values of some and works with those: it adds replicas, and removes none."""
    FAILED = "failed"
    """It cannot decide, and changes nothing."""
    AMBIGUOUS = "ambiguous"
    """Another autoscaler is at work on the same pods, and Kubernetes stopped both."""


@dataclass(frozen=True)
class View:
    """The autoscaler of one version as the cluster has it."""

    version: str
    engine: str
    signals: tuple[Signal, ...]
    hpa: Manifest | None
    """KEDA's, if that is the engine."""
    scaled_object: Manifest | None
    readings: tuple[Reading, ...]

    @property
    def state(self) -> State:
        """How it fares."""
        active = self.condition("ScalingActive")
        # What it could not find it has no new figures of: those of before are still there.
        if active is None or self.told("AbleToScale").get("reason") == "FailedGetScale":
            return State.PENDING
        if active["status"] == "True":
            measured = bool(((self.hpa or {}).get("status") or {}).get("currentMetrics"))
            found = all(reading.value is not None for reading in self.readings)
            return (State.FOUND if found else State.PARTIAL) if measured else State.PENDING
        if active.get("reason") == "ScalingDisabled":
            return State.PENDING
        return State.AMBIGUOUS if active.get("reason") == "AmbiguousSelector" else State.FAILED

    @property
    def missing(self) -> tuple[Signal, ...]:
        """Measures that it has no value of; all, where it does not say which."""
        if self.state not in {State.PARTIAL, State.FAILED}:
            return ()
        found = tuple(reading.signal for reading in self.readings if reading.value is None)
        return found or self.signals

    def condition(self, kind: str) -> Mapping[str, Any] | None:
        """A condition of the HPA; None if it has none of this type."""
        return _condition(self.hpa, kind)

    def told(self, kind: str) -> Mapping[str, Any]:
        """The same, empty if there is none."""
        return self.condition(kind) or {}

    def keda(self, kind: str) -> Mapping[str, Any]:
        """A condition of the ScaledObject; empty if there is none."""
        return _condition(self.scaled_object, kind) or {}


def views(seen: Observed, plan: Plan) -> dict[str, View]:
    """The autoscalers of all versions that have one, in the order of the plan."""
    found = {}
    for version, signals in plan.signals.items():
        standing = engines.standing(seen, naming.child_name(seen.name, version))
        engine = plan.engines.get(version, engines.HPA)
        live = standing.of_keda if engine == engines.KEDA else standing.hpa
        scaled_object = standing.scaled_object
        measured = readings.of(signals, live, scaled_object if engine == engines.KEDA else None)
        found[version] = View(version, engine, signals, live, scaled_object, measured)
    return found


def status(view: View, before: Mapping[str, Any]) -> Manifest:
    """The field `autoscaler` of a version's status.

    Args:
        view: Its autoscaler.
        before: The field as it was.
    """
    found: Manifest = {"engine": view.engine}
    live = (view.hpa or {}).get("status") or {}
    if view.condition("ScalingActive") is not None and live.get("desiredReplicas"):
        found["desiredReplicas"] = live["desiredReplicas"]
    if words := _limited(view):
        found["limited"] = bounded(words, _WORDS)
    if view.missing:
        found["missing"] = [signal.name for signal in view.missing[:_MEASURES]]
    if last := _last(view, before.get("lastScale")):
        found["lastScale"] = last
    return found


def amount(value: Decimal) -> str:
    """A figure for people: three digits that count, and whole numbers whole."""
    if value == value.to_integral_value() or abs(value) >= 10 ** (_DIGITS - 1):
        return f"{value.to_integral_value():f}"
    rounded = value.quantize(Decimal(1).scaleb(value.adjusted() + 1 - _DIGITS), ROUND_HALF_UP)
    return f"{rounded.normalize():f}"


def compared(reading: Reading | None) -> str | None:
    """A measure beside its target: `GPUUtilization 91, target 70`; None without a value."""
    if reading is None or reading.value is None:
        return None
    return f"{reading.signal.name} {amount(reading.value)}, target {amount(reading.target)}"


_RATES = {
    "ScaleUpLimit": "behavior.scaleUp allows no faster growth",
    "ScaleDownLimit": "behavior.scaleDown allows no faster shrinking",
}
_HELD = {
    "ScaleDownStabilized": "the measures ask for fewer, and did not within behavior.scaleDown.stabilizationWindowSeconds",
    "ScaleUpStabilized": "the measures ask for more, and did not within behavior.scaleUp.stabilizationWindowSeconds",
}


def _limited(view: View) -> str | None:
    """What keeps the autoscaler from what the measures ask for, by the words of Kubernetes (podautoscaler/horizontal.go, v1.36.1)."""
    if view.keda("Paused").get("status") == "True":
        return "paused by an annotation of its ScaledObject"
    if view.state not in {State.FOUND, State.PARTIAL}:
        return None  # what the conditions say is from before
    spec, bound = (view.hpa or {}).get("spec") or {}, view.told("ScalingLimited")
    reason = bound.get("reason") if bound.get("status") == "True" else None
    if reason == "TooManyReplicas":
        return f"at maxReplicas ({spec.get('maxReplicas')}), and the measures ask for more"
    if reason == "TooFewReplicas":
        return f"at minReplicas ({spec.get('minReplicas')}), and the measures ask for fewer"
    return _RATES.get(reason or "") or _HELD.get(view.told("AbleToScale").get("reason", ""))


def _last(view: View, before: Manifest | None) -> Manifest | None:
    """The last change; what an older one says is kept until there is a newer one, also by another autoscaler."""
    meta, live = (view.hpa or {}).get("metadata") or {}, (view.hpa or {}).get("status") or {}
    time = live.get("lastScaleTime")
    if time is None:
        return before
    moment = meta.get(SCALED) or {}
    known = before is not None and before.get("time") == time
    if known and before is not None and "fromReplicas" in before:
        return before  # why it was stands: the spec of today may have other measures, or targets
    if moment.get("lastScaleTime") != time:  # it scaled while nobody looked
        return before if known else {"time": time, "toReplicas": live.get("desiredReplicas", 0)}
    found: Manifest = {
        "time": time,
        "fromReplicas": moment.get("currentReplicas", 0),
        "toReplicas": moment.get("desiredReplicas", 0),
    }
    if why := _why(view, {**(view.hpa or {}), "status": moment}):
        found["why"] = bounded(why, _WORDS)
    return found


def _why(view: View, then: Manifest) -> str | None:
    """What decided, out of the autoscaler as it was then."""
    status, spec = then["status"], then.get("spec") or {}
    if not status.get("currentMetrics"):  # it does not look at measures where a bound is enough
        grown = status.get("desiredReplicas", 0) > status.get("currentReplicas", 0)
        return f"minReplicas is {spec.get('minReplicas')}" if grown else f"maxReplicas is {spec.get('maxReplicas')}"
    made_of = view.scaled_object if view.engine == engines.KEDA else None
    return compared(readings.decisive(readings.of(view.signals, then, made_of)))


def _condition(obj: Manifest | None, kind: str) -> Mapping[str, Any] | None:
    found = ((obj or {}).get("status") or {}).get("conditions") or ()
    return next((it for it in found if it["type"] == kind), None)
