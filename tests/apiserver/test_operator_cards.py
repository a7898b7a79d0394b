"""Cards of every vendor, handed out by the real scheduler on simulated nodes that advertise them; and what is said when there are none.

Vendors' own schedulers and device plugins do not run: kube-scheduler places pods under their schedulers' names as well, from what
the nodes advertise, which is whatever each vendor's plugin advertises. HAMi's plugin advertises no memory, so one node does in its place.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.apiserver.operator_process import Installation, api_of
from tests.apiserver.standin_kubelet import StandinKubelet
from tests.cluster import Cluster, ClusterSpec
from tests.cluster.errors import ClusterError
from tests.cluster.fixtures import running, unique
from tests.cluster.process import wait_for
from tests.planner import nodes as vendors

pytestmark = pytest.mark.apiserver

ROOM = {"cpu": "32", "memory": "256Gi", "ephemeral-storage": "1Ti", "pods": "250"}
HAMI_RESOURCES = {"nvidia.com/gpu": "20", "nvidia.com/gpumem": "49152", "nvidia.com/gpucores": "200"}
NODES: dict[str, dict[str, Any]] = {
    "nvidia": {**vendors.NVIDIA, "labels": {"pool": "nvidia"}},
    "shared": vendors.shared(),
    "mig": vendors.mig("1g.10gb"),
    "mig-single": vendors.MIG_SINGLE,
    "hami": {**vendors.HAMI, "allocatable": HAMI_RESOURCES},
    "volcano": vendors.VOLCANO,
    "tencent": vendors.TENCENT,
    "aliyun": vendors.ALIYUN,
}
SCHEDULERS = ("hami-scheduler", "volcano")
BY_HAMI = {"spec": {"schedulerName": "hami-scheduler"}}
GPU_TAINT = "nvidia.com/gpu=present:NoSchedule"


def node(name: str, **fields: Any) -> Any:
    """A Node that kwok plays, with the resources of a vendor's device plugin."""
    made = vendors.node(name, **fields)
    made["metadata"]["annotations"] |= {"kwok.x-k8s.io/node": "fake"}
    made["metadata"]["labels"] |= {"kubernetes.io/hostname": name}
    room = ROOM | made["status"]["allocatable"]
    return {**made, "status": {"capacity": room, "allocatable": room}}


