"""Cards by number, which nobody reserves."""

import pytest

from pantala.accelerators import registry
from pantala.accelerators.base import NoUtilization
from pantala.api.accelerator import Accelerator
from tests.accelerators.claims import claimed, node, offered

UUID = "GPU-9aec1f33-2c0f-4a8e-8d1c-7b7d9f0e4a11"


@pytest.mark.parametrize("devices", [["0"], ["0", "1"], [UUID]])
def test_the_variable_names_the_cards(devices: list[str]) -> None:
    """The server sees these cards by a variable, asks for no resource, and the user is told that nobody reserves them."""
    made = claimed({"provider": "visible-devices", "devices": devices})
    assert made.parts.env == ({"name": "NVIDIA_VISIBLE_DEVICES", "value": ",".join(devices)},)
    assert (made.parts.limits, made.cards) == ({}, len(devices))
    assert ["nobody reserves these cards" in text for text in made.warnings] == [True]
    assert [(it.asked, it.amount) for it in made.grants] == [(str(len(devices)), len(devices))]


def test_nothing_can_be_counted() -> None:
    """No node offers such cards, and DCGM does not know whose they are."""
    spec = Accelerator(provider="visible-devices", devices=("0",))
    assert isinstance(registry.PROVIDERS["visible-devices"].utilization(spec), NoUtilization)
    assert offered("visible-devices", node({"nvidia.com/gpu": "2"})) == {}
