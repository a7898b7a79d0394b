"""What `pantala top` tells of an autoscaler: what it wants, by which measure, and what it did last. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, TypedDict

from pantala.api.resolve import ResolvedVersion
from pantala.autoscaling import hpa, keda
from pantala.manifest.types import Manifest
from pantala.planner import readings, scaling

_DIGITS = 3


class Measure(TypedDict):
    """One measure as the autoscaler compares it, per replica."""

    name: str
    value: float | None
    target: float


class LastScale(TypedDict):
    """The autoscaler's last change; `toReplicas` is None where only its time is known."""

    time: str
    fromReplicas: int | None
    toReplicas: int | None
    why: str | None


class Autoscaler(TypedDict):
    """Who decides about the number of replicas."""

    engine: str
    currentReplicas: int | None
    desiredReplicas: int | None
    limited: str | None
    measures: list[Measure]
    decisive: str | None
    """The measure that asks for most."""
    missing: list[str]
    reason: str | None
    """Why something is missing: the reason of the model's condition; None if nothing is."""
    lastScale: LastScale | None


def find(autoscalers: Mapping[tuple[str, str], Manifest], namespace: str, child: str) -> Manifest | None:
    """The HorizontalPodAutoscaler of a version's Deployment: the operator's, or the one that KEDA made for it."""
    return autoscalers.get((namespace, hpa.name_of(child))) or autoscalers.get((namespace, keda.hpa_name(child)))


def autoscaler(
    version: ResolvedVersion | None, told: Mapping[str, Any], live: Manifest | None, reason: str | None
) -> Autoscaler | None:
    """What is told of the autoscaler of a version; None if it has none and asks for none.

    Args:
        version: What the spec says; None if the version left it.
        told: The version in the model's status.
        live: Its HorizontalPodAutoscaler, which is younger than the status.
        reason: Why a measure is missing.
    """
    status: Mapping[str, Any] = told.get("autoscaler") or {}
    asked = version is not None and hpa.wanted(version.scaling)
    if not asked and not status and live is None:
        return None
    provider = (told.get("accelerator") or {}).get("provider")
    compared = readings.of(scaling.of(version, provider), live) if version is not None and asked else ()
    first = readings.decisive(compared)
    return {
        "engine": _engine(version, status, live),
        "currentReplicas": _status(live).get("currentReplicas"),
        # An HPA that has not computed anything yet says 0, which is below every minReplicas.
        "desiredReplicas": _status(live).get("desiredReplicas") or status.get("desiredReplicas"),
        "limited": status.get("limited"),
        "measures": [
            {"name": it.signal.name, "value": number(it.value), "target": float(round(it.target, _DIGITS))}
            for it in compared
        ],
        "decisive": None if first is None else first.signal.name,
        "missing": list(status.get("missing") or ()),
        "reason": reason,
        "lastScale": _last(status, live),
    }


def number(value: Decimal | None) -> float | None:
    """A value as JSON has it."""
    return None if value is None else float(round(value, _DIGITS))


def _engine(version: ResolvedVersion | None, status: Mapping[str, Any], live: Manifest | None) -> str:
    if live is not None:
        return "KEDA" if live["metadata"]["name"].startswith(hpa.KEDA_PREFIX) else "HPA"
    return str(status.get("engine") or (version.scaling.engine if version else "HPA"))


def _last(status: Mapping[str, Any], live: Manifest | None) -> LastScale | None:
    told = status.get("lastScale") or {}
    time = _status(live).get("lastScaleTime")
    if time is not None and time > told.get("time", ""):
        # The operator has not told of it yet.
        return {"time": time, "fromReplicas": None, "toReplicas": None, "why": None}
    if not told:
        return None
    return {
        "time": told["time"],
        "fromReplicas": told.get("fromReplicas"),
        "toReplicas": told["toReplicas"],
        "why": told.get("why"),
    }


def _status(live: Manifest | None) -> Mapping[str, Any]:
    found: Mapping[str, Any] = (live or {}).get("status") or {}
    return found
