"""What a block of fields becomes, and nodes as vendors' device plugins leave them."""

from typing import Any

from pantala.accelerators import registry
from pantala.accelerators.base import Claim, Offer
from pantala.api.accelerator import Accelerator
from pantala.api.rules import rules_of
from pantala.manifest.settings import AcceleratorSettings
from pantala.manifest.types import Manifest

SETTINGS = AcceleratorSettings()


def broken(block: Manifest) -> list[str]:
    """Messages of the rules that an `accelerator` block breaks."""
    stored = Accelerator.model_validate(block).as_dict()
    found = [rule.message for rule in rules_of("Accelerator") if not rule.holds(stored)]
    kinds = stored.get("cardType")
    return found + [rule.message for rule in rules_of("CardType") if kinds is not None and not rule.holds(kinds)]


def claimed(block: Manifest, settings: AcceleratorSettings = SETTINGS) -> Claim:
    """The claim of a block that names its provider and that the rules accept."""
    assert broken(block) == []
    claim = registry.claim(Accelerator.model_validate(block), block["provider"], settings)
    assert isinstance(claim, Claim), claim
    return claim


def node(
    allocatable: dict[str, str] | None = None,
    labels: dict[str, str] | None = None,
    annotations: dict[str, str] | None = None,
) -> Manifest:
    """A node as an API server stores it."""
    meta: dict[str, Any] = {"name": "gpu-1", "labels": labels or {}, "annotations": annotations or {}}
    return {"metadata": meta, "status": {"allocatable": {"cpu": "32", "memory": "131070620Ki", **(allocatable or {})}}}


def offered(provider: str, it: Manifest, settings: AcceleratorSettings = SETTINGS) -> dict[str, Offer]:
    """What a node has of one provider, by resource."""
    offers = registry.PROVIDERS[provider].offers(it, settings)
    assert {offer.provider for offer in offers} <= {provider}
    return {offer.resource: offer for offer in offers}


def offering(it: Manifest) -> set[str]:
    """The providers of which a node has something."""
    return {offer.provider for known in registry.PROVIDERS.values() for offer in known.offers(it, SETTINGS)}
