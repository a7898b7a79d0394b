"""Volcano's shares, its scheduler, and what its nodes say."""

from typing import Any

import pytest

from pantala.accelerators import registry
from pantala.accelerators.base import Memory, NoUtilization, Offer, Utilization
from pantala.api.accelerator import Accelerator
from tests.accelerators.claims import claimed, node, offered, offering

REGISTER = "volcano.sh/node-vgpu-register"
RTX = "NVIDIA-NVIDIA GeForce RTX 2060"
TWO = f"GPU-aa,10,6144,{RTX},true,hami-core:GPU-bb,10,6144,{RTX},true,hami-core:"


@pytest.mark.parametrize(
    ("asked", "limits"),
    [
        ({}, {}),
        ({"count": 2, "memoryPerCard": "3000Mi", "corePercent": 50}, {"vgpu-memory": "3000", "vgpu-cores": "50"}),
        ({"memoryPerCard": "66049Ki", "corePercent": 1}, {"vgpu-memory": "65", "vgpu-cores": "1"}),
    ],
)
def test_shares_are_limits(asked: dict[str, Any], limits: dict[str, str]) -> None:
    """Cards, memory and compute are plain integers, and Volcano's scheduler is named, since no webhook does it."""
    made = claimed({"provider": "volcano", **asked})
    expected = {"vgpu-number": str(asked.get("count", 1)), **limits}
    assert made.parts.limits == {f"volcano.sh/{name}": amount for name, amount in expected.items()}
    assert made.parts.scheduler_name == "volcano"


def test_choices_are_annotations() -> None:
    """The mode and the kinds of cards are annotations."""
    made = claimed(
        {"provider": "volcano", "mode": "MIG", "memoryPerCard": "3Gi", "cardType": {"allow": ["A100", "H100"]}}
    )
    assert made.parts.annotations == {"volcano.sh/vgpu-mode": "mig", "nvidia.com/use-gputype": "A100,H100"}
    assert made.memory == Memory(3 << 30, enforced=True)
    assert claimed({"provider": "volcano"}).parts.annotations == {}


def test_who_measures() -> None:
    """The device plugin counts in percent of the card, under HAMi's old names."""
    found = registry.PROVIDERS["volcano"].utilization(Accelerator(provider="volcano", core_percent=50))
    assert found == Utilization("Device_utilization_desc_of_container", 1.0, "podname", "podnamespace", granted=50)
    assert isinstance(
        registry.PROVIDERS["volcano"].utilization(Accelerator(provider="volcano", mode="MIG")), NoUtilization
    )


def test_what_a_node_offers() -> None:
    """The register says what each card has, and cards that do not work count for nothing."""
    it = node(annotations={REGISTER: TWO + f"GPU-cc,10,24576,{RTX},false,hami-core:"})
    assert list(offered("volcano", it).values()) == [
        Offer("volcano", "volcano.sh/vgpu-number", 20, "shares", RTX, 2, 10),
        Offer("volcano", "volcano.sh/vgpu-memory", 12288, "MiB", RTX, 2, 6144),
        Offer("volcano", "volcano.sh/vgpu-cores", 200, "%", RTX, 2, 100),
    ]
    assert offering(it) == {"volcano"}


@pytest.mark.parametrize(
    "notes",
    [
        {},
        {REGISTER: ""},
        {REGISTER: "GPU-aa,10:"},
        {REGISTER: ",,,,:"},
        {REGISTER: TWO, "volcano.sh/node-vgpu-handshake": "Deleted_2026.01.02 03:04:05"},
    ],
)
def test_without_a_register(notes: dict[str, str]) -> None:
    """Where the register is missing, broken or stale, what the node advertises counts, and it is in the API server's words."""
    found = offered(
        "volcano", node({"volcano.sh/vgpu-number": "20", "volcano.sh/vgpu-memory": "98k"}, annotations=notes)
    )
    assert {name: (offer.total, offer.cards) for name, offer in found.items()} == {
        "volcano.sh/vgpu-number": (20, 0),
        "volcano.sh/vgpu-memory": (98000, 0),
    }
    assert offered("volcano", node(annotations=notes)) == {}
