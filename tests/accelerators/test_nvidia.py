"""Cards, and their absence."""

import pytest

from pantala.accelerators import registry
from pantala.api.pod import Accelerator
from pantala.manifest.types import PodParts


@pytest.mark.parametrize("count", [1, 2, 64])
def test_cards_are_limits(count: int) -> None:
    """Whole cards are a limit of nvidia.com/gpu; the plugin sets the rest."""
    assert registry.claim(Accelerator(provider="nvidia", count=count)) == PodParts(
        limits={"nvidia.com/gpu": str(count)}
    )


def test_without_cards_none_are_seen() -> None:
    """An image that asks for all cards by its environment sees none unless the resource asks."""
    assert registry.claim(None) == PodParts(env=({"name": "NVIDIA_VISIBLE_DEVICES", "value": "void"},))


def test_unknown_provider() -> None:
    """A provider without a module is an error."""
    with pytest.raises(KeyError):
        registry.get("abacus")
