"""Of each object only what somebody reads: without `managedFields` and the specs of pods a thousand models fit in memory."""

from __future__ import annotations

from typing import Any

from pantala import naming
from pantala.cluster.resources import (
    AUTOSCALER,
    DEPLOYMENT,
    POD,
    POLICIES,
    SCALED_OBJECT,
    SERVICE_MONITOR,
    VIRTUAL_SERVICE,
    Resource,
)
from pantala.manifest.types import Manifest
from pantala.planner.observed import REPLICAS_OWNERS, SCALED
from pantala.planner.readings import block

_WITHOUT_STATUS = frozenset({VIRTUAL_SERVICE, SERVICE_MONITOR, *POLICIES})
"""Kinds of which nobody reads the status."""
_SCALED = ("hpaName", "externalMetricNames", "pausedReplicaCount")
"""What is read of the status of a ScaledObject besides conditions. KEDA writes the rest (`lastActiveTime`, `triggersActivity`,
`health`) at every poll of a measure (keda v2.21.0, pkg/scaling/scale_handler.go)."""
_SCALED_CONDITIONS = frozenset({"Ready", "Paused"})
"""Conditions of a ScaledObject that are read: `Active` flips with the load, and `HPAActive` repeats the autoscaler's own."""
_CONDITION = ("type", "status", "reason", "message", "lastTransitionTime")


def slim(resource: Resource, obj: Manifest) -> Manifest:
    """The object without what nobody reads."""
    meta: dict[str, Any] = {key: value for key, value in obj["metadata"].items() if key != "managedFields"}
    if resource is DEPLOYMENT:
        meta[REPLICAS_OWNERS] = _replicas_owners(obj)
    slim = {**obj, "metadata": meta}
    if resource is POD:
        spec = obj.get("spec", {})
        slim["spec"] = {"nodeName": spec.get("nodeName"), "schedulerName": spec.get("schedulerName")}
    elif resource is SCALED_OBJECT and "status" in slim:
        slim["status"] = _scaled(slim["status"])
    elif resource in _WITHOUT_STATUS:
        slim.pop("status", None)
    return slim


def essence(resource: Resource, slim: Manifest) -> Any:
    """What wakes its model when it changes, of an object as `slim` leaves it.

    An autoscaler notes its values every 15 seconds; whether it has them is news, and what it decides.
    """
    meta = {**slim["metadata"], "resourceVersion": ""}
    if resource is not AUTOSCALER:
        return {**slim, "metadata": meta}
    status = slim.get("status") or {}
    told = [
        (it["type"], it["status"], it.get("reason") if it["type"] == "ScalingActive" else None, _refusal(it))
        for it in status.get("conditions") or ()
        if it["type"] != "ScalingLimited"
    ]
    known = [_measure(it) for it in status.get("currentMetrics") or ()]
    return {
        **slim,
        "metadata": meta,
        "status": [told, known, status.get("desiredReplicas"), status.get("lastScaleTime")],
    }


def carried(resource: Resource, slim: Manifest, before: Manifest | None) -> Manifest:
    """The object with its status as it was when it last scaled, if that was seen: the values of a moment later say nothing of why."""
    if resource is not AUTOSCALER or before is None:
        return slim
    status, old = slim.get("status") or {}, before.get("status") or {}
    scaled = before["metadata"].get(SCALED)
    if status.get("lastScaleTime") != old.get("lastScaleTime"):
        scaled = status
    return {**slim, "metadata": {**slim["metadata"], SCALED: scaled}} if scaled else slim


def limits(resource: Resource, slim: Manifest) -> Any:
    """What may wait for a while and then wakes its model too: why an autoscaler does not do all that its measures ask for.

    With a load near a bound this goes back and forth at every look of the autoscaler.
    """
    conditions = (slim.get("status") or {}).get("conditions") or () if resource is AUTOSCALER else ()
    return [(it["type"], it.get("reason")) for it in conditions]


def answers(pod: Manifest) -> str | None:
    """The version for which a pod answers requests: a Service selects by this label, and only ready pods."""
    if "deletionTimestamp" in pod["metadata"]:
        return None
    conditions = (pod.get("status") or {}).get("conditions") or ()
    if not any(it["type"] == "Ready" and it["status"] == "True" for it in conditions):
        return None
    return str(pod["metadata"].get("labels", {}).get(naming.LABEL_VERSION, ""))


def _scaled(status: Manifest) -> Manifest:
    conditions = [
        {key: value for key, value in it.items() if key in _CONDITION}
        for it in status.get("conditions") or ()
        if it["type"] in _SCALED_CONDITIONS
    ]
    return {**{key: value for key, value in status.items() if key in _SCALED}, "conditions": conditions}


def _measure(read: Manifest) -> tuple[str, str]:
    """Type and name of a measure that an autoscaler has a value of; empty where it has none."""
    told = block(read)
    return read.get("type", ""), told.get("name") or (told.get("metric") or {}).get("name", "")


def _refusal(condition: Manifest) -> str:
    """The words of a condition that is False; others name the measure that decided, which changes with the load."""
    return str(condition.get("message", "")) if condition["status"] == "False" else ""


def _replicas_owners(obj: Manifest) -> list[str]:
    """Field managers that own `spec.replicas`: who decides how many pods there are."""
    return sorted(
        {
            entry.get("manager", "")
            for entry in obj["metadata"].get("managedFields", [])
            if "f:replicas" in entry.get("fieldsV1", {}).get("f:spec", {})
        }
    )
