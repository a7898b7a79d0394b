"""Slices of cards, a resource for each profile or one for all."""

import pytest

from pantala.accelerators import registry
from pantala.accelerators.base import Memory, Offer, Utilization
from pantala.api.accelerator import Accelerator
from pantala.manifest.types import Manifest
from tests.accelerators.claims import claimed, node, offered, offering

A100 = {"nvidia.com/gpu.product": "NVIDIA-A100-SXM4-40GB", "nvidia.com/mig.strategy": "mixed"}
SLICED = {
    "nvidia.com/gpu.product": "A100-SXM4-40GB-MIG-1g.5gb",
    "nvidia.com/gpu.slices.gi": "1",
    "nvidia.com/gpu.memory": "4864",
    "nvidia.com/mig.strategy": "single",
}


def matches(requirements: tuple[Manifest, ...], labels: dict[str, str]) -> bool:
    """Whether a node with these labels may get the pod, as the scheduler decides it."""
    ways = {
        "In": lambda has, values: has in values,
        "NotIn": lambda has, values: has not in values,
        "Gt": lambda has, values: has is not None and int(has) > int(values[0]),
        "Lt": lambda has, values: has is not None and int(has) < int(values[0]),
    }
    return all(ways[it["operator"]](labels.get(it["key"]), it["values"]) for it in requirements)


@pytest.mark.parametrize(
    ("profile", "resource"),
    [
        ("1g.10gb", "nvidia.com/mig-1g.10gb"),
        ("1g.5gb+me", "nvidia.com/mig-1g.5gb.me"),
        ("1g.24gb+me.all", "nvidia.com/mig-1g.24gb.me.all"),
        ("1g.24gb-me", "nvidia.com/mig-1g.24gb-me"),
    ],
)
def test_a_resource_for_each_profile(profile: str, resource: str) -> None:
    """Strategy Mixed has a resource of the profile's name, whose plus signs are dots."""
    made = claimed({"provider": "mig", "profile": profile})
    assert (made.parts.limits, made.cards, made.warnings) == ({resource: "1"}, 1, ())
    assert [it["key"] for it in made.parts.node_requirements] == [f"{resource}.sharing-strategy"]


# GiB of a slice as `nvidia-smi mig -lgip` prints them: of A30, A100-40, A100-80, H100-94 and H200.
PRINTED = {
    "1g.6gb": 5.81,
    "2g.12gb": 11.69,
    "4g.24gb": 23.5,
    "1g.5gb": 4.75,
    "2g.10gb": 9.75,
    "3g.20gb": 19.62,
    "1g.10gb": 9.5,
    "1g.12gb": 10.62,
    "1g.24gb": 21.5,
    "1g.18gb": 16.0,
    "2g.35gb": 32.5,
    "7g.141gb": 140.0,
}


@pytest.mark.parametrize(("profile", "memory"), PRINTED.items())
def test_one_resource_for_all(profile: str, memory: float) -> None:
    """Strategy Single finds the nodes with such slices, and not those with others, by the figures on their labels."""
    made = claimed({"provider": "mig", "profile": profile, "strategy": "Single", "count": 1})
    assert made.parts.limits == {"nvidia.com/gpu": "1"}
    slices, mebibytes = int(profile[0]), int(memory * 1024)
    labels = SLICED | {"nvidia.com/gpu.slices.gi": str(slices), "nvidia.com/gpu.memory": str(mebibytes)}
    assert matches(made.parts.node_requirements, labels)
    for other in (
        {"nvidia.com/gpu.slices.gi": str(slices + 1)},
        {"nvidia.com/gpu.memory": str(mebibytes * 2)},
        {"nvidia.com/gpu.memory": str(mebibytes // 2)},
        {"nvidia.com/gpu.memory": "0"},
        {"nvidia.com/gpu.sharing-strategy": "time-slicing"},
        {"nvidia.com/mig.strategy": "mixed"},
    ):
        assert not matches(made.parts.node_requirements, labels | other), other


@pytest.mark.parametrize("other", PRINTED)
@pytest.mark.parametrize("profile", PRINTED)
def test_no_other_slice(profile: str, other: str) -> None:
    """The window of memory around a profile holds its own slices and no others of those that cards have."""
    labels = SLICED | {"nvidia.com/gpu.slices.gi": other[0], "nvidia.com/gpu.memory": str(int(PRINTED[other] * 1024))}
    made = claimed({"provider": "mig", "profile": profile, "strategy": "Single"})
    assert matches(made.parts.node_requirements, labels) == (profile == other)


def test_what_to_know() -> None:
    """Several slices need several processes, and what follows the memory in a profile is on no label."""
    made = claimed({"provider": "mig", "profile": "1g.10gb+me", "strategy": "Single", "count": 2})
    assert [text.split(":")[0] for text in made.warnings] == ["accelerator.count", "accelerator.profile"]
    assert "+me in 1g.10gb+me" in made.warnings[1]
    assert (made.memory, made.cards) == (Memory(10 << 30, enforced=True), 2)


def test_who_measures() -> None:
    """DCGM says of each slice what part of the time it worked."""
    found = registry.PROVIDERS["mig"].utilization(Accelerator(provider="mig", profile="1g.10gb"))
    assert isinstance(found, Utilization)
    assert (found.series, found.scale) == ("DCGM_FI_PROF_GR_ENGINE_ACTIVE", 100)


@pytest.mark.parametrize(
    ("it", "offers"),
    [
        (
            node({"nvidia.com/mig-1g.5gb": "4", "nvidia.com/mig-3g.20gb": "1", "nvidia.com/gpu": "1"}, A100),
            [
                Offer("mig", "nvidia.com/mig-1g.5gb", 4, "slices", "NVIDIA-A100-SXM4-40GB"),
                Offer("mig", "nvidia.com/mig-3g.20gb", 1, "slices", "NVIDIA-A100-SXM4-40GB"),
            ],
        ),
        (
            node({"nvidia.com/gpu": "7"}, SLICED),
            [Offer("mig", "nvidia.com/gpu", 7, "slices", "A100-SXM4-40GB-MIG-1g.5gb")],
        ),
        (node({"nvidia.com/gpu": "14"}, SLICED | {"nvidia.com/gpu.sharing-strategy": "time-slicing"}), []),
        (node({"nvidia.com/mig-1g.5gb.shared": "8"}, A100), []),
        (
            node({"nvidia.com/mig-1g.5gb": "8"}, A100 | {"nvidia.com/mig-1g.5gb.sharing-strategy": "time-slicing"}),
            [],
        ),
        (node({"nvidia.com/mig-1g.5gb": "0"}, A100), []),
        (node({"nvidia.com/gpu": "2"}, {"nvidia.com/mig.strategy": "single"}), []),
    ],
    ids=["mixed", "single", "single-shared", "mixed-renamed", "mixed-shared", "none", "cards"],
)
def test_what_a_node_offers(it: Manifest, offers: list[Offer]) -> None:
    """Slices as the node advertises them, and none that are shared in turn."""
    assert list(offered("mig", it).values()) == offers
    assert ("mig" in offering(it)) == bool(offers)


def test_slices_are_not_cards() -> None:
    """A node whose nvidia.com/gpu are slices has no cards, and one whose cards are whole has no slices."""
    assert offering(node({"nvidia.com/gpu": "7"}, SLICED)) == {"mig"}
    assert offering(node({"nvidia.com/gpu": "2"}, {"nvidia.com/mig.strategy": "single"})) == {"nvidia"}
