"""The ResourceClaimTemplate of a version whose cards come by DynamicResourceAllocation. Pure.

Its spec can never change, so other content is another object. The one before stays until the Deployment is rolled out:
pods of the old ReplicaSet that are made anew meanwhile still name it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from pantala import naming
from pantala.accelerators import dra
from pantala.accelerators.base import TEMPLATE_NAME, Claim
from pantala.api.model import InferenceModel
from pantala.api.resolve import ResolvedVersion
from pantala.manifest.canonical import digest
from pantala.manifest.types import Invalid, Manifest, PodParts
from pantala.planner.cards import Cards
from pantala.planner.observed import Availability, Observed, rolled_out, wanted_replicas
from pantala.status.reasons import Reason

_MARK = 8
_ABSENT = (
    f"provider dra needs {dra.API_VERSION} {dra.KIND}, which this cluster does not serve: update Kubernetes to 1.34 or later,"
    " or use another provider."
)
_FORBIDDEN = (
    f"provider dra needs {dra.API_VERSION} {dra.KIND}, which the operator may not read: check its Role (charts/pantala); it is"
    " looked at again every minute."
)


def parts(model: InferenceModel, version: ResolvedVersion, claim: Claim) -> PodParts:
    """What the claim adds to the pod, with the name of the template in place of what stands for it."""
    if claim.template is None:
        return claim.parts
    name = _name(model, version, claim.template)
    claims = tuple(
        {**it, "resourceClaimTemplateName": name} if it.get("resourceClaimTemplateName") == TEMPLATE_NAME else it
        for it in claim.parts.resource_claims
    )
    return replace(claim.parts, resource_claims=claims)


def manifest(model: InferenceModel, version: ResolvedVersion, cards: Cards | None, owner: Manifest) -> Manifest | None:
    """The template; None if the version needs none."""
    if cards is None or cards.claim.template is None:
        return None
    labels = naming.labels(model.metadata.name, version.name)
    name = _name(model, version, cards.claim.template)
    return dra.resource_claim_template(name, model.metadata.namespace, labels, owner, cards.claim.template)


def refusal(seen: Observed, cards: Cards | None) -> Invalid | None:
    """Why there can be no template; its pods would run without cards where the API server drops the field."""
    if cards is None or cards.claim.template is None or seen.claim_templates is Availability.SERVED:
        return None
    if seen.claim_templates is Availability.FORBIDDEN:
        return Invalid(Reason.FORBIDDEN, _FORBIDDEN, "accelerator.provider")
    return Invalid(Reason.API_MISSING, _ABSENT, "accelerator.provider")


def in_use(obj: Manifest, seen: Observed, rendered: Collection[str]) -> bool:
    """Whether pods may still be made out of a template that the plan does not want.

    Args:
        obj: A live object that the plan does not want.
        seen: What the cluster holds.
        rendered: Versions whose objects the plan wants.
    """
    version = obj["metadata"].get("labels", {}).get(naming.LABEL_VERSION)
    if obj["kind"] != dra.KIND or version not in rendered:
        return False
    live = seen.deployment(version)
    if live is None or obj["metadata"]["name"] in names(live["spec"]["template"]):
        return True
    status = live.get("status", {})
    empty = not wanted_replicas(live) and not status.get("replicas", 0)
    current = status.get("observedGeneration", 0) >= live["metadata"].get("generation", 0)
    return not (rolled_out(live) or (empty and current))


def names(template: Mapping[str, Any]) -> frozenset[str]:
    """The ResourceClaimTemplates that a pod template names."""
    claims = template["spec"].get("resourceClaims") or ()
    return frozenset(claim["resourceClaimTemplateName"] for claim in claims if "resourceClaimTemplateName" in claim)


def _name(model: InferenceModel, version: ResolvedVersion, spec: Mapping[str, Any]) -> str:
    return naming.claim_template_name(model.metadata.name, version.name, digest(spec, _MARK))
