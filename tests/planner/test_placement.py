"""Why a pod that waits for cards gets none: real words of each vendor's scheduler, and nodes as vendors describe them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pantala.accelerators import registry
from pantala.accelerators.base import Claim
from pantala.api.accelerator import Accelerator
from pantala.manifest.settings import AcceleratorSettings
from pantala.planner import placement
from pantala.planner.cards import Cards
from pantala.planner.placement import Asked
from pantala.status.reasons import Reason
from tests.planner.nodes import ALIYUN, HAMI, MIG_SINGLE, NVIDIA, TENCENT, VOLCANO, having, mig, node, shared, unshared

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
SETTINGS = AcceleratorSettings()
TAIL = "preemption: 0/8 nodes are available: 8 Preemption is not helpful for scheduling."
GPU_TAINT = {"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}


def asked(spec: dict[str, Any] | None = None, **accelerator: Any) -> Asked:
    """What pods ask for, with the scheduling fields of their template."""
    block = Accelerator.model_validate(accelerator)
    claim = registry.claim(block, str(block.provider), SETTINGS)
    assert isinstance(claim, Claim), claim
    return Asked(Cards(str(block.provider), "", claim), block, spec or {}, SETTINGS)


def pod(words: str = "", used: str = "default-scheduler", *, seconds: float = 60) -> dict[str, Any]:
    """A pod without a node, as the operator keeps it; without words no scheduler has looked at it."""
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": words}
    created = (NOW - timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "metadata": {"name": "resnet-v1-abc", "creationTimestamp": created},
        "spec": {"nodeName": None, "schedulerName": used},
        "status": {"phase": "Pending", "conditions": [condition] if words else []},
    }


def insufficient(resource: str, nodes: int = 8) -> str:
    return f"0/{nodes} nodes are available: {nodes} Insufficient {resource}. no new claims to deallocate, {TAIL}"


def told(wanted: Asked | None, waits: dict[str, Any], nodes: list[Any] | None) -> tuple[Reason | None, str]:
    found = placement.explain(waits, wanted, nodes, NOW)
    return (found.reason, found.message) if found else (None, "")


WHOLE = {"provider": "nvidia", "count": 1}
HAMI_SHARE = {"provider": "hami", "memoryPerCard": "8Gi", "corePercent": 50}
VOLCANO_SHARE = {"provider": "volcano", "memoryPerCard": "8Gi"}
TENCENT_SHARE = {"provider": "tencent", "memoryPerCard": "4Gi", "corePercent": 50}
ALIYUN_SHARE = {"provider": "aliyun", "memoryPerCard": "8Gi"}
SLICE = {"provider": "mig", "profile": "1g.10gb"}
POOL = {"nodeSelector": {"pool": "gold"}}
AFFINITY = {
    "affinity": {
        "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {
                "nodeSelectorTerms": [{"matchExpressions": [{"key": "pool", "operator": "In", "values": ["gold"]}]}]
            }
        }
    }
}

# What nodes alone say: the ask, the scheduling fields, the nodes, the reason, and words that the message must have.
NODES: dict[str, tuple[dict[str, Any], dict[str, Any], list[Any], Reason | None, list[str]]] = {
    "no card anywhere": (
        WHOLE,
        {},
        [node("a"), node("b")],
        Reason.CARDS_MISSING,
        ["none of 2 nodes offers nvidia.com/gpu", "No node offers any cards", "device plugin", "`pantala gpus`"],
    ),
    "no node at all": (WHOLE, {}, [], Reason.CARDS_MISSING, ["none of 0 nodes"]),
    "another provider": (
        HAMI_SHARE,
        {},
        [node("a", **NVIDIA), node("b", **VOLCANO)],
        Reason.CARDS_MISSING,
        ["provider hami", "nvidia on 1 node, volcano on 1 node"],
    ),
    "another profile": (
        SLICE,
        {},
        [node("a", **mig("3g.40gb"))],
        Reason.CARDS_MISSING,
        ["mig on 1 node (nvidia.com/mig-3g.40gb)", "offers nvidia.com/mig-1g.10gb (provider mig)"],
    ),
    "many other profiles": (
        SLICE,
        {},
        [node(profile, **mig(profile)) for profile in ("1g.20gb", "2g.20gb", "3g.40gb", "7g.80gb")],
        Reason.CARDS_MISSING,
        ["mig on 4 nodes (nvidia.com/mig-1g.20gb, nvidia.com/mig-2g.20gb, nvidia.com/mig-3g.40gb, ...)"],
    ),
    "slices that are called cards": (
        {"provider": "mig", "profile": "1g.10gb", "strategy": "Single"},
        {},
        [node("a", **NVIDIA), node("b", **mig("1g.10gb"))],
        Reason.CARDS_MISSING,
        ["offers slices as nvidia.com/gpu (provider mig)", "nvidia on 1 node, mig on 1 node (nvidia.com/mig-1g.10gb)"],
    ),
    "more cards than a node has": (
        {"provider": "nvidia", "count": 16},
        {},
        [node("a", **NVIDIA), node("b", **NVIDIA)],
        Reason.ASKED_TOO_MUCH,
        ["no node has 16 cards of nvidia.com/gpu", "the most is 8 cards, on node a"],
    ),
    "more slices": (
        {**SLICE, "count": 9},
        {},
        [node("a", **mig("1g.10gb"))],
        Reason.ASKED_TOO_MUCH,
        ["9 slices", "7 slices"],
    ),
    "more memory than a card of HAMi": (
        {**HAMI_SHARE, "memoryPerCard": "40Gi"},
        {},
        [node("a", **HAMI)],
        Reason.ASKED_TOO_MUCH,
        ["no card has 40960 MiB of nvidia.com/gpumem", "the most is 24576 MiB, on node a (NVIDIA-NVIDIA A10)"],
    ),
    "more cards than a node of HAMi, though it has shares enough": (
        {"provider": "hami", "count": 3, "memoryPerCard": "1Gi"},
        {},
        [node("a", **HAMI)],
        Reason.ASKED_TOO_MUCH,
        ["no node has 3 cards", "the most is 2 cards"],
    ),
    "slices by HAMi, several of a card": (
        {"provider": "hami", "count": 3, "memoryPerCard": "1Gi", "mode": "MIG"},
        {},
        [node("a", **HAMI)],
        None,
        [],
    ),
    "cards of HAMi that nobody shares": (
        {"provider": "hami", "count": 2},
        {},
        [node("a", **unshared(HAMI))],
        None,
        [],
    ),
    "more memory than a card of Volcano": (
        {**VOLCANO_SHARE, "memoryPerCard": "40Gi"},
        {},
        [node("a", **VOLCANO)],
        Reason.ASKED_TOO_MUCH,
        ["40960 MiB of volcano.sh/vgpu-memory", "24576 MiB, on node a"],
    ),
    "more memory than a card of Tencent's, though the node has it": (
        {**TENCENT_SHARE, "memoryPerCard": "40Gi"},
        {},
        [node("a", **TENCENT)],
        Reason.ASKED_TOO_MUCH,
        ["no card has 160 x 256 MiB of tencent.com/vcuda-memory", "the most is 96 x 256 MiB"],
    ),
    "more whole cards of Tencent's": (
        {"provider": "tencent", "count": 4},
        {},
        [node("a", **TENCENT)],
        Reason.ASKED_TOO_MUCH,
        ["4 cards", "2 cards"],
    ),
    "more memory than a card of Aliyun's, though the node has it": (
        {**ALIYUN_SHARE, "memoryPerCard": "30Gi"},
        {},
        [node("a", **ALIYUN)],
        Reason.ASKED_TOO_MUCH,
        ["no card has 30 GiB of aliyun.com/gpu-mem", "24 GiB, on node a"],
    ),
    "shared cards where whole ones are asked": (
        WHOLE,
        {},
        [node("a", **shared("nvidia.com/gpu"))],
        Reason.CARDS_MISSING,
        ["in another way", "nvidia.com/gpu.sharing-strategy is time-slicing", "on a", "accelerator.sharing"],
    ),
    "slices where whole ones are asked": (
        WHOLE,
        {},
        [node("a", **MIG_SINGLE)],
        Reason.CARDS_MISSING,
        ["mig on 1 node"],
    ),
    "slices of another size": (
        {"provider": "mig", "profile": "3g.40gb", "strategy": "Single"},
        {},
        [node("a", **MIG_SINGLE)],
        Reason.CARDS_MISSING,
        ["in another way", "nvidia.com/gpu.memory is 9728"],
    ),
    "selector": (
        WHOLE,
        POOL,
        [node("a", **NVIDIA), node("b", labels={"pool": "gold"})],
        Reason.CARDS_NOT_SELECTED,
        ["nodeSelector (pool=gold)", "the 1 node with nvidia.com/gpu (a)", "label a node"],
    ),
    "affinity": (
        WHOLE,
        AFFINITY,
        [node("a", **NVIDIA), node("b", **NVIDIA)],
        Reason.CARDS_NOT_SELECTED,
        ["template.spec.affinity rules out the 2 nodes", "(a, b)"],
    ),
    "taint": (
        WHOLE,
        {},
        [node(name, **NVIDIA, taints=[GPU_TAINT]) for name in "abcde"],
        Reason.CARDS_TAINTED,
        [
            "the 5 nodes with nvidia.com/gpu (a, b, c and 2 more)",
            "nvidia.com/gpu=present:NoSchedule on a, b, c and 2 more",
            "`template.spec.tolerations`: {key: nvidia.com/gpu, operator: Exists, effect: NoSchedule}",
        ],
    ),
    "cordoned": (
        WHOLE,
        {},
        [node("a", **NVIDIA, unschedulable=True)],
        Reason.CARDS_TAINTED,
        ["node.kubernetes.io/unschedulable:NoSchedule on a", "kubectl uncordon a"],
    ),
    "not ready": (
        WHOLE,
        {},
        [node("a", **NVIDIA, taints=[{"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}])],
        Reason.CARDS_TAINTED,
        ["node.kubernetes.io/not-ready:NoSchedule on a", "when the nodes are well"],
    ),
    "the nearest miss is told: a tainted node that is large enough": (
        {"provider": "nvidia", "count": 8},
        {},
        [node("small", **having({"nvidia.com/gpu": "2"})), node("large", **NVIDIA, taints=[GPU_TAINT])],
        Reason.CARDS_TAINTED,
        ["the 1 node with nvidia.com/gpu (large)"],
    ),
    "tolerated": (
        WHOLE,
        {"tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}]},
        [node("a", **NVIDIA, taints=[GPU_TAINT])],
        None,
        [],
    ),
    "preferred is no taint that counts": (
        WHOLE,
        {},
        [node("a", **NVIDIA, taints=[{**GPU_TAINT, "effect": "PreferNoSchedule"}])],
        None,
        [],
    ),
}


@pytest.mark.parametrize("name", NODES)
def test_nodes(name: str) -> None:
    """Whatever the scheduler says: where no node could take the pod even if it were empty, the message says why, and where."""
    ask, spec, nodes, reason, words = NODES[name]
    text = f"0/8 nodes are available: 8 node(s) had untolerated taint(s). {TAIL}"
    found, message = told(asked(spec, **ask), pod(text), nodes)
    assert found is reason, message
    for word in words:
        assert word in message
    assert reason is None or message.startswith("Pod resnet-v1-abc waits for cards: ")
    assert reason is None or message.endswith(
        "default-scheduler says: 0/8 nodes are available: 8 node(s) had untolerated taint(s)."
    )


HAMI_NODES, VOLCANO_NODES = [node("a", **HAMI)], [node("a", **VOLCANO)]
UNAVAILABLE = "0/1 nodes are unavailable: 1 "

# What schedulers say, of nodes that have what is asked for: the ask, the pod, the nodes, the reason, words of the message.
WORDS: dict[str, tuple[dict[str, Any], dict[str, Any], list[Any] | None, Reason | None, list[str]]] = {
    "all taken": (
        WHOLE,
        pod(insufficient("nvidia.com/gpu")),
        [node("a", **NVIDIA), node("b", **NVIDIA)],
        Reason.NO_GPU,
        ["too little of nvidia.com/gpu is free", "It could be on a, b, which have 8 cards each at most", "add a node"],
    ),
    "all taken, nodes unknown": (
        WHOLE,
        pod(insufficient("nvidia.com/gpu")),
        None,
        Reason.NO_GPU,
        ["too little of nvidia.com/gpu is free. Free some", "`pantala gpus`"],
    ),
    "all taken, of Kubernetes 1.30": (
        SLICE,
        pod("0/3 nodes are available: 1 Insufficient nvidia.com/mig-1g.10gb, 2 node(s) had untolerated taint {a: b}."),
        [node("a", **mig("1g.10gb"))],
        Reason.NO_GPU,
        ["nvidia.com/mig-1g.10gb", "on a, which has 7 slices in all"],
    ),
    "cards are free, cores are not: who lacks cards has none at all": (
        SLICE,
        pod(f"0/2 nodes are available: 1 Insufficient nvidia.com/mig-1g.10gb, 2 Insufficient cpu. {TAIL}"),
        [node("a", **mig("1g.10gb")), node("b")],
        Reason.UNSCHEDULABLE,
        ["nodes have them free, but too little of cpu. Ask for less in `resources`", "2 Insufficient cpu"],
    ),
    "neither cards nor cores are free": (
        SLICE,
        pod(f"0/2 nodes are available: 2 Insufficient nvidia.com/mig-1g.10gb, 2 Insufficient cpu. {TAIL}"),
        [node("a", **mig("1g.10gb")), node("b")],
        Reason.NO_GPU,
        ["too little of nvidia.com/mig-1g.10gb is free", "on a, which has 7 slices"],
    ),
    "neither, beside a node that is shut": (
        SLICE,
        pod(
            "0/2 nodes are available: 1 Insufficient cpu, 1 Insufficient nvidia.com/mig-1g.10gb, 1 node(s) had untolerated"
            f" taint(s). {TAIL}"
        ),
        [node("a", **mig("1g.10gb")), node("b", taints=[GPU_TAINT])],
        Reason.NO_GPU,
        ["too little of nvidia.com/mig-1g.10gb is free"],
    ),
    "cores, not cards": (
        WHOLE,
        pod(insufficient("cpu")),
        [node("a", **NVIDIA)],
        None,
        [],
    ),
    "nothing said yet": (WHOLE, pod(seconds=1), [node("a")], None, []),
    "HAMi's webhook did not run": (
        HAMI_SHARE,
        pod("0/1 nodes are available: 1 Insufficient nvidia.com/gpucores, 1 Insufficient nvidia.com/gpumem. " + TAIL),
        HAMI_NODES,
        Reason.SCHEDULER_MISSING,
        ["default-scheduler, which does not know nvidia.com/gpumem", "hami.io/webhook: ignore", "delete the pod"],
    ),
    "HAMi's webhook did not run, nodes unknown": (
        HAMI_SHARE,
        pod(insufficient("nvidia.com/gpumem")),
        None,
        Reason.SCHEDULER_MISSING,
        ["HAMi's webhook"],
    ),
    "HAMi where nodes advertise memory": (
        HAMI_SHARE,
        pod(insufficient("nvidia.com/gpumem")),
        [node("a", **{**HAMI, "allocatable": {"nvidia.com/gpu": "20", "nvidia.com/gpumem": "49152"}})],
        Reason.NO_GPU,
        ["nvidia.com/gpumem is free"],
    ),
    "HAMi, memory": (
        HAMI_SHARE,
        pod("0/4 nodes are available: 1 2/2 CardInsufficientMemory, 3 node unregistered.", "hami-scheduler"),
        HAMI_NODES,
        Reason.NO_GPU,
        ["no card has that much memory left (provider hami)", "hami-scheduler says: 0/4"],
    ),
    "HAMi, several reasons": (
        HAMI_SHARE,
        pod("0/1 nodes are available: 1 1/2 CardTimeSlicingExhausted, 1/2 CardInsufficientCore.", "hami-scheduler"),
        HAMI_NODES,
        Reason.NO_GPU,
        ["no card has that much compute left"],
    ),
    "HAMi, kind of card": (
        {**HAMI_SHARE, "cardType": {"allow": ["H100"]}},
        pod("0/4 nodes are available: 1 2/2 CardTypeMismatch, 3 node unregistered.", "hami-scheduler"),
        HAMI_NODES,
        Reason.CARDS_NOT_SELECTED,
        ["`accelerator.cardType`"],
    ),
    "HAMi, whole cards": (
        {"provider": "hami"},
        pod("0/1 nodes are available: 1 2/2 ExclusiveDeviceAllocateConflict.", "hami-scheduler"),
        HAMI_NODES,
        Reason.NO_GPU,
        ["every card has somebody on it"],
    ),
    "HAMi, quota": (
        HAMI_SHARE,
        pod("0/1 nodes are available: 1 ResourceQuotaNotFit.", "hami-scheduler"),
        HAMI_NODES,
        Reason.QUOTA_EXCEEDED,
        ["Raise the quota"],
    ),
    "HAMi, before 2.7": (
        HAMI_SHARE,
        pod("0/4 nodes are available: 1 NodeUnfitPod, 3 node unregistered.", "hami-scheduler"),
        HAMI_NODES,
        Reason.NO_GPU,
        ["no node has such cards with room"],
    ),
    "HAMi, nobody registered": (
        HAMI_SHARE,
        pod("0/4 nodes are available: 4 node unregistered.", "hami-scheduler"),
        None,
        Reason.CARDS_MISSING,
        ["label gpu=on"],
    ),
    "Volcano, from 1.12": (
        VOLCANO_SHARE,
        pod(UNAVAILABLE + "hami-vgpuDeviceSharing error.", "volcano"),
        VOLCANO_NODES,
        Reason.NO_GPU,
        ["no node has such cards with room (provider volcano)", "volcano says: 0/1 nodes are unavailable"],
    ),
    "Volcano, before": (
        VOLCANO_SHARE,
        pod(UNAVAILABLE + "no enough gpu cards on node a.", "volcano"),
        VOLCANO_NODES,
        Reason.NO_GPU,
        ["no node has such cards with room"],
    ),
    "Volcano, mode": (
        {**VOLCANO_SHARE, "mode": "MIG"},
        pod(UNAVAILABLE + "pod required sharing mode mig is not the same as the node mode hami-core.", "volcano"),
        VOLCANO_NODES,
        Reason.CARDS_NOT_SELECTED,
        ["`accelerator.mode`"],
    ),
    "Volcano, number": (
        VOLCANO_SHARE,
        pod("0/8 nodes are unavailable: 8 Insufficient volcano.sh/vgpu-number.", "volcano"),
        VOLCANO_NODES,
        Reason.NO_GPU,
        ["volcano.sh/vgpu-number is free", "20 shares"],
    ),
    "Volcano, no plugin": (
        VOLCANO_SHARE,
        pod(UNAVAILABLE + "node not initialized with devicehamivgpu.", "volcano"),
        None,
        Reason.CARDS_MISSING,
        ["Volcano's vGPU device plugin"],
    ),
    "Volcano, group": (
        VOLCANO_SHARE,
        pod("pod group is not ready, 1 Pending, 1 minAvailable; Pending: 1 Unschedulable", "volcano"),
        VOLCANO_NODES,
        Reason.NO_GPU,
        ["PodGroup"],
    ),
    "Tencent, quota": (
        TENCENT_SHARE,
        pod("0/2 nodes are available: 2 ExceedsGPUQuota."),
        [node("a", **TENCENT)],
        Reason.QUOTA_EXCEEDED,
        ["quota"],
    ),
    "Tencent, memory": (
        TENCENT_SHARE,
        pod(insufficient("tencent.com/vcuda-memory")),
        [node("a", **TENCENT)],
        Reason.NO_GPU,
        ["tencent.com/vcuda-memory is free", "on a, which has 192 x 256 MiB in all"],
    ),
    "Tencent, no cards": (
        TENCENT_SHARE,
        pod("0/2 nodes are available: 2 no GPU device."),
        None,
        Reason.CARDS_MISSING,
        ["gpu-manager"],
    ),
    "Aliyun, extender": (
        ALIYUN_SHARE,
        pod(
            "0/2 nodes are available: 1 Insufficient GPU Memory in one device, 1 The node b is not for GPU share, need skip."
        ),
        [node("a", **ALIYUN)],
        Reason.NO_GPU,
        ["no card has that much memory left (provider aliyun)"],
    ),
    "Aliyun, kube-scheduler": (
        ALIYUN_SHARE,
        pod(insufficient("aliyun.com/gpu-mem")),
        [node("a", **ALIYUN)],
        Reason.NO_GPU,
        ["aliyun.com/gpu-mem is free"],
    ),
    "DRA, class": (
        {"provider": "dra"},
        pod("0/1 nodes are available: request cards: device class gpu.nvidia.com does not exist. " + TAIL),
        [node("a")],
        Reason.CARDS_MISSING,
        ["DeviceClass gpu.nvidia.com"],
    ),
    "DRA, devices": (
        {"provider": "dra", "count": 4},
        pod(f"0/8 nodes are available: 8 cannot allocate all claims. still not schedulable, {TAIL}"),
        [node("a")],
        Reason.NO_GPU,
        ["4 devices of DeviceClass gpu.nvidia.com"],
    ),
}


@pytest.mark.parametrize("name", WORDS)
def test_words(name: str) -> None:
    """Each vendor's words become ours, with theirs at the end."""
    ask, waits, nodes, reason, words = WORDS[name]
    found, message = told(asked(**ask), waits, nodes)
    assert found is reason, message
    for word in words:
        assert word in message


