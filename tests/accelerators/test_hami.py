"""HAMi's shares, annotations, and what its nodes say."""

import json
from typing import Any

import pytest

from pantala.accelerators import registry
from pantala.accelerators.base import Memory, NoUtilization, Offer, Utilization
from pantala.api.accelerator import Accelerator
from pantala.manifest.settings import AcceleratorSettings
from tests.accelerators.claims import claimed, node, offered, offering

REGISTER = "hami.io/node-nvidia-register"
V100 = "NVIDIA-Tesla V100-PCIE-32GB"
CARDS: list[dict[str, Any]] = [
    {"id": "GPU-00552014", "count": 10, "devmem": 32768, "devcore": 100, "type": V100, "mode": "hami-core", "health": True},
    {"id": "GPU-0fc3eda5", "index": 1, "count": 10, "devmem": 16384, "devcore": 100, "type": V100, "health": True},
]  # fmt: skip
JSON = json.dumps(CARDS)
TEXT = f"GPU-00552014,10,32768,100,{V100},0,true:GPU-0fc3eda5,10,16384,100,{V100},0,true,1,hami-core:"
OFFERS = [
    Offer("hami", "nvidia.com/gpu", 20, "shares", V100, 2, 10),
    Offer("hami", "nvidia.com/gpumem", 49152, "MiB", V100, 2, 32768),
    Offer("hami", "nvidia.com/gpucores", 200, "%", V100, 2, 100),
]


@pytest.mark.parametrize(
    ("asked", "limits"),
    [
        ({}, {"nvidia.com/gpu": "1", "nvidia.com/gpucores": "100"}),
        ({"count": 2, "memoryPercent": 100}, {"nvidia.com/gpumem-percentage": "100", "nvidia.com/gpucores": "100"}),
        ({"memoryPerCard": "8Gi"}, {"nvidia.com/gpu": "1", "nvidia.com/gpumem": "8192"}),
        ({"memoryPerCard": "1500M"}, {"nvidia.com/gpu": "1", "nvidia.com/gpumem": "1431"}),
        ({"memoryPercent": 30}, {"nvidia.com/gpu": "1", "nvidia.com/gpumem-percentage": "30"}),
        ({"corePercent": 30}, {"nvidia.com/gpu": "1", "nvidia.com/gpucores": "30"}),
        ({"mode": "MIG"}, {"nvidia.com/gpu": "1"}),
    ],
)
def test_shares_are_limits(asked: dict[str, Any], limits: dict[str, str]) -> None:
    """Memory and compute of each card are plain integers; where neither is asked for, all of the card is the pod's own."""
    made = claimed({"provider": "hami", **asked})
    assert made.parts.limits == {"nvidia.com/gpu": str(asked.get("count", 1)), **limits}
    assert made.parts.scheduler_name is None


def test_choices_are_annotations() -> None:
    """Kinds of cards, cards, mode and policies are annotations, whose lists have no blanks."""
    uuids = [f"GPU-0000000{number}-0000-0000-0000-000000000000" for number in (1, 2)]
    made = claimed(
        {
            "provider": "hami",
            "count": 2,
            "cardType": {"allow": ["A100", "Tesla V100"], "deny": ["T4"]},
            "devices": uuids,
            "mode": "HAMiCore",
            "nodePolicy": "Binpack",
            "cardPolicy": "TopologyAware",
        }
    )
    assert made.parts.annotations == {
        "nvidia.com/use-gputype": "A100,Tesla V100",
        "nvidia.com/nouse-gputype": "T4",
        "nvidia.com/use-gpuuuid": ",".join(uuids),
        "nvidia.com/vgpu-mode": "hami-core",
        "hami.io/node-scheduler-policy": "binpack",
        "hami.io/gpu-scheduler-policy": "topology-aware",
    }


