"""Whole cards, time slices and MPS shares."""

import pytest

from pantala.accelerators import registry
from pantala.accelerators.base import Claim
from pantala.api.accelerator import Accelerator
from pantala.manifest.settings import AcceleratorSettings

SETTINGS = AcceleratorSettings()


def claimed(spec: Accelerator, settings: AcceleratorSettings = SETTINGS) -> Claim:
    """The claim of a spec that names its provider."""
    claim = registry.claim(spec, "nvidia", settings)
    assert isinstance(claim, Claim)
    return claim


@pytest.mark.parametrize("count", [1, 2, 64])
def test_cards_are_limits(count: int) -> None:
    """Whole cards are a limit of nvidia.com/gpu, on nodes where such a card is not a share or a slice."""
    made = claimed(Accelerator(provider="nvidia", count=count))
    assert (made.parts.limits, made.cards, made.parts.env) == ({"nvidia.com/gpu": str(count)}, count, ())
    assert {item["key"]: item["operator"] for item in made.parts.node_requirements} == {
        "nvidia.com/gpu.sharing-strategy": "NotIn",
        "nvidia.com/mig.strategy": "NotIn",
    }


@pytest.mark.parametrize(("sharing", "label", "warnings"), [("TimeSlicing", "time-slicing", 1), ("MPS", "mps", 0)])
@pytest.mark.parametrize("resource", ["nvidia.com/gpu.shared", "nvidia.com/gpu"])
def test_shares_are_one_replica(sharing: str, label: str, warnings: int, resource: str) -> None:
    """One share, by the name that the device plugin gives it, on nodes that share in this way."""
    spec = Accelerator.model_validate({"provider": "nvidia", "sharing": sharing})
    made = claimed(spec, AcceleratorSettings(shared_resource=resource))
    assert made.parts.limits == {resource: "1"}
    assert [item["values"] for item in made.parts.node_requirements] == [[label]]
    assert len(made.warnings) == warnings
