"""Every field of `accelerator` is changed once; the real kubelet runs the pods of those whose scheduler is the cluster's own.

The node offers what each vendor's device plugin would: extended resources that an administrator wrote into its status, which the
kubelet keeps. No plugin is there, so what is seen of a share is what its vendor would see.
"""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.cluster.process import wait_for
from tests.e2e import fields
from tests.e2e.fields import Change
from tests.e2e.stories import SERVER
from tests.e2e.support import BUCKET, Space

pytestmark = pytest.mark.e2e

CARDS = ["GPU-00000000-0000-4000-8000-000000000001", "GPU-00000000-0000-4000-8000-000000000002"]
HOPPER = "device.driver == 'gpu.nvidia.com' && device.attributes['gpu.nvidia.com'].architecture == 'Hopper'"
OFFERED = {
    "nvidia.com/gpu": "4",
    "nvidia.com/gpu.shared": "4",
    "nvidia.com/gpumem": "64000",
    "nvidia.com/gpumem-percentage": "400",
    "nvidia.com/gpucores": "400",
    "tencent.com/vcuda-core": "100",
    "tencent.com/vcuda-memory": "100",
    "aliyun.com/gpu-mem": "24",
}
LABELS = {"nvidia.com/gpu.sharing-strategy": "mps"}
Seen = dict[str, Any]


def _limit(name: str, value: str) -> Callable[[Seen], bool]:
    return lambda seen: seen["limits"].get(name) == value


def _annotation(name: str, value: str) -> Callable[[Seen], bool]:
    return lambda seen: seen["annotations"].get(name) == value


def _env(name: str, value: str) -> Callable[[Seen], bool]:
    return lambda seen: seen["env"].get(name) == value


def _node(key: str, *values: str) -> Callable[[Seen], bool]:
    return lambda seen: (key, list(values)) in seen["nodes"]


RUNNING: dict[str, list[Change]] = {
    "hami": [
        Change("accelerator.provider", "hami", lambda seen: seen["provider"] == "hami"),
        Change("accelerator.count", 2, _limit("nvidia.com/gpu", "2")),
        Change("accelerator.memoryPerCard", "8000Mi", _limit("nvidia.com/gpumem", "8k")),
        Change("accelerator.corePercent", 50, _limit("nvidia.com/gpucores", "50")),
        Change("accelerator.oversubscribe", value=True, seen=_env("CUDA_OVERSUBSCRIBE", "true")),
        Change("accelerator.mode", "HAMiCore", _annotation("nvidia.com/vgpu-mode", "hami-core")),
        Change("accelerator.nodePolicy", "Spread", _annotation("hami.io/node-scheduler-policy", "spread")),
        Change("accelerator.cardPolicy", "Binpack", _annotation("hami.io/gpu-scheduler-policy", "binpack")),
        Change("accelerator.cardType.allow", ["A100", "H100"], _annotation("nvidia.com/use-gputype", "A100,H100")),
        Change("accelerator.cardType.deny", ["A100-PCIE"], _annotation("nvidia.com/nouse-gputype", "A100-PCIE")),
        Change("accelerator.devices", CARDS, _annotation("nvidia.com/use-gpuuuid", ",".join(CARDS))),
    ],
    "percent": [
        Change("accelerator.provider", "hami", lambda seen: seen["provider"] == "hami"),
        Change("accelerator.memoryPercent", 50, _limit("nvidia.com/gpumem-percentage", "50")),
    ],
    "tencent": [
        Change("accelerator.provider", "tencent", lambda seen: seen["provider"] == "tencent"),
        Change("accelerator.corePercent", 30, _limit("tencent.com/vcuda-core", "30")),
        Change("accelerator.memoryPerCard", "7700Mi", _limit("tencent.com/vcuda-memory", "31")),
        Change("accelerator.coreLimit", 50, _annotation("tencent.com/vcuda-core-limit", "50")),
    ],
    "aliyun": [
        Change("accelerator.provider", "aliyun", lambda seen: seen["provider"] == "aliyun"),
        Change("accelerator.memoryPerCard", "2500Mi", _env("PANTALA_GPU_MEMORY_MIB", "3072")),
    ],
    "shared": [
        Change("accelerator.sharing", "MPS", _node("nvidia.com/gpu.sharing-strategy", "mps")),
    ],
    "visible": [
        Change("accelerator.provider", "visible-devices", lambda seen: seen["provider"] == "visible-devices"),
        Change("accelerator.devices", ["0", "1"], _env("NVIDIA_VISIBLE_DEVICES", "0,1")),
    ],
}
"""Models whose pods run, by name."""
WAITING: dict[str, list[Change]] = {
    "mig": [
        Change("accelerator.provider", "mig", lambda seen: seen["provider"] == "mig"),
        Change("accelerator.profile", "2g.20gb", _node("nvidia.com/gpu.slices.gi", "2")),
        Change("accelerator.strategy", "Single", _node("nvidia.com/mig.strategy", "single")),
    ],
    "claim": [
        Change("accelerator.provider", "dra", lambda seen: seen["provider"] == "dra"),
        Change("accelerator.deviceClass", "example.com", lambda seen: seen["claim"].get("deviceClassName") == "example.com"),
        Change("accelerator.selectors", [HOPPER],
               lambda seen: seen["claim"].get("selectors") == [{"cel": {"expression": HOPPER}}]),
    ],
}  # fmt: skip
"""Models whose pods wait, for nodes with slices and for a driver."""


