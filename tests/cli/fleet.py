"""Nodes with cards of every provider, and pods on them, as their device plugins and schedulers leave them in an API server."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

Object = dict[str, Any]
NAMESPACE = "gpus"
TAINT = {"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}
MODEL = "NVIDIA-A100-SXM4-80GB"


def node(
    name: str,
    offered: Mapping[str, str] | None = None,
    *,
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
    taints: Sequence[Mapping[str, str]] = (),
    cordoned: bool = False,
    capacity: Mapping[str, str] | None = None,
) -> Object:
    """A node that offers resources; `capacity` where that differs, `annotations` beside the one by which KWOK plays it."""
    room = {"cpu": "32", "memory": "256Gi", "pods": "250"}
    spec: Object = {"taints": list(taints)} if taints else {}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "labels": {"kubernetes.io/hostname": name, "type": "gpus", **(labels or {})},
            "annotations": {"kwok.x-k8s.io/node": "fake", **(annotations or {})},
        },
        "spec": {**spec, "unschedulable": True} if cordoned else spec,
        "status": {
            "capacity": room | dict(offered or {}) | dict(capacity or {}),
            "allocatable": room | dict(offered or {}),
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }


def pod(
    name: str,
    on: str,
    limits: Mapping[str, str] | None = None,
    *,
    annotations: Mapping[str, str] | None = None,
    sees: str = "",
    phase: str = "Running",
    init: Sequence[Object] = (),
) -> Object:
    """A pod that is bound to a node; `init` are its init containers."""
    container: Object = {"name": "server", "image": "example.com/server:1"}
    if limits:
        container["resources"] = {"limits": dict(limits)}
    if sees:
        container["env"] = [{"name": "NVIDIA_VISIBLE_DEVICES", "value": sees}]
    spec: Object = {"nodeName": on, "containers": [container], "terminationGracePeriodSeconds": 0}
    spec["tolerations"] = [{"operator": "Exists"}]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": NAMESPACE, "annotations": dict(annotations or {})},
        "spec": {**spec, "initContainers": list(init)} if init else spec,
        "status": {"phase": phase},
    }


def init_container(name: str, limits: Mapping[str, str], *, sidecar: bool = False) -> Object:
    """An init container that asks for cards."""
    made: Object = {"name": name, "image": "example.com/init:1", "resources": {"limits": dict(limits)}}
    return {**made, "restartPolicy": "Always"} if sidecar else made


def hami_register(*memory: int) -> str:
    """The register of HAMi's device plugin: a card for each amount of MiB, `GPU-h0`, `GPU-h1`, ..."""
    cards = [
        {
            "id": f"GPU-h{index}",
            "count": 10,
            "devmem": size,
            "devcore": 100,
            "type": "NVIDIA-NVIDIA A100",
            "health": True,
        }
        for index, size in enumerate(memory)
    ]
    return json.dumps(cards, separators=(",", ":"))


def device(name: str, **attributes: str) -> Object:
    """A device of NVIDIA's driver."""
    return {
        "name": name,
        "attributes": {key: {"string": value} for key, value in attributes.items()},
        "capacity": {"memory": {"value": "80Gi"}},
    }


def resource_slice(
    name: str, on: str, devices: Sequence[Object], *, driver: str = "gpu.nvidia.com", **pool: int
) -> Object:
    """What a driver of DynamicResourceAllocation offers on a node."""
    return {
        "apiVersion": "resource.k8s.io/v1",
        "kind": "ResourceSlice",
        "metadata": {"name": name},
        "spec": {
            "driver": driver,
            "nodeName": on,
            "pool": {"name": on, "generation": pool.get("generation", 1), "resourceSliceCount": 1},
            "devices": list(devices),
        },
    }