class World:
    """The cluster, the operator and a namespace for models."""

    def __init__(self, cluster: Cluster, installation: Installation) -> None:
        self.cluster, self.installation, self.space = cluster, installation, installation.space

    def make(self, *nodes: Any) -> None:
        """Create nodes; returns when pods may go there."""
        self.cluster.kubectl(
            "create", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": nodes})
        )
        for made in nodes:
            if "taints" not in made["spec"]:
                wait_for(lambda name=made["metadata"]["name"]: self.open(name), "a node that takes pods", 60)

    def open(self, name: str) -> bool:
        """Whether nothing keeps pods from a node."""
        return not self.space.api.call("GET", f"/api/v1/nodes/{name}")["spec"].get("taints")

    @contextmanager
    def nodes(self, *nodes: Any) -> Iterator[None]:
        """Nodes for a while."""
        self.make(*nodes)
        try:
            yield
        finally:
            for made in nodes:
                self.remove(made["metadata"]["name"])

    @contextmanager
    def without(self, name: str) -> Iterator[None]:
        """One node less for a while."""
        self.remove(name)
        try:
            yield
        finally:
            self.make(node(name, **NODES[name]))

    def remove(self, name: str) -> None:
        """Delete a node, and the pods on it, which nobody would end any more."""
        self.cluster.kubectl("delete", "node", name, "--ignore-not-found")
        pods = ("pods", "-n", self.space.name, f"--field-selector=spec.nodeName={name}")
        self.cluster.kubectl("delete", *pods, "--force", "--grace-period=0")

    @contextmanager
    def model(self, name: str, accelerator: Any, **spec: Any) -> Iterator[None]:
        """A model for a while; its pods are gone afterwards, and with them what they took."""
        self.space.model(name, accelerator=accelerator, **spec)
        try:
            yield
        finally:
            self.space.delete("InferenceModel", name)
            self.space.wait(lambda: not self.space.list("Pod", model=name), f"the pods of {name} gone")

    def told(self, name: str, reason: str, *words: str) -> str:
        """Wait until a model says so: not ready, on its way, with all these words; the message."""

        def says() -> bool:
            found = self.space.condition(name, "Ready")
            return found.get("reason") == reason and all(word in found["message"] for word in words)

        try:
            wait_for(says, f"{name}: {reason} with {words}", 60)
        except ClusterError:
            pytest.fail(f"{name} says {self.space.condition(name, 'Ready')} and not {reason} with {words}")
        assert self.space.condition(name, "Ready")["status"] == "False"
        assert self.space.condition(name, "Reconciling")["reason"] == reason, "it is waited out"
        assert not self.space.condition(name, "Stalled")
        message: str = self.space.condition(name, "Ready")["message"]
        return message

    def has(self, name: str, kind: str, reason: str) -> str:
        """Wait until a model has a condition for a reason; its message."""
        try:
            wait_for(lambda: self.space.condition(name, kind).get("reason") == reason, f"{kind} {reason}", 60)
        except ClusterError:
            pytest.fail(f"{name} has {self.space.status(name).get('conditions')} and not {kind} {reason}")
        message: str = self.space.condition(name, kind)["message"]
        return message

    def events(self, name: str) -> set[str]:
        """Reasons of the Warnings about a model."""
        found = self.space.list("Event")
        return {it["reason"] for it in found if it["regarding"]["name"] == name and it["type"] == "Warning"}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    spec = ClusterSpec(unique("cards"), kwok=1, gpus=0, schedulers=SCHEDULERS)
    with running("apiserver", spec) as cluster, api_of(cluster) as api:
        folder = tmp_path_factory.mktemp("operator")
        with Installation(cluster, api, folder, everywhere=True) as installation:
            made = World(cluster, installation)
            made.make(*(node(name, **fields) for name, fields in NODES.items()))
            installation.start().wait("leader")
            yield made


PLACED: dict[str, tuple[dict[str, Any], dict[str, Any], str, dict[str, str]]] = {
    "nvidia": (
        {"provider": "nvidia", "count": 2},
        {"spec": {"nodeSelector": {"pool": "nvidia"}}},
        "nvidia",
        {"nvidia.com/gpu": "2"},
    ),
    "time slice": ({"provider": "nvidia", "sharing": "TimeSlicing"}, {}, "shared", {"nvidia.com/gpu.shared": "1"}),
    "mig, mixed": ({"provider": "mig", "profile": "1g.10gb"}, {}, "mig", {"nvidia.com/mig-1g.10gb": "1"}),
    "mig, single": (
        {"provider": "mig", "profile": "1g.10gb", "strategy": "Single"},
        {},
        "mig-single",
        {"nvidia.com/gpu": "1"},
    ),
    "hami": (
        {"provider": "hami", "count": 2, "memoryPerCard": "8Gi", "corePercent": 50},
        BY_HAMI,
        "hami",
        {"nvidia.com/gpu": "2", "nvidia.com/gpumem": "8192", "nvidia.com/gpucores": "50"},
    ),
    "volcano": (
        {"provider": "volcano", "memoryPerCard": "8Gi", "corePercent": 50},
        {},
        "volcano",
        {"volcano.sh/vgpu-number": "1", "volcano.sh/vgpu-memory": "8192", "volcano.sh/vgpu-cores": "50"},
    ),
    "tencent": (
        {"provider": "tencent", "memoryPerCard": "4Gi", "corePercent": 50},
        {},
        "tencent",
        {"tencent.com/vcuda-core": "50", "tencent.com/vcuda-memory": "16"},
    ),
    "aliyun": ({"provider": "aliyun", "memoryPerCard": "8Gi"}, {}, "aliyun", {"aliyun.com/gpu-mem": "8"}),
}


