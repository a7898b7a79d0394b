"""Aliyun's shares of memory, which nothing keeps."""

import pytest

from pantala.accelerators import registry
from pantala.accelerators.base import Memory, NoUtilization, Offer
from pantala.api.accelerator import Accelerator
from pantala.manifest.settings import AcceleratorSettings
from tests.accelerators.claims import claimed, node, offered, offering

MEMORY = "aliyun.com/gpu-mem"


@pytest.mark.parametrize(
    ("unit", "asked", "amount", "granted"),
    [
        ("GiB", "3Gi", 3, 3 << 30),
        ("GiB", "3000Mi", 3, 3 << 30),
        ("GiB", "3073Mi", 4, 4 << 30),
        ("MiB", "8138Mi", 8138, 8138 << 20),
        ("MiB", "1G", 954, 954 << 20),
    ],
)
def test_memory_of_one_card(unit: str, asked: str, amount: int, granted: int) -> None:
    """Memory is counted in the installation's unit, rounded up; nothing keeps the replica to it, and the user is told."""
    made = claimed({"provider": "aliyun", "memoryPerCard": asked}, AcceleratorSettings(aliyun_unit=unit))
    assert (made.parts.limits, made.cards) == ({MEMORY: str(amount)}, 1)
    assert made.memory == Memory(granted, enforced=False)
    assert [text.split(":")[0] for text in made.warnings] == ["accelerator.memoryPerCard"]


def test_who_measures() -> None:
    """Nobody measures a share that nobody keeps."""
    assert isinstance(registry.PROVIDERS["aliyun"].utilization(Accelerator(provider="aliyun")), NoUtilization)


@pytest.mark.parametrize("unit", ["GiB", "MiB"])
def test_what_a_node_offers(unit: str) -> None:
    """Each card has its part of the node's memory; no share of it may be larger."""
    it = node({MEMORY: "30", "aliyun.com/gpu-count": "2"}, {"nvidia.com/gpu.product": "Tesla-T4"})
    found = offered("aliyun", it, AcceleratorSettings(aliyun_unit=unit))
    assert list(found.values()) == [Offer("aliyun", MEMORY, 30, unit, "Tesla-T4", 2, 15)]
    assert offering(it) == {"aliyun"}


def test_a_node_that_does_not_count_its_cards() -> None:
    """Without the number of cards only the sum is known; without memory there is nothing."""
    assert list(offered("aliyun", node({MEMORY: "30"})).values()) == [Offer("aliyun", MEMORY, 30, "GiB")]
    assert offered("aliyun", node({MEMORY: "0", "aliyun.com/gpu-count": "2"})) == {}
