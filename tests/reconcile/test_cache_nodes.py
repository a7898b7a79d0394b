"""What the cache knows of nodes, and which news of them wakes which models."""

from typing import Any

import pytest

from pantala.cluster.cache import Cache
from pantala.cluster.objects import Key
from pantala.cluster.resources import MODEL, NODE, POD

WAITING, READY = {}, {"nodeName": "gpu-0"}
CARDS = {"provider": "nvidia"}


def model(name: str, **spec: Any) -> Any:
    meta = {"name": name, "namespace": "vision", "resourceVersion": "1"}
    return {"kind": "InferenceModel", "metadata": meta, "spec": {"versions": [{"name": "v1"}], **spec}}


def pod(owner: str, spec: Any) -> Any:
    labels = {"pantala.dev/model": owner, "pantala.dev/version": "v1"}
    meta = {"name": f"{owner}-0", "namespace": "vision", "resourceVersion": "1", "labels": labels}
    return {"kind": "Pod", "metadata": meta, "spec": {**spec, "schedulerName": "default-scheduler", "containers": []}}


def node(name: str = "gpu-0", beat: int = 0, **fields: Any) -> Any:
    """A Node as kubelet, HAMi's and NVIDIA's plugins write it; `beat` is all that a heartbeat changes."""
    annotations = {
        "hami.io/node-handshake": f"Requesting_2026-01-01 00:00:{beat:02}",
        "hami.io/node-nvidia-register": '[{"id":"GPU-0"}]',
        "volumes.kubernetes.io/controller-managed-attach-detach": "true",
    }
    labels = {"pool": "gpu", "nvidia.com/gfd.timestamp": str(beat)}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "resourceVersion": str(beat),
            "labels": labels | fields.get("labels", {}),
            "annotations": annotations | fields.get("annotations", {}),
        },
        "spec": {"podCIDR": "10.0.0.0/24", **fields.get("spec", {})},
        "status": {
            "allocatable": {"cpu": str(32 + beat), "nvidia.com/gpu": "8"} | fields.get("allocatable", {}),
            "conditions": [{"type": "Ready", "status": "True", "lastHeartbeatTime": str(beat)}],
            "images": [{"names": [str(beat)]}],
        },
    }


class World:
    """A cache with a model that waits for cards, one that has them, and one that waits for something else."""

    def __init__(self) -> None:
        self.woken: list[str] = []
        self.cache = Cache(lambda _: None, lambda key: self.woken.append(key.name))
        for name, spec, where in (
            ("waits", {"accelerator": CARDS}, WAITING),
            ("version", {"versions": [{"name": "v1", "accelerator": CARDS}]}, WAITING),
            ("runs", {"accelerator": CARDS}, READY),
            ("cores", {}, WAITING),
        ):
            self.cache.upsert(MODEL, model(name, **spec))
            self.cache.upsert(POD, pod(name, where))
        self.cache.apis(frozenset({NODE}))
        self.cache.replace(NODE, None, [node()])
        self.woken.clear()

    def told(self, obj: Any) -> list[str]:
        """Who is woken by news of a node."""
        self.woken.clear()
        self.cache.upsert(NODE, obj)
        return sorted(self.woken)

    def nodes(self) -> tuple[Any, ...] | None:
        """What a plan for the waiting model sees."""
        seen = self.cache.observe(Key("vision", "waits"))
        assert seen is not None
        return seen.nodes


@pytest.fixture
def world() -> World:
    return World()


def test_what_is_kept(world: World) -> None:
    """Labels, taints, extended resources and the vendors' registers; nothing that a heartbeat changes."""
    taint = {"key": "nvidia.com/gpu", "effect": "NoSchedule", "timeAdded": "2026-01-01T00:00:00Z"}
    world.told(node(beat=1, spec={"taints": [taint], "unschedulable": True}))
    assert world.nodes() == (
        {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {
                "name": "gpu-0",
                "labels": {"pool": "gpu"},
                "annotations": {"hami.io/node-nvidia-register": '[{"id":"GPU-0"}]'},
            },
            "spec": {"taints": [{"key": "nvidia.com/gpu", "effect": "NoSchedule"}], "unschedulable": True},
            "status": {"allocatable": {"nvidia.com/gpu": "8"}},
        },
    )


def test_a_heartbeat_wakes_nobody(world: World) -> None:
    """Times, images, conditions, cores and a plugin's own sign of life are no news, and the value is the same."""
    before = world.nodes()
    assert [world.told(node(beat=beat)) for beat in range(1, 4)] == [[], [], []]
    assert world.nodes() is before


@pytest.mark.parametrize(
    "change",
    [
        {"labels": {"pool": "other"}},
        {"spec": {"taints": [{"key": "a", "effect": "NoSchedule"}]}},
        {"spec": {"unschedulable": True}},
        {"allocatable": {"nvidia.com/gpu": "7"}},
        {"allocatable": {"volcano.sh/vgpu-number": "10"}},
        {"annotations": {"hami.io/node-nvidia-register": "[]"}},
        {"annotations": {"hami.io/node-handshake": "Deleted_2026-01-01 00:00:00"}},
    ],
    ids=str,
)
def test_what_matters_wakes_those_that_wait(world: World, change: Any) -> None:
    """What decides about cards wakes the models that ask for some and have a pod without a node, and no others."""
    assert world.told(node(beat=1, **change)) == ["version", "waits"]


def test_nodes_that_come_and_go(world: World) -> None:
    """A new node and one that is gone are news; a list that is the same is none."""
    assert world.told(node("gpu-1")) == ["version", "waits"]
    world.woken.clear()
    world.cache.replace(NODE, None, [node(beat=5), node("gpu-1", beat=5)])
    assert world.woken == []
    world.cache.remove(NODE, node("gpu-1"))
    assert sorted(world.woken) == ["version", "waits"]
    assert [it["metadata"]["name"] for it in world.nodes() or ()] == ["gpu-0"]


def test_without_the_right(world: World) -> None:
    """Who may not see nodes knows none, which is another thing than that there are none."""
    world.cache.apis(frozenset())
    assert world.nodes() is None
    world.cache.apis(frozenset({NODE}))
    assert world.nodes() == ()
