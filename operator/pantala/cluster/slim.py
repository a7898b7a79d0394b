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
from pantala.planner.observed import REPLICAS_OWNERS

_WITHOUT_STATUS = frozenset({AUTOSCALER, VIRTUAL_SERVICE, SERVICE_MONITOR, *POLICIES})
"""Kinds of which nobody reads the status."""
_SCALED = ("conditions", "hpaName", "externalMetricNames", "pausedReplicaCount")
"""What is read of the status of a ScaledObject. KEDA writes the rest (`lastActiveTime`, `triggersActivity`, `health`) at every
poll of a measure (keda v2.21.0, pkg/scaling/scale_handler.go)."""


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
        slim["status"] = {key: value for key, value in slim["status"].items() if key in _SCALED}
    elif resource in _WITHOUT_STATUS:
        slim.pop("status", None)
    return slim


def answers(pod: Manifest) -> str | None:
    """The version for which a pod answers requests: a Service selects by this label, and only ready pods."""
    if "deletionTimestamp" in pod["metadata"]:
        return None
    conditions = (pod.get("status") or {}).get("conditions") or ()
    if not any(it["type"] == "Ready" and it["status"] == "True" for it in conditions):
        return None
    return str(pod["metadata"].get("labels", {}).get(naming.LABEL_VERSION, ""))


def _replicas_owners(obj: Manifest) -> list[str]:
    """Field managers that own `spec.replicas`: who decides how many pods there are."""
    return sorted(
        {
            entry.get("manager", "")
            for entry in obj["metadata"].get("managedFields", [])
            if "f:replicas" in entry.get("fieldsV1", {}).get("f:spec", {})
        }
    )