def test_each_provider_is_placed_on_its_node(world: World) -> None:
    """The real scheduler finds the one node that has what is asked for, and the pod has the vendor's resources."""
    names = {case: case.replace(", ", "-").replace(" ", "-") for case in PLACED}
    for case, (accelerator, template, _, _) in PLACED.items():
        world.space.model(names[case], accelerator=accelerator, template=template)
    for case, (_, _, where, limits) in PLACED.items():
        world.space.wait_ready(names[case])
        (pod,) = world.space.list("Pod", model=names[case])
        assert pod["spec"]["nodeName"] == where, case
        assert pod["spec"]["containers"][0]["resources"]["limits"] == limits, case
    for name in names.values():
        world.space.delete("InferenceModel", name)
    world.space.wait(lambda: not world.space.list("Pod"), "all pods gone")


TOO_MUCH: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, str], list[str]]] = {
    "nvidia": (
        {"provider": "nvidia", "count": 32},
        {},
        {"nvidia.com/gpu": "32"},
        ["no node has 32 cards of nvidia.com/gpu", "8 cards, on node nvidia"],
    ),
    "mig": (
        {"provider": "mig", "profile": "1g.10gb", "count": 14},
        {},
        {"nvidia.com/mig-1g.10gb": "14"},
        ["no node has 14 slices of nvidia.com/mig-1g.10gb", "7 slices, on node mig"],
    ),
    "volcano": (
        {"provider": "volcano", "memoryPerCard": "60Gi"},
        {},
        {"volcano.sh/vgpu-number": "10", "volcano.sh/vgpu-memory": "81920"},
        ["no card has 61440 MiB of volcano.sh/vgpu-memory", "24576 MiB, on node volcano (NVIDIA-NVIDIA A10)"],
    ),
    "tencent": (
        {"provider": "tencent", "count": 4},
        {},
        {"tencent.com/vcuda-core": "400", "tencent.com/vcuda-memory": "384"},
        ["no node has 4 cards of tencent.com/vcuda-core", "2 cards, on node tencent"],
    ),
    "aliyun": (
        {"provider": "aliyun", "memoryPerCard": "80Gi"},
        {},
        {"aliyun.com/gpu-mem": "80", "aliyun.com/gpu-count": "1"},
        ["no card has 80 GiB of aliyun.com/gpu-mem", "24 GiB, on node aliyun"],
    ),
}
LARGER = {
    "volcano": {"annotations": {"volcano.sh/node-vgpu-register": "GPU-9,10,81920,NVIDIA-NVIDIA A100,true,hami-core:"}}
}


@pytest.mark.parametrize("provider", TOO_MUCH)
def test_asked_too_much(world: World, provider: str) -> None:
    """More than any node or card has: the largest is named with its node; when a larger node comes the model is ready."""
    accelerator, template, larger, words = TOO_MUCH[provider]
    with world.model(f"large-{provider}", accelerator, template=template):
        world.told(
            f"large-{provider}", "AskedTooMuch", *words, "default-scheduler" if provider != "volcano" else "volcano"
        )
        with world.nodes(node("larger", allocatable=larger, **LARGER.get(provider, {}))):
            world.space.wait_ready(f"large-{provider}")


def test_asked_too_much_of_hami(world: World) -> None:
    """HAMi's nodes advertise shares of cards: how large a card is their annotation tells."""
    accelerator = {"provider": "hami", "memoryPerCard": "60Gi"}
    with world.model("large-hami", accelerator, template=BY_HAMI):
        world.told(
            "large-hami", "AskedTooMuch", "no card has 61440 MiB of nvidia.com/gpumem", "24576 MiB, on node hami"
        )


def test_no_node(world: World) -> None:
    """Nobody offers the resource: other providers are named; when a node comes the model is ready."""
    with world.model("none", {"provider": "mig", "profile": "3g.40gb"}):
        words = ("nvidia.com/mig-3g.40gb (provider mig)", "aliyun on 1 node", "mig on 2 nodes", "`pantala gpus`")
        world.told("none", "CardsMissing", *words)
        assert "CardsMissing" in world.events("none")
        with world.nodes(node("late", **vendors.mig("3g.40gb"))):
            world.space.wait_ready("none")