@pytest.mark.parametrize(
    ("wanted", "used", "words"),
    [
        (VOLCANO_SHARE, "volcano", "only it hands out the cards of provider volcano; if it runs"),
        (WHOLE, "mine", "correct `template.spec.schedulerName`"),
        (None, "default-scheduler", "kube-scheduler"),
    ],
    ids=["provider's", "user's", "kube-scheduler"],
)
def test_a_scheduler_that_does_not_run(wanted: Any, used: str, words: str) -> None:
    """A pod at which nobody has looked for 15 seconds says which scheduler it waits for; before that nothing is said."""
    ask = asked(**wanted) if wanted else None
    reason, message = told(ask, pod(used=used, seconds=15), None)
    assert reason is Reason.SCHEDULER_MISSING
    assert f"the scheduler {used} has said nothing of it for 15 s" in message
    assert words in message
    assert told(ask, pod(used=used, seconds=14), None) == (None, "")


def test_a_claim_that_the_scheduler_waits_for() -> None:
    """Newer schedulers say that the claim is not there yet: that is no matter of nodes, nor of the spec."""
    ask = asked(provider="dra")
    reason, message = told(ask, pod('pod "ns/m-0": ResourceClaim not created yet'), [])
    assert reason is Reason.CLAIM_MISSING
    assert "FailedResourceClaimCreation" in message


def test_when_to_look_again() -> None:
    """Nothing happens to a pod that nobody looks at, so the operator looks at it when its time is over, and not after that."""
    early, late = pod(seconds=5), pod(seconds=20)
    bound = pod(seconds=5) | {"spec": {"nodeName": "a"}}
    assert placement.next_look([early, late], NOW) == 10
    assert placement.next_look([late, bound, pod("words"), {"metadata": {}}], NOW) is None


def test_no_cards_asked() -> None:
    """A model without cards has the scheduler's words as they are."""
    assert told(None, pod(insufficient("cpu")), [node("a")]) == (None, "")
