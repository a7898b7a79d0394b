"""Whole cards, time slices and MPS shares."""

import pytest

from pantala.accelerators import registry
from pantala.accelerators.base import NoUtilization, Offer, Utilization
from pantala.api.accelerator import Accelerator
from pantala.manifest.settings import AcceleratorSettings
from pantala.manifest.types import Manifest
from tests.accelerators.claims import claimed, node, offered, offering

T4 = {"nvidia.com/gpu.product": "Tesla-T4", "nvidia.com/gpu.count": "2", "nvidia.com/gpu.memory": "15360"}
SINGLE = {"nvidia.com/mig.strategy": "single"}


@pytest.mark.parametrize("count", [1, 2, 64])
def test_cards_are_limits(count: int) -> None:
    """Whole cards are a limit of nvidia.com/gpu, on nodes where such a card is not a share or a slice."""
    made = claimed({"provider": "nvidia", "count": count})
    assert (made.parts.limits, made.cards, made.parts.env) == ({"nvidia.com/gpu": str(count)}, count, ())
    assert {item["key"]: item["operator"] for item in made.parts.node_requirements} == {
        "nvidia.com/gpu.sharing-strategy": "NotIn",
        "nvidia.com/gpu.slices.gi": "DoesNotExist",
    }


@pytest.mark.parametrize(("sharing", "label", "warnings"), [("TimeSlicing", "time-slicing", 1), ("MPS", "mps", 0)])
@pytest.mark.parametrize("resource", ["nvidia.com/gpu.shared", "nvidia.com/gpu"])
def test_shares_are_one_replica(sharing: str, label: str, warnings: int, resource: str) -> None:
    """One share, by the name that the device plugin gives it, on nodes that share in this way."""
    made = claimed({"provider": "nvidia", "sharing": sharing}, AcceleratorSettings(shared_resource=resource))
    assert made.parts.limits == {resource: "1"}
    assert [item.get("values") for item in made.parts.node_requirements] == [[label], None]
    assert len(made.warnings) == warnings


def test_who_measures() -> None:
    """DCGM measures whole cards; of a share nobody says how busy it is."""
    provider = registry.PROVIDERS["nvidia"]
    assert isinstance(provider.utilization(Accelerator(provider="nvidia")), Utilization)
    assert isinstance(provider.utilization(Accelerator(provider="nvidia", sharing="MPS")), NoUtilization)


@pytest.mark.parametrize(
    ("it", "offers"),
    [
        (node({"nvidia.com/gpu": "2"}, T4), [Offer("nvidia", "nvidia.com/gpu", 2, "cards", "Tesla-T4", 2)]),
        # The GPU Operator says `single` of every node, whether its cards can be cut or not.
        (node({"nvidia.com/gpu": "2"}, T4 | SINGLE), [Offer("nvidia", "nvidia.com/gpu", 2, "cards", "Tesla-T4", 2)]),
        (
            node({"nvidia.com/gpu": "1", "nvidia.com/mig-1g.5gb": "7"}, T4 | {"nvidia.com/mig.strategy": "mixed"}),
            [Offer("nvidia", "nvidia.com/gpu", 1, "cards", "Tesla-T4", 1)],
        ),
        (node({"nvidia.com/gpu": "2"}), [Offer("nvidia", "nvidia.com/gpu", 2, "cards", "", 2)]),
        (
            node({"nvidia.com/gpu.shared": "1k"}, T4 | {"nvidia.com/gpu.sharing-strategy": "time-slicing"}),
            [Offer("nvidia", "nvidia.com/gpu.shared", 1000, "shares", "Tesla-T4", 2)],
        ),
        (node({"nvidia.com/gpu": "0"}, T4), []),
        (node({"nvidia.com/gpu": "seven"}, T4), []),
        (node({"nvidia.com/gpu": "7"}, SINGLE | {"nvidia.com/gpu.slices.gi": "1"}), []),
        (node({"nvidia.com/gpu": "20"}, T4, {"hami.io/node-nvidia-register": "[]"}), []),
        ({"metadata": {"name": "new"}}, []),
    ],
    ids=[
        "cards",
        "mig-strategy-only",
        "some-cut",
        "unlabelled",
        "shared",
        "none",
        "no-number",
        "slices",
        "hami",
        "empty",
    ],
)
def test_what_a_node_offers(it: Manifest, offers: list[Offer]) -> None:
    """Cards or shares as the node advertises them, and nothing where another provider hands them out by the same name."""
    assert list(offered("nvidia", it).values()) == offers
    assert ("nvidia" in offering(it)) == bool(offers)


def test_cards_beside_renamed_ones_of_hami() -> None:
    """Where HAMi calls its cards something else, nvidia.com/gpu is NVIDIA's own, also on a node of HAMi's."""
    names = AcceleratorSettings(resource_names={"nvidia.com/gpu": "hami.io/gpu"})
    it = node({"nvidia.com/gpu": "2", "hami.io/gpu": "20"}, T4, {"hami.io/node-nvidia-register": "[]"})
    assert offered("nvidia", it) == {}
    assert offered("nvidia", it, names) == {
        "nvidia.com/gpu": Offer("nvidia", "nvidia.com/gpu", 2, "cards", "Tesla-T4", 2)
    }