def test_taints(world: World) -> None:
    """Nodes with the cards keep pods away: the taint and the toleration are named; without the taint the model is ready."""
    profile = "2g.20gb"
    taint = {"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}
    with (
        world.nodes(node("tainted", **vendors.mig(profile), taints=[taint])),
        world.model("kept-away", {"provider": "mig", "profile": profile}),
    ):
        toleration = "{key: nvidia.com/gpu, operator: Exists, effect: NoSchedule}"
        world.told("kept-away", "CardsTainted", f"{GPU_TAINT} on tainted", toleration)
        world.cluster.kubectl("taint", "node", "tainted", "nvidia.com/gpu-")
        world.space.wait_ready("kept-away")


def test_a_toleration_as_the_message_has_it(world: World) -> None:
    """What the message says is what mends it: with this toleration the pod goes there; a cordoned node is opened by a command."""
    profile = "2g.20gb"
    taint = {"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}
    toleration = {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}
    with (
        world.nodes(node("tainted", **vendors.mig(profile), taints=[taint])),
        world.model("tolerant", {"provider": "mig", "profile": profile}),
    ):
        world.told("tolerant", "CardsTainted", GPU_TAINT)
        world.cluster.kubectl("cordon", "tainted")
        tolerant = {"spec": {"template": {"spec": {"tolerations": [toleration]}}}}
        world.space.patch("InferenceModel", "tolerant", tolerant)
        world.told("tolerant", "CardsTainted", "kubectl uncordon tainted")
        world.cluster.kubectl("uncordon", "tainted")
        world.space.wait_ready("tolerant")


def test_selectors(world: World) -> None:
    """The user's own selector rules out the nodes with cards; a label mends it."""
    template = {"spec": {"nodeSelector": {"tier": "gold"}}}
    with world.model("picky", {"provider": "aliyun", "memoryPerCard": "1Gi"}, template=template):
        world.told("picky", "CardsNotSelected", "nodeSelector (tier=gold)", "aliyun.com/gpu-mem (aliyun)")
        world.cluster.kubectl("label", "node", "aliyun", "tier=gold")
        world.space.wait_ready("picky")
        world.cluster.kubectl("label", "node", "aliyun", "tier-")


def test_another_way(world: World) -> None:
    """Cards that are divided are not handed out whole: the label that says so is named; a node with whole ones mends it."""
    pool = {"pool": "mixed"}
    shared = vendors.shared("nvidia.com/gpu")
    divided = node("divided", **{**shared, "labels": shared["labels"] | pool})
    with (
        world.without("nvidia"),
        world.nodes(divided),
        world.model("whole", {"provider": "nvidia"}, template={"spec": {"nodeSelector": pool}}),
    ):
        label = "label nvidia.com/gpu.sharing-strategy is time-slicing on divided"
        world.told("whole", "CardsMissing", "in another way than is asked for", label)
        with world.nodes(node("undivided", **vendors.NVIDIA, labels=pool)):
            world.space.wait_ready("whole")


def test_all_taken(world: World) -> None:
    """Somebody has the cards: the message says how many there are, with the scheduler's words; when they are free it is ready."""
    accelerator = {"provider": "tencent", "count": 2}
    with world.model("waits", accelerator):
        world.space.wait_ready("waits")
        world.space.model("second", accelerator=accelerator)
        words = (
            "too little of tencent.com/vcuda-core is free",
            "on tencent, which has 200% in all",
            "default-scheduler says: 0/",
        )
        world.told("second", "NoGPU", *words)
    world.space.wait_ready("second")
    world.space.delete("InferenceModel", "second")


def test_a_surge_on_full_nodes(world: World) -> None:
    """An update that needs one more pod than fits keeps its own message; one that can never fit says that."""
    with world.model("full", {"provider": "tencent", "count": 2}):
        world.space.wait_ready("full")
        world.space.patch("InferenceModel", "full", {"spec": {"resources": {"requests": {"cpu": "1"}}}})
        assert "maxSurge: 0" in world.has("full", "Stalled", "NoRoomToSurge")
        world.space.patch("InferenceModel", "full", {"spec": {"accelerator": {"count": 4}}})
        assert "4 cards" in world.has("full", "Reconciling", "AskedTooMuch")
        assert world.space.condition("full", "Ready")["status"] == "True"


def test_without_hamis_webhook(world: World) -> None:
    """A pod that HAMi's webhook did not see is with kube-scheduler, which does not know HAMi's memory."""
    with (
        world.without("hami"),
        world.nodes(node("bare-hami", **vendors.HAMI)),
        world.model("unseen", {"provider": "hami", "memoryPerCard": "8Gi"}),
    ):
        world.told("unseen", "SchedulerMissing", "does not know nvidia.com/gpumem", "hami.io/webhook: ignore")
        world.space.patch("InferenceModel", "unseen", {"spec": {"template": BY_HAMI}})
        with world.nodes(node("hami-scheduled", **NODES["hami"])):
            world.space.wait_ready("unseen")


def test_a_scheduler_that_does_not_run(world: World) -> None:
    """Nothing happens to a pod that no scheduler looks at: after 15 seconds the model says so by itself."""
    with world.model(
        "nobody", {"provider": "aliyun", "memoryPerCard": "1Gi"}, template={"spec": {"schedulerName": "gone"}}
    ):
        world.told(
            "nobody",
            "SchedulerMissing",
            "the scheduler gone has said nothing of it for 15 s",
            "template.spec.schedulerName",
        )
        world.space.patch("InferenceModel", "nobody", {"spec": {"template": None}})
        world.space.wait_ready("nobody")


def test_a_kubelet_that_refuses(world: World) -> None:
    """A node turns the pod away because its device plugin does: the plugin's words are told, and the next pod mends it."""
    words = (
        "Pod was rejected: Allocate failed due to rpc error: code = Unknown desc = invalid allocation request for"
        ' "nvidia.com/gpu": invalid request: maximum request size for shared resources is 1; found 2, which is unexpected'
    )
    template = {"spec": {"schedulerName": "gone"}}
    space = world.space
    with (
        StandinKubelet(space) as kubelet,
        world.model("refused", {"provider": "nvidia", "count": 2}, template=template),
    ):
        pod = kubelet.bind("refused")
        failed = {"phase": "Failed", "reason": "UnexpectedAdmissionError", "message": words}
        space.patch("Pod", pod, {"status": failed}, "status")
        world.told("refused", "CardsRefused", f"turned away by {kubelet.node}", "one share only", "found 2")
        space.patch("InferenceModel", "refused", {"spec": {"accelerator": None, "template": None}})
        space.wait_ready("refused")


def test_without_the_right_on_nodes(world: World) -> None:
    """Who may not see nodes has the scheduler's words; that the right is missing is in the log once, and in a metric."""
    roles = json.loads(world.cluster.kubectl("get", "clusterroles", "-o", "json"))["items"]
    ours = [it for it in roles if "pantala" in it["metadata"]["name"]]
    (role,) = (it for it in ours if any(rule["resources"] == ["nodes"] for rule in it["rules"]))
    less = [rule for rule in role["rules"] if "nodes" not in rule["resources"]]
    assert len(less) == len(role["rules"]) - 1
    patch = json.dumps({"rules": less})
    world.cluster.kubectl("patch", "clusterrole", role["metadata"]["name"], "--type=merge", "-p", patch)
    world.installation.operators[-1].terminate()
    operator = world.installation.start().wait("leader")
    assert operator.metric('pantala_api_refused{group="",kind="Node"}') == 1
    with world.model("blind", {"provider": "mig", "profile": "3g.40gb"}):
        message = world.told("blind", "NoGPU", "too little of nvidia.com/mig-3g.40gb is free. Free some", "0/9 nodes")
    assert "It could be" not in message
    assert operator.log.read_text().count("nodes: may not be watched") == 1
    operator.check()