def claim(name: str, *devices: str, on: str, pods: Sequence[str] = (), driver: str = "gpu.nvidia.com") -> Object:
    """A claim that was given devices of a node."""
    results = [{"request": "cards", "driver": driver, "pool": on, "device": device} for device in devices]
    users = [{"resource": "pods", "name": user, "uid": f"uid-{user}"} for user in pods]
    request = {"name": "cards", "exactly": {"deviceClassName": "gpu.nvidia.com", "count": len(devices) or 1}}
    return {
        "apiVersion": "resource.k8s.io/v1",
        "kind": "ResourceClaim",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"devices": {"requests": [request]}},
        "status": {"allocation": {"devices": {"results": results}}, "reservedFor": users} if devices else {},
    }


CARDS = ("gpu-nvidia", "gpu-shared", "gpu-mig", "gpu-hami", "gpu-volcano", "gpu-tencent", "gpu-aliyun", "gpu-dra")

NODES: tuple[Object, ...] = (
    node("cpu-1"),
    node(
        "gpu-nvidia",
        {"nvidia.com/gpu": "8"},
        labels={"nvidia.com/gpu.product": MODEL, "nvidia.com/gpu.count": "8", "nvidia.com/gpu.present": "true"},
        taints=[TAINT],
    ),
    node(
        "gpu-shared",
        {"nvidia.com/gpu.shared": "10"},
        labels={"nvidia.com/gpu.product": "Tesla-T4", "nvidia.com/gpu.sharing-strategy": "time-slicing"},
        taints=[TAINT],
    ),
    node(
        "gpu-mig",
        {"nvidia.com/mig-1g.10gb": "7", "nvidia.com/mig-3g.40gb": "2", "nvidia.com/gpu": "1"},
        labels={"nvidia.com/gpu.product": MODEL, "nvidia.com/mig.strategy": "mixed"},
    ),
    node(
        "gpu-hami",
        {"nvidia.com/gpu": "20"},
        labels={"gpu": "on"},
        annotations={"hami.io/node-nvidia-register": hami_register(81920, 40960)},
    ),
    node(
        "gpu-volcano",
        {"volcano.sh/vgpu-number": "20", "volcano.sh/vgpu-memory": "32k"},
        annotations={
            "volcano.sh/node-vgpu-register": "GPU-v0,10,16000,NVIDIA-Tesla V100,true,hami-core:"
            "GPU-v1,10,16000,NVIDIA-Tesla V100,true,hami-core:"
        },
    ),
    node(
        "gpu-tencent",
        {"tencent.com/vcuda-core": "400", "tencent.com/vcuda-memory": "240"},
        labels={"gaia.tencent.com/gpu-model": "T4"},
    ),
    node("gpu-aliyun", {"aliyun.com/gpu-mem": "30", "aliyun.com/gpu-count": "2"}, labels={"gpushare": "true"}),
    node("gpu-dra"),
    node(
        "gpu-twice",
        {"nvidia.com/gpu": "6", "tencent.com/vcuda-core": "800", "tencent.com/vcuda-memory": "480"},
        capacity={"nvidia.com/gpu": "8"},
        cordoned=True,
    ),
    node("gpu-unserved", labels={"nvidia.com/gpu.present": "true"}),
)
"""A node without cards, one of each provider, and those about which there is something to say."""

HAMI = "hami.io/vgpu-devices-allocated"
ALIYUN, TENCENT = "ALIYUN_COM_GPU_MEM_IDX", "tencent.com/predicate-gpu-idx-"
VOLCANO = "volcano.sh/vgpu-ids-new"

