"""Rows, sums and notes where the golden files of tests/cli/test_gpus_output.py do not tell enough."""

import random
from typing import Any

import pytest

from pantala.accelerators import notes
from pantala.accelerators.devices import devices
from pantala.accelerators.inventory import rows, totals
from pantala.accelerators.rows import Row
from pantala.accelerators.taken import taken
from pantala.manifest.settings import AcceleratorSettings
from pantala.manifest.words import some
from tests.cli.fleet import ALIYUN, CLAIMS, HAMI, NODES, PODS, SLICES, device, hami_register, node, pod, resource_slice

Object = dict[str, Any]
MEMORY = "nvidia.com/gpumem"
SETTINGS = AcceleratorSettings()


def counted(nodes: list[Object], pods: list[Object], settings: AcceleratorSettings = SETTINGS) -> list[Row]:
    """The rows of some nodes and pods."""
    return rows(nodes, [one for made in pods if (one := taken(made)) is not None], [], settings)


def texts(nodes: list[Object], pods: list[Object] | None = None) -> list[str]:
    """The notes of some nodes."""
    held = [one for made in pods or () if (one := taken(made)) is not None]
    return [note.text for note in notes.of_nodes(nodes, counted(nodes, pods or []), held, [])]


def test_order_means_nothing() -> None:
    """Whatever the order of the objects is, the rows and the notes are the same."""

    def all_of(nodes: list[Object], pods: list[Object]) -> object:
        held = [one for made in pods if (one := taken(made)) is not None]
        offered = devices(SLICES, CLAIMS)
        found = rows(nodes, held, offered, SETTINGS)
        return found, totals(found, frozenset()), notes.of_nodes(nodes, found, held, offered)

    nodes, pods = list(NODES), list(PODS)
    expected = all_of(nodes, pods)
    for seed in range(5):
        random.Random(seed).shuffle(nodes)
        random.Random(seed).shuffle(pods)
        assert all_of(nodes, pods) == expected


def test_shares_are_of_one_card() -> None:
    """Two cards that are half free have half of a card for a pod, not a whole one."""
    hami = node("n", {"nvidia.com/gpu": "20"}, annotations={"hami.io/node-nvidia-register": hami_register(1000, 1000)})
    pods = [
        pod("a", "n", annotations={HAMI: "GPU-h0,NVIDIA,600,0:;"}),
        pod("b", "n", annotations={HAMI: "GPU-h1,NVIDIA,400,0:;"}),
    ]
    (row,) = [row for row in counted([hami], pods) if row.resource == MEMORY]
    assert (row.total, row.taken, row.free, row.free_on_one) == (2000, 1000, 1000, 600)


def test_cards_are_told_apart_only_if_all_are() -> None:
    """While the card of one pod is not known, nobody says how much is free on one."""
    aliyun = node("n", {"aliyun.com/gpu-mem": "30", "aliyun.com/gpu-count": "2"})
    known = pod("a", "n", {"aliyun.com/gpu-mem": "10"}, annotations={ALIYUN: "0"})
    (row,) = counted([aliyun], [known])
    assert (row.free, row.free_on_one) == (20, 15)
    (row,) = counted([aliyun], [known, pod("b", "n", {"aliyun.com/gpu-mem": "4"})])
    assert (row.free, row.free_on_one) == (16, None)


def test_other_names() -> None:
    """Resources that were given other names are counted by them, card by card as well."""
    settings = AcceleratorSettings(resource_names={"nvidia.com/gpu": "x.com/card", MEMORY: "x.com/mib"})
    hami = node("n", {"x.com/card": "10"}, annotations={"hami.io/node-nvidia-register": hami_register(1000)})
    held = pod("a", "n", {"x.com/card": "1"}, annotations={HAMI: "GPU-h0,NVIDIA,600,20:;"})
    found = {row.resource: (row.taken, row.free) for row in counted([hami], [held], settings)}
    assert found == {"x.com/card": (1, 9), "x.com/mib": (600, 400), "nvidia.com/gpucores": (20, 80)}


