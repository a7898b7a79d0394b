"""What schedulers say of a pod that fits on no node, as values; and vendors' own words for it, in ours.

The grammar is kube-scheduler's (k8s.io/kubernetes, pkg/scheduler/framework/types.go, FitError):

    0/N nodes are available: [message.] [COUNT REASON, COUNT REASON.] [post-filter]

A node may be counted for several reasons, and reasons are sorted as text. Volcano says `unavailable`. Taints are not read off
the words: since 1.35 they are no longer named in them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto

_START = re.compile(r"0/(\d+) nodes are (?:un)?available:?\s*")
_TAIL = re.compile(r"\s*(?:no new claims to deallocate,|still not schedulable,)?\s*preemption: .*", re.DOTALL)
_ITEM = re.compile(r", (?=\d+ )")
_COUNT = re.compile(r"(\d+) (.+)", re.DOTALL)
_INSUFFICIENT = "Insufficient "


@dataclass(frozen=True)
class Words:
    """A scheduler's message, taken apart."""

    nodes: int
    """How many nodes it looked at; 0 where it does not say."""
    reasons: tuple[tuple[int, str], ...]
    """Number of nodes and reason."""

    def lacking(self) -> Mapping[str, int]:
        """Resources of which nodes have too little free, or none at all, with the number of nodes."""
        return {
            reason.removeprefix(_INSUFFICIENT): count
            for count, reason in self.reasons
            if reason.startswith(_INSUFFICIENT) and " " not in reason.removeprefix(_INSUFFICIENT)
        }


def parse(text: str) -> Words:
    """The message of a condition `PodScheduled`. What does not follow the grammar is one reason without a number (0)."""
    start = _START.search(text)
    if start is None:
        return Words(0, ((0, text.strip()),) if text.strip() else ())
    body = _TAIL.sub("", text[start.end() :]).strip().removesuffix(".")
    found = []
    for item in _ITEM.split(body):
        counted = _COUNT.fullmatch(item)
        found.append((int(counted[1]), counted[2].strip()) if counted else (0, item.strip()))
    return Words(int(start[1]), tuple(item for item in found if item[1]))


def brief(text: str) -> str:
    """The message without what it says of preemption, which is as long as the rest."""
    return _TAIL.sub("", text).strip()


class Lack(Enum):
    """What a vendor's scheduler misses."""

    FREE = auto()
    """What is free of the cards."""
    KIND = auto()
    """Cards of the kind."""
    PLUGIN = auto()
    """The vendor's own parts on the nodes."""
    QUOTA = auto()
    """Room in a quota."""
    OTHER = auto()
    """It does not say."""


@dataclass(frozen=True)
class Said:
    """A vendor's word in ours."""

    lack: Lack
    words: str
    step: str