@pytest.fixture
def node(space: Space) -> Iterator[None]:
    """The node offers what vendors' device plugins would, and none of it afterwards."""
    name = space.cluster.node_names[0]

    def patch(offered: dict[str, Any], labels: dict[str, Any]) -> None:
        body = json.dumps({"status": {"capacity": offered}})
        space.cluster.kubectl("patch", "node", name, "--subresource=status", "--type=merge", "-p", body)
        body = json.dumps({"metadata": {"labels": labels}})
        space.cluster.kubectl("patch", "node", name, "--type=merge", "-p", body)

    patch(OFFERED, LABELS)
    yield
    patch(dict.fromkeys(OFFERED), dict.fromkeys(LABELS))


def _seen(space: Space, name: str, *, running: bool) -> Seen:
    """What is seen of a model's cards in its pod, in its container if that runs, and in its status."""
    (pod,) = space.pods(name, "v1")
    server = pod["spec"]["containers"][0]
    terms = pod["spec"].get("affinity", {}).get("nodeAffinity", {})
    terms = terms.get("requiredDuringSchedulingIgnoredDuringExecution", {}).get("nodeSelectorTerms", ())
    claims = [it["resourceClaimTemplateName"] for it in pod["spec"].get("resourceClaims", ())]
    templates = [space.get("resourceclaimtemplate", claim)["spec"]["spec"]["devices"] for claim in claims]
    env = space.kubectl("exec", pod["metadata"]["name"], "-c", "server", "--", "env") if running else ""
    (version,) = space.status(name)["versions"]
    return {
        "limits": server.get("resources", {}).get("limits", {}),
        "annotations": pod["metadata"].get("annotations", {}),
        "nodes": [(it["key"], it.get("values")) for term in terms for it in term["matchExpressions"]],
        "env": dict(line.split("=", 1) for line in env.splitlines() if "=" in line),
        "claim": next((it["requests"][0]["exactly"] for it in templates), {}),
        "provider": version.get("accelerator", {}).get("provider"),
    }


@pytest.mark.usefixtures("node")
def test_fields_of_cards(space: Space) -> None:
    """Each field reaches the pod in its vendor's words, the pod runs where the node has what it asks for, and none has it without."""
    space.s3.put(BUCKET, "plain/word", b"stored")
    base = space.spec("custom", "plain/", runtime=dict(SERVER))
    space.apply("bare", base)
    for name, changes in (RUNNING | WAITING).items():
        space.apply(name, fields.applied(base, changes))
    space.wait_ready("bare")
    bare = _seen(space, "bare", running=True)
    assert bare["env"]["NVIDIA_VISIBLE_DEVICES"] == "void"
    for name, changes in RUNNING.items():
        space.wait_ready(name)
        seen = _seen(space, name, running=True)
        fields.check(changes, bare, seen)
        assert seen["env"].get("NVIDIA_VISIBLE_DEVICES") == ("0,1" if name == "visible" else None)
    for name, changes in WAITING.items():
        wait_for(lambda name=name: len(space.pods(name)) == 1, f"the pod of {name}", 60)
        space.wait(name, "why it waits", lambda status: "accelerator" in status.get("versions", [{}])[0])
        fields.check(changes, bare, _seen(space, name, running=False))
    for name in ("bare", *RUNNING, *WAITING):
        space.delete("inferencemodel", name)
