"""Which provider is meant, and what it cannot express."""

import pytest

from pantala.accelerators import registry
from pantala.accelerators.base import Claim
from pantala.api.accelerator import Accelerator
from pantala.manifest.settings import AcceleratorSettings
from pantala.manifest.types import Invalid

POOLS = AcceleratorSettings(provider="nvidia", pools=(({"pool": "shared"}, "hami"), ({"pool": "old"}, "tencent")))


@pytest.mark.parametrize(
    ("own", "selector", "provider"),
    [
        (None, {}, "nvidia"),
        (None, {"pool": "shared", "zone": "a"}, "hami"),
        (None, {"pool": "old"}, "tencent"),
        (None, {"pool": "new"}, "nvidia"),
        ("dra", {"pool": "shared"}, "dra"),
    ],
)
def test_default_provider(own: str | None, selector: dict[str, str], provider: str) -> None:
    """The spec's own choice, else that of the node pool, else that of the installation."""
    spec = Accelerator.model_validate({"provider": own} if own else {})
    assert registry.provider(spec, selector, POOLS) == provider


def test_what_the_default_cannot_express() -> None:
    """Where admission could not know the provider, its rules are asked now, and the message says whose choice it was."""
    refused = registry.claim(Accelerator.model_validate({"memoryPerCard": "8Gi"}), "nvidia", AcceleratorSettings())
    assert refused == Invalid(
        "NotExpressible",
        "accelerator.provider is not set, so the installation's nvidia is meant: memoryPerCard cannot be expressed by this"
        " provider: remove it, or use one that can (hami, volcano, tencent, aliyun).",
        "accelerator.memoryPerCard",
    )


def test_unknown_provider() -> None:
    """A provider without a module, which only the settings can name, is said with those that there are."""
    refused = registry.claim(Accelerator(), "abacus", AcceleratorSettings(provider="abacus"))
    assert isinstance(refused, Invalid)
    assert "there is no provider abacus; known are nvidia" in refused.message


@pytest.mark.parametrize(("provider", "name"), [("hami", "example.com/card"), ("nvidia", "nvidia.com/gpu")])
def test_other_names_of_resources(provider: str, name: str) -> None:
    """HAMi may have been given other names, so that it lives beside NVIDIA's plugin, which has none but its own."""
    settings = AcceleratorSettings(resource_names={"nvidia.com/gpu": "example.com/card"})
    made = registry.claim(Accelerator.model_validate({"provider": provider}), provider, settings)
    assert isinstance(made, Claim)
    assert name in made.parts.limits
    assert made.grants[0].resource == name


def test_without_cards_none_are_seen() -> None:
    """An image that asks for all cards by its environment sees none unless the resource asks."""
    assert registry.NO_CARDS.env == ({"name": "NVIDIA_VISIBLE_DEVICES", "value": "void"},)