_LESS = "Ask for less in `accelerator`, free some, or add a node."
_VENDORS: tuple[tuple[str, Said], ...] = (
    # Project-HAMi/HAMi, pkg/device/common/common.go; Project-HAMi/HAMi, pkg/scheduler/scheduler.go
    ("CardTypeMismatch", Said(Lack.KIND, "no card is of a kind that `accelerator.cardType` allows", "Change it.")),
    ("CardUuidMismatch", Said(Lack.KIND, "no card is one of `accelerator.devices`", "Correct the UUIDs.")),
    ("CardMigTopologyInfeasible", Said(Lack.KIND, "no card can be cut into such a slice", _LESS)),
    (
        "ModeNotFit|pod required sharing mode|pod required MIG",
        Said(Lack.KIND, "no node works in that mode", "Change `accelerator.mode`."),
    ),
    ("CardNotHealth", Said(Lack.FREE, "cards are broken", "Look at the nodes' device plugin.")),
    ("CardInsufficientMemory", Said(Lack.FREE, "no card has that much memory left", _LESS)),
    ("CardInsufficientCore|CardComputeUnits", Said(Lack.FREE, "no card has that much compute left", _LESS)),
    ("CardTimeSlicingExhausted", Said(Lack.FREE, "every card is shared by as many pods as it may be", _LESS)),
    ("ExclusiveDevice", Said(Lack.FREE, "whole cards are asked for, and every card has somebody on it", _LESS)),
    (
        "NodeInsufficientDevice|AllocatedCardsInsufficient",
        Said(Lack.FREE, "no node has that many cards with room", _LESS),
    ),
    ("NumaNotFit", Said(Lack.FREE, "no node has that many cards with room beside one socket", _LESS)),
    (
        "ResourceQuotaNotFit|ExceedsGPUQuota",
        Said(Lack.QUOTA, "a quota for cards has no room", "Raise the quota, or ask for less in `accelerator`."),
    ),
    ("NodeUnfitPod", Said(Lack.OTHER, "no node has such cards with room", _LESS)),
    (
        "node unregistered",
        Said(Lack.PLUGIN, "HAMi knows of no cards", "Start HAMi's device plugin on the nodes (label gpu=on)."),
    ),
    # volcano-sh/volcano, pkg/scheduler/api/devices/nvidia/vgpu and plugins/deviceshare
    (
        "no enough gpu cards|not enough gpu fitted|vgpuDeviceSharing error",
        Said(Lack.FREE, "no node has such cards with room", _LESS),
    ),
    (
        "not initialized with device",
        Said(Lack.PLUGIN, "Volcano knows of no cards", "Start Volcano's vGPU device plugin on the nodes."),
    ),
    (
        "pod group is not ready",
        Said(Lack.OTHER, "Volcano waits for the rest of the pod's group", "Look at the PodGroup and its queue."),
    ),
    # tkestack/gpu-admission, pkg/predicate
    (
        "had been predicated|already been matched to another node|does not match with this node",
        Said(
            Lack.OTHER,
            "gpu-admission has chosen cards for the pod already, and they are not to be had",
            "Delete the pod: a new one takes its place.",
        ),
    ),
    ("quota has not been synced", Said(Lack.QUOTA, "gpu-admission does not know the quotas yet", "It is tried again.")),
    (
        "no GPU device",
        Said(Lack.PLUGIN, "gpu-admission knows of no cards", "Start gpu-manager on the nodes (nvidia-device-enable)."),
    ),
    # AliyunContainerService/gpushare-scheduler-extender, pkg/scheduler/gpushare-predicate.go
    ("Insufficient GPU Memory in one device", Said(Lack.FREE, "no card has that much memory left", _LESS)),
    (
        "is not for GPU share",
        Said(
            Lack.PLUGIN, "no node has cards to share", "Start gpushare's device plugin on the nodes (label gpushare)."
        ),
    ),
)


def vendor(words: Words) -> Said | None:
    """What a vendor's scheduler says, in our words: the reason that comes first in our table, for the first say most."""
    told = "\n".join(reason for _, reason in words.reasons)
    return next((said for pattern, said in _VENDORS if re.search(pattern, told)), None)


_REFUSALS: tuple[tuple[str, str, str], ...] = (
    (
        # NVIDIA/k8s-device-plugin, internal/rm and internal/plugin/server.go: the words that all versions share
        r"maximum request size for shared resources is 1",
        "the node shares its cards, and a pod may ask for one share only",
        "Set `accelerator.count: 1`, with `sharing` as the node has it, or choose nodes with whole cards.",
    ),
    (
        # tkestack/gpu-manager, pkg/services/allocator/nvidia/allocator.go
        r"must be multiple of 100|not permitted in share mode|share mode is not enabled|request memory .* is larger than",
        "Tencent's gpu-manager cannot divide a card like that",
        "Set both `accelerator.memoryPerCard` and `corePercent` below 100, or ask for whole cards.",
    ),
    (
        # tkestack/gpu-manager; Project-HAMi/volcano-vgpu-device-plugin and Project-HAMi/HAMi, device plugin, Allocate
        r"candidate pod not found|cannot get valid pod|node mismatch|annotation .*not (exist|found)|no pending pod",
        "the vendor's scheduler did not choose its cards: another one placed the pod",
        "Check that the vendor's scheduler, its extender and its webhook run; `pantala gpus` shows what the nodes have.",
    ),
    (
        # k8s.io/kubernetes, pkg/kubelet/cm/devicemanager/manager.go
        r"[Rr]equested number of devices unavailable",
        "the node has fewer cards than the scheduler believed",
        "A new pod is made; if that fails as well, look at the device plugin of the node.",
    ),
)
REFUSED = "UnexpectedAdmissionError"
"""Reason of a pod that the kubelet turned away, for instance because a device plugin would not hand out what was asked
(k8s.io/kubernetes, pkg/kubelet/lifecycle/predicate.go)."""


def refused(text: str) -> tuple[str, str] | None:
    """Why a kubelet turned a pod away, and the next step; None if that was not about devices (a CPU manager refuses too)."""
    for pattern, words, step in _REFUSALS:
        if re.search(pattern, text):
            return words, step
    if "rpc error" not in text:
        return None
    return "its device plugin did not hand out the cards", "Look at the device plugin of the node."