def test_what_is_kept() -> None:
    """The library keeps the memory; compute is capped beside busy neighbours only, which is said with the next step."""
    made = claimed({"provider": "hami", "memoryPerCard": "8Gi", "corePercent": 50})
    assert made.memory == Memory(8 << 30, enforced=True)
    assert [text.split(":")[0] for text in made.warnings] == ["accelerator.corePercent"]
    assert claimed({"provider": "hami", "memoryPercent": 50}).memory is None
    assert claimed({"provider": "hami", "corePercent": 100}).warnings == ()


@pytest.mark.parametrize(("value", "env"), [(True, ["true"]), (False, [])])
def test_oversubscribed_memory(value: bool, env: list[str]) -> None:  # noqa: FBT001 - the field's value
    """Memory beyond the card's is switched on by a variable of the library, and the user is told what it costs."""
    made = claimed({"provider": "hami", "memoryPerCard": "8Gi", "oversubscribe": value})
    assert [it["value"] for it in made.parts.env if it["name"] == "CUDA_OVERSUBSCRIBE"] == env
    assert len(made.warnings) == len(env)


@pytest.mark.parametrize(("core", "scale"), [(None, 1), (100, 1), (25, 4)])
def test_who_measures(core: int | None, scale: float) -> None:
    """The monitor counts in percent of the card, so that a quarter of a card that is busy reads 25."""
    found = registry.PROVIDERS["hami"].utilization(Accelerator(provider="hami", core_percent=core))
    assert isinstance(found, Utilization)
    assert found.scale == scale
    slices = registry.PROVIDERS["hami"].utilization(Accelerator(provider="hami", mode="MIG"))
    assert isinstance(slices, NoUtilization)


@pytest.mark.parametrize("register", [JSON, TEXT], ids=["json", "text"])
def test_what_a_node_offers(register: str) -> None:
    """The register is read as new and as old versions write it; the node is HAMi's, and not NVIDIA's, plugin's."""
    it = node({"nvidia.com/gpu": "20"}, annotations={REGISTER: register})
    assert list(offered("hami", it).values()) == OFFERS
    assert offering(it) == {"hami"}


def test_other_names() -> None:
    """An installation's own names of the resources are those of its pods, too."""
    settings = AcceleratorSettings(resource_names={"nvidia.com/gpumem": "example.com/memory"})
    found = offered("hami", node(annotations={REGISTER: JSON}), settings)
    assert set(found) == {"nvidia.com/gpu", "example.com/memory", "nvidia.com/gpucores"}


UNREADABLE = ["", "[", "{}", "null", "[null, 1, []]", '["x"]', ":", "GPU-1,10:", "GPU-1,a,b,c,d,e,f:", "[" * 2000]
UNREADABLE += ['[{"health": 1}]', json.dumps([CARDS[0] | {"health": False}]), TEXT.replace("true", "false")]


@pytest.mark.parametrize("register", UNREADABLE)
def test_what_nobody_can_read(register: str) -> None:
    """A register that is broken, empty, or of cards that do not work offers nothing, and its cards are nobody else's."""
    assert offering(node({"nvidia.com/gpu": "20"}, annotations={REGISTER: register})) == set()


def test_odd_numbers_count_as_nothing() -> None:
    """A figure that is no number is none, and does not take the others with it."""
    cards = [CARDS[0] | {"devmem": -1, "devcore": 10**13, "type": None}]
    found = offered("hami", node(annotations={REGISTER: json.dumps(cards)}))
    assert {name: offer.total for name, offer in found.items()} == {
        "nvidia.com/gpu": 10,
        "nvidia.com/gpumem": 0,
        "nvidia.com/gpucores": 0,
    }


def test_a_plugin_that_left() -> None:
    """After HAMi's device plugin has gone its register stays, and the cards are NVIDIA's plugin's again."""
    notes = {REGISTER: JSON, "hami.io/node-handshake": "Deleted_2026-01-02 03:04:05"}
    assert offering(node({"nvidia.com/gpu": "2"}, annotations=notes)) == {"nvidia"}
