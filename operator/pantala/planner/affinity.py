"""Nodes that hold a version's bytes already are preferred, softly.

A pod template that followed the ledger would replace the pods with each entry. So the nodes are chosen when the template
changes anyway, or when no pod of the version is there (`render`), and then stay.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pantala.manifest.types import Manifest

WEIGHT = 50
"""Out of 100: more than the balance of images and resources usually makes, less than a user's own 100."""
_PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"
_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"


def prefer(template: Manifest, nodes: Sequence[str]) -> Manifest:
    """The pod template with a preference for nodes, beside whatever the user's own affinity says.

    Args:
        template: Pod template; it is not changed.
        nodes: Names of nodes.
    """
    if not nodes:
        return template
    spec = template["spec"]
    affinity = spec.get("affinity") or {}
    own = affinity.get("nodeAffinity") or {}
    terms = [*(own.get(_PREFERRED) or ()), *map(_term, nodes)]
    return {**template, "spec": {**spec, "affinity": {**affinity, "nodeAffinity": {**own, _PREFERRED: terms}}}}


def require(spec: Manifest, requirements: Sequence[Mapping[str, Any]]) -> Manifest:
    """The pod's scheduling fields with requirements on its node, which hold beside the user's own.

    Args:
        spec: Fields of a pod's spec; it is not changed.
        requirements: `matchExpressions`, all of which must hold.
    """
    if not requirements:
        return spec
    affinity = spec.get("affinity") or {}
    own = affinity.get("nodeAffinity") or {}
    # Terms are alternatives, so each of the user's gets all of ours. An empty one matches no node, and stays like that.
    terms = [
        {**term, "matchExpressions": [*term.get("matchExpressions", ()), *requirements]} if any(term.values()) else term
        for term in (own.get(_REQUIRED) or {}).get("nodeSelectorTerms") or ()
    ] or [{"matchExpressions": [*requirements]}]
    return {**spec, "affinity": {**affinity, "nodeAffinity": {**own, _REQUIRED: {"nodeSelectorTerms": terms}}}}


def _term(node: str) -> Manifest:
    # By name and not by the label kubernetes.io/hostname, which some clusters set to something else; such a requirement
    # takes exactly one value (k8s.io/kubernetes/pkg/apis/core/validation, ValidateNodeFieldSelectorRequirement).
    requirement = {"key": "metadata.name", "operator": "In", "values": [node]}
    return {"weight": WEIGHT, "preference": {"matchFields": [requirement]}}
