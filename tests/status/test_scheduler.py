"""Schedulers' messages, taken apart."""

import pytest

from pantala.status import scheduler
from pantala.status.scheduler import Lack, Words

TAIL = (
    "preemption: 0/3 nodes are available: 1 No preemption victims found for incoming pod, 2 Preemption is not helpful."
)

# Real messages and what they are taken for.
MESSAGES: dict[str, tuple[str, Words]] = {
    "1.36": (
        f"0/3 nodes are available: 1 Insufficient nvidia.com/gpu, 2 node(s) had untolerated taint(s). no new claims to deallocate, {TAIL}",
        Words(3, ((1, "Insufficient nvidia.com/gpu"), (2, "node(s) had untolerated taint(s)"))),
    ),
    "1.31": (
        f"0/3 nodes are available: 10 Insufficient nvidia.com/mig-1g.10gb, 3 node(s) had untolerated taint {{nvidia.com/gpu: present}}. {TAIL}",
        Words(
            3,
            (
                (10, "Insufficient nvidia.com/mig-1g.10gb"),
                (3, "node(s) had untolerated taint {nvidia.com/gpu: present}"),
            ),
        ),
    ),
    "a reason with commas": (
        "0/1 nodes are available: 1 node(s) had taint {a: b}, that the pod didn't tolerate.",
        Words(1, ((1, "node(s) had taint {a: b}, that the pod didn't tolerate"),)),
    ),
    "no histogram": (
        f"0/3 nodes are available: request cards: device class gpu.nvidia.com does not exist. {TAIL}",
        Words(3, ((0, "request cards: device class gpu.nvidia.com does not exist"),)),
    ),
    "Volcano": (
        "0/2 nodes are unavailable: 1 hami-vgpuDeviceSharing error, 1 node(s) had untolerated taint {a: }.",
        Words(2, ((1, "hami-vgpuDeviceSharing error"), (1, "node(s) had untolerated taint {a: }"))),
    ),
    "HAMi": (
        "0/4 nodes are available: 1 2/2 CardInsufficientMemory, 3 node unregistered.",
        Words(4, ((1, "2/2 CardInsufficientMemory"), (3, "node unregistered"))),
    ),
    "no node": ("no nodes available to schedule pods", Words(0, ((0, "no nodes available to schedule pods"),))),
    "gated": (
        "Scheduling is blocked due to non-empty scheduling gates",
        Words(0, ((0, "Scheduling is blocked due to non-empty scheduling gates"),)),
    ),
    "nothing": ("", Words(0, ())),
}


@pytest.mark.parametrize("name", MESSAGES)
def test_parse(name: str) -> None:
    """Numbers of nodes with their reasons; what is said of preemption is left out."""
    text, words = MESSAGES[name]
    assert scheduler.parse(text) == words


def test_lacking() -> None:
    """Resources of which there is too little; a vendor's sentence that begins with the same word is none."""
    words = scheduler.parse(
        "0/3 nodes are available: 2 Insufficient aliyun.com/gpu-mem, 1 Insufficient GPU Memory in one device."
    )
    assert words.lacking() == {"aliyun.com/gpu-mem": 2}


def test_brief() -> None:
    """A message without what it says of preemption."""
    assert scheduler.brief(MESSAGES["1.36"][0]) == (
        "0/3 nodes are available: 1 Insufficient nvidia.com/gpu, 2 node(s) had untolerated taint(s)."
    )
    assert scheduler.brief("no nodes available to schedule pods") == "no nodes available to schedule pods"


def test_the_node_that_has_cards_says_more() -> None:
    """Nodes without HAMi are `unregistered`; why the others do not do is what counts."""
    said = scheduler.vendor(scheduler.parse("0/4 nodes are available: 1 2/2 CardNotHealth, 3 node unregistered."))
    assert said is not None
    assert said.lack is Lack.FREE
    assert scheduler.vendor(scheduler.parse("0/4 nodes are available: 4 Insufficient cpu.")) is None