PODS: tuple[Object, ...] = (
    pod("web", "cpu-1"),
    pod("whole-a", "gpu-nvidia", {"nvidia.com/gpu": "2"}),
    pod("whole-b", "gpu-nvidia", {"nvidia.com/gpu": "1"}, init=[init_container("warm", {"nvidia.com/gpu": "3"})]),
    pod("ended", "gpu-nvidia", {"nvidia.com/gpu": "4"}, phase="Failed"),
    pod("sliced", "gpu-shared", {"nvidia.com/gpu.shared": "1"}),
    pod("mig-a", "gpu-mig", {"nvidia.com/mig-1g.10gb": "2"}),
    pod(
        "hami-a",
        "gpu-hami",
        {"nvidia.com/gpu": "2", "nvidia.com/gpumem": "20000", "nvidia.com/gpucores": "30"},
        annotations={HAMI: "GPU-h0,NVIDIA,20000,30:GPU-h1,NVIDIA,20000,30:;"},
    ),
    pod(
        "hami-b",
        "gpu-hami",
        {"nvidia.com/gpu": "1", "nvidia.com/gpumem": "10000"},
        annotations={HAMI: "GPU-h0,NVIDIA,10000,0:;"},
    ),
    pod("hami-c", "gpu-hami", {"nvidia.com/gpu": "1"}, annotations={HAMI: "GPU-h0;NVIDIA"}),
    pod(
        "volcano-a",
        "gpu-volcano",
        {"volcano.sh/vgpu-number": "1", "volcano.sh/vgpu-memory": "3000", "volcano.sh/vgpu-cores": "50"},
        annotations={VOLCANO: "GPU-v1,NVIDIA,3000,50:"},
    ),
    pod(
        "tencent-share",
        "gpu-tencent",
        {"tencent.com/vcuda-core": "50", "tencent.com/vcuda-memory": "30"},
        annotations={f"{TENCENT}0": "3"},
    ),
    pod("tencent-whole", "gpu-tencent", {"tencent.com/vcuda-core": "200"}, annotations={f"{TENCENT}0": "0,1"}),
    pod("aliyun-a", "gpu-aliyun", {"aliyun.com/gpu-mem": "4"}, annotations={ALIYUN: "1"}),
    pod("peeks", "gpu-nvidia", sees="0,1"),
    pod("blind", "gpu-nvidia", sees="void"),
    pod("lonely", "gpu-unserved", sees="all"),
)

SLICES: tuple[Object, ...] = (
    resource_slice(
        "gpu-dra-gpu.nvidia.com-x2x4z",
        "gpu-dra",
        [
            device("gpu-0", type="gpu", productName="NVIDIA H100 80GB HBM3"),
            device("gpu-1", type="gpu", productName="NVIDIA H100 80GB HBM3"),
            device("gpu-2-mig-0", type="mig", productName="NVIDIA H100 80GB HBM3", profile="1g.10gb"),
        ],
        generation=2,
    ),
)

CLAIMS: tuple[Object, ...] = (claim("dra-a-cards", "gpu-0", on="gpu-dra", pods=["dra-a"]), claim("waits", on="gpu-dra"))


def claiming_pod() -> list[Object]:
    """What a scheduler makes the first of `CLAIMS` of: a class, a template and a pod, which is bound to no node yet."""
    request = {"name": "cards", "exactly": {"deviceClassName": "gpu.nvidia.com"}}
    is_card = "device.driver == 'gpu.nvidia.com' && device.attributes['gpu.nvidia.com'].type == 'gpu'"
    made = pod("dra-a", "")
    made["spec"].pop("nodeName")
    made["spec"]["resourceClaims"] = [{"name": "cards", "resourceClaimTemplateName": "one-card"}]
    made["spec"]["containers"][0]["resources"] = {"claims": [{"name": "cards"}]}
    return [
        {
            "apiVersion": "resource.k8s.io/v1",
            "kind": "DeviceClass",
            "metadata": {"name": "gpu.nvidia.com"},
            "spec": {"selectors": [{"cel": {"expression": is_card}}]},
        },
        {
            "apiVersion": "resource.k8s.io/v1",
            "kind": "ResourceClaimTemplate",
            "metadata": {"name": "one-card", "namespace": NAMESPACE},
            "spec": {"spec": {"devices": {"requests": [request]}}},
        },
        made,
    ]