@pytest.mark.parametrize("register", ["", "[", "null", '[{"id":1}]', "GPU-h0,10", '{"id":"GPU-h0"}', "[1, null]"])
@pytest.mark.parametrize("name", ["hami.io/node-nvidia-register", "volcano.sh/node-vgpu-register"])
def test_malformed_registers(name: str, register: str) -> None:
    """A node whose device plugin writes nonsense offers what Kubernetes knows, or nothing; the others are counted."""
    bad = node("bad", {"nvidia.com/gpu": "20"}, annotations={name: register})
    found = counted([bad, node("good", {"nvidia.com/gpu": "2"})], [pod("a", "bad", annotations={HAMI: register})])
    assert [(row.node, row.total, row.free) for row in found if row.node == "good"] == [("good", 2, 2)]
    if name.startswith("hami"):
        assert any("tells of no card that works" in text for text in texts([bad]))


def test_taken_beyond_what_there_is() -> None:
    """A node that lost cards has none left, not fewer than none, and it is told."""
    found = counted([node("n", {"nvidia.com/gpu": "1"})], [pod("a", "n", {"nvidia.com/gpu": "2"})])
    assert [(row.taken, row.free) for row in found] == [(2, 0)]
    assert texts([node("n", {"nvidia.com/gpu": "1"})], [pod("a", "n", {"nvidia.com/gpu": "2"})]) == [
        "2 nvidia.com/gpu are taken of 1: pods hold what the node has no more"
    ]


def test_devices_that_nobody_gets() -> None:
    """A device that is tainted is not taken, and not free either; the node's notes say why the sum does not come out."""
    broken, fine = device("gpu-0", type="gpu"), device("gpu-1", type="gpu")
    broken["taints"] = [{"key": "gpu.nvidia.com/unhealthy", "effect": "NoExecute"}]
    fine["allowMultipleAllocations"] = True
    offered = devices([resource_slice("a", "n", [broken, fine])], [])
    (row,) = found = rows([], [], offered, SETTINGS)
    assert (row.node, row.total, row.taken, row.free) == ("n", 2, 0, 1)
    assert [note.text for note in notes.of_nodes([], found, [], offered)] == [
        "1 of 2 gpu.nvidia.com can be had by nobody: they are tainted, or parts of what is taken",
        "1 of 2 gpu.nvidia.com may be shared by claims; as soon as one has a device, it counts as taken",
    ]


def test_not_ready() -> None:
    """What a node has that does not answer is counted, and told to be out of reach."""
    made = node("n", {"nvidia.com/gpu": "4"})
    made["status"]["conditions"] = [{"type": "Ready", "status": "Unknown"}]
    made["spec"]["taints"] = [{"key": "node.kubernetes.io/unreachable", "effect": "NoSchedule"}]
    assert texts([made]) == ["not ready, so no new pods: kubectl describe node"]
    (total,) = totals(counted([made], []), frozenset({"n"}))
    assert (total.free, total.closed) == (4, 4)


def test_own_card_is_not_seen_by_stealth() -> None:
    """A container that names cards beside asking for one of the node's is no pod that nobody knows of; beside another is."""
    gpu = node("n", {"nvidia.com/gpu": "4"})
    asks = pod("asks", "n", {"nvidia.com/gpu": "1"}, sees="0")
    other = pod("other", "n", {"example.com/nic": "1"}, sees="0")
    assert [row.taken for row in counted([gpu], [asks]) if row.provider == "visible-devices"] == []
    assert [row.holders[0].pod for row in counted([gpu], [other]) if row.total is None] == ["gpus/other"]


def test_cards_that_nobody_offers() -> None:
    """A node whose labels tell of cards is told to lack a device plugin, unless what a driver offers may not be looked at."""
    bare = node("n", labels={"nvidia.com/gpu.present": "true"})
    assert texts([bare]) == ["cards, by the labels, that nobody offers: is a device plugin running there?"]
    assert notes.of_nodes([bare], [], [], None) == []


def test_names_of_many() -> None:
    """Of many names some are told, and how many more there are."""
    assert some(["a", "b", "c"], notes.SOME) == "a, b, c"
    assert some(["a", "b", "c", "d", "e"], notes.SOME) == "a, b, c and 2 more"
