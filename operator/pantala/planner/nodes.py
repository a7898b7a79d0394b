"""Where a pod may go: what its selectors, its affinity and its tolerations say of a node, as kube-scheduler judges it. Pure.

Source: k8s.io/component-helpers, scheduling/corev1 and nodeaffinity.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pantala.accelerators import units
from pantala.manifest.types import Manifest
from pantala.manifest.words import KEEP_AWAY

CORDONED: Mapping[str, str] = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}
"""The taint that Kubernetes puts on a node with `spec.unschedulable`."""
_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"


def selected(spec: Mapping[str, Any], node: Manifest) -> bool:
    """Whether the pod's nodeSelector matches a node."""
    labels = node["metadata"]["labels"]
    return all(labels.get(key) == value for key, value in (spec.get("nodeSelector") or {}).items())


def fits_affinity(spec: Mapping[str, Any], node: Manifest) -> bool:
    """Whether the pod's required node affinity matches a node."""
    affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    if _REQUIRED not in affinity:
        return True
    return any(_term(term, node) for term in affinity[_REQUIRED].get("nodeSelectorTerms") or ())


def meets(requirements: Sequence[Mapping[str, Any]], labels: Mapping[str, str]) -> bool:
    """Whether labels meet all `matchExpressions`."""
    return all(_expression(it, labels.get(it["key"])) for it in requirements)


def untolerated(spec: Mapping[str, Any], node: Manifest) -> tuple[Mapping[str, str], ...]:
    """Taints of a node that keep the pod away."""
    taints = list(node["spec"].get("taints") or ())
    if node["spec"].get("unschedulable") and not any(taint["key"] == CORDONED["key"] for taint in taints):
        taints.append(dict(CORDONED))
    tolerations = spec.get("tolerations") or ()
    return tuple(
        taint
        for taint in taints
        if taint.get("effect") in KEEP_AWAY and not any(_tolerates(it, taint) for it in tolerations)
    )


def without(resource: str, amount: int, spec: Mapping[str, Any], nodes: Sequence[Manifest]) -> int:
    """How many of the nodes that a pod may use have less of a resource than this, though nothing of it were taken."""
    return sum(
        units.allocatable(node, resource) < amount
        for node in nodes
        if selected(spec, node) and fits_affinity(spec, node) and not untolerated(spec, node)
    )


def _term(term: Mapping[str, Any], node: Manifest) -> bool:
    """An empty term matches nothing."""
    expressions, fields = term.get("matchExpressions") or (), term.get("matchFields") or ()
    if not expressions and not fields:
        return False
    return meets(expressions, node["metadata"]["labels"]) and meets(fields, {"metadata.name": node["metadata"]["name"]})


def _expression(it: Mapping[str, Any], value: str | None) -> bool:
    values = it.get("values") or ()
    match it["operator"]:
        case "In" | "NotIn" as operator:
            return (value in values) is (operator == "In")
        case "Exists" | "DoesNotExist" as operator:
            return (value is not None) is (operator == "Exists")
        case "Gt" | "Lt" as operator:
            return _compare(operator, value, next(iter(values), None))
        case _:
            return False


def _tolerates(it: Mapping[str, Any], taint: Mapping[str, str]) -> bool:
    if it.get("effect") and it["effect"] != taint.get("effect"):
        return False
    if it.get("key") and it["key"] != taint["key"]:
        return False
    match it.get("operator") or "Equal":
        case "Exists":
            return True
        case "Equal":
            return bool(it.get("key")) and it.get("value", "") == taint.get("value", "")
        case "Gt" | "Lt" as operator:  # numbers, since Kubernetes 1.35
            return _compare(operator, taint.get("value"), it.get("value"))
        case _:
            return False


def _compare(operator: str, left: str | None, right: str | None) -> bool:
    found, bound = _number(left), _number(right)
    if found is None or bound is None:
        return False
    return found > bound if operator == "Gt" else found < bound


def _number(text: str | None) -> int | None:
    try:
        return int(text or "")
    except ValueError:
        return None
