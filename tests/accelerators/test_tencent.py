"""Tencent's whole cards and shares of one."""

import pytest

from pantala.accelerators import registry
from pantala.accelerators.base import Grant, Memory, Offer, Utilization
from pantala.api.accelerator import Accelerator
from tests.accelerators.claims import claimed, node, offered, offering

CORE, MEMORY, LIMIT = "tencent.com/vcuda-core", "tencent.com/vcuda-memory", "tencent.com/vcuda-core-limit"


@pytest.mark.parametrize("core", [{}, {"corePercent": 100}])
@pytest.mark.parametrize("count", [1, 3])
def test_whole_cards(count: int, core: dict[str, int]) -> None:
    """Whole cards are hundreds of compute; their memory comes with them."""
    made = claimed({"provider": "tencent", "count": count, **core})
    assert (made.parts.limits, made.cards, made.memory) == ({CORE: str(100 * count)}, count, None)


@pytest.mark.parametrize(("asked", "blocks"), [("8Gi", 32), ("7680Mi", 30), ("7681Mi", 31), ("64Mi", 1), ("1G", 4)])
def test_a_share_of_one_card(asked: str, blocks: int) -> None:
    """A share is percent of compute and blocks of 256 MiB, rounded up, which the library keeps."""
    made = claimed({"provider": "tencent", "corePercent": 50, "memoryPerCard": asked})
    assert made.parts.limits == {CORE: "50", MEMORY: str(blocks)}
    assert made.memory == Memory(blocks * (256 << 20), enforced=True)
    assert made.parts.annotations == {}


def test_idle_compute() -> None:
    """What a replica may take of idle compute is an annotation, and is shown beside what it is granted."""
    made = claimed({"provider": "tencent", "corePercent": 30, "memoryPerCard": "1000Mi", "coreLimit": 50})
    assert made.parts.annotations == {LIMIT: "50"}
    assert LIMIT not in made.parts.limits
    assert made.grants == (
        Grant(CORE, "30%", "30%", "1%", 30),
        Grant(MEMORY, "1000Mi", "1Gi", "256Mi", 4),
        Grant(LIMIT, "50%", "50%", "1%", 50),
    )


@pytest.mark.parametrize(("count", "core", "scale"), [(1, None, 1), (4, None, 0.25), (1, 50, 2)])
def test_who_measures(count: int, core: int | None, scale: float) -> None:
    """gpu-manager adds up the cards of a pod, so that four busy ones read 400."""
    found = registry.PROVIDERS["tencent"].utilization(Accelerator(provider="tencent", count=count, core_percent=core))
    assert isinstance(found, Utilization)
    assert (found.scale, dict(found.selector)) == (scale, {"gpu": "total"})


def test_what_a_node_offers() -> None:
    """Compute tells the number of cards, and memory is the same for each."""
    it = node({CORE: "1k", MEMORY: "630"}, {"gaia.tencent.com/gpu-model": "T4"})
    assert list(offered("tencent", it).values()) == [
        Offer("tencent", CORE, 1000, "%", "T4", 10, 100),
        Offer("tencent", MEMORY, 630, "256 MiB", "T4", 10, 63),
    ]
    assert offering(it) == {"tencent"}
    assert offered("tencent", node({CORE: "0", MEMORY: "0"})) == {}
