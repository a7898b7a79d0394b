"""Nodes as the vendors' device plugins describe them, in the form that the operator keeps."""

import json
from typing import Any

Fields = dict[str, Any]


def node(
    name: str,
    *,
    labels: dict[str, str] | None = None,
    annotations: dict[str, str] | None = None,
    allocatable: dict[str, str] | None = None,
    taints: list[Any] | None = None,
    unschedulable: bool = False,
) -> Any:
    """A Node."""
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels or {}, "annotations": annotations or {}},
        "spec": {**({"taints": taints} if taints else {}), **({"unschedulable": True} if unschedulable else {})},
        "status": {"allocatable": allocatable or {}},
    }


def having(allocatable: dict[str, str], **fields: Any) -> Fields:
    """A node with these resources."""
    return {"allocatable": allocatable, **fields}


def mig(profile: str) -> Fields:
    """NVIDIA's device plugin with strategy Mixed, seven slices of a profile."""
    return having({f"nvidia.com/mig-{profile}": "7"}, labels={"nvidia.com/mig.strategy": "mixed"})


def shared(resource: str = "nvidia.com/gpu.shared") -> Fields:
    """NVIDIA's device plugin with ten time slices of one card."""
    labels = {"nvidia.com/gpu.sharing-strategy": "time-slicing", "nvidia.com/gpu.count": "1"}
    return having({resource: "10"}, labels=labels)


def unshared(hami: Fields) -> Fields:
    """A node of HAMi's whose cards are for one pod each (deviceSplitCount 1)."""
    (register,) = hami["annotations"]
    cards = [{**card, "count": 1} for card in json.loads(hami["annotations"][register])]
    return {**hami, "annotations": {register: json.dumps(cards)}, "allocatable": {"nvidia.com/gpu": str(len(cards))}}


NVIDIA = having({"nvidia.com/gpu": "8"})
"""NVIDIA's device plugin, without GPU feature discovery."""
MIG_SINGLE = having(
    {"nvidia.com/gpu": "7"},
    labels={
        "nvidia.com/mig.strategy": "single",
        "nvidia.com/gpu.slices.gi": "1",
        "nvidia.com/gpu.memory": "9728",
        "nvidia.com/gpu.product": "NVIDIA-A100-SXM4-80GB-MIG-1g.10gb",
    },
)
HAMI = having(
    {"nvidia.com/gpu": "20"},
    annotations={
        "hami.io/node-nvidia-register": json.dumps(
            [
                {
                    "id": f"GPU-{index}",
                    "count": 10,
                    "devmem": 24576,
                    "devcore": 100,
                    "type": "NVIDIA-NVIDIA A10",
                    "mode": "hami-core",
                    "health": True,
                }
                for index in range(2)
            ]
        )
    },
)
"""HAMi with two cards of 24 GiB, each for ten pods."""
VOLCANO = having(
    {"volcano.sh/vgpu-number": "20", "volcano.sh/vgpu-memory": "49152", "volcano.sh/vgpu-cores": "200"},
    annotations={
        "volcano.sh/node-vgpu-register": "GPU-0,10,24576,NVIDIA-NVIDIA A10,true,hami-core:"
        "GPU-1,10,24576,NVIDIA-NVIDIA A10,true,hami-core:"
    },
)
"""The same with Volcano's device plugin."""
TENCENT = having({"tencent.com/vcuda-core": "200", "tencent.com/vcuda-memory": "192"})
"""gpu-manager with two cards of 24 GiB."""
ALIYUN = having({"aliyun.com/gpu-mem": "48", "aliyun.com/gpu-count": "2"})
"""gpushare's device plugin with two cards of 24 GiB."""
