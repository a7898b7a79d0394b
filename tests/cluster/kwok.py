"""Simulated nodes: pods on them become Ready without a process. For counts and speed; they prove nothing about traffic."""

import json
import subprocess
from typing import Any

from tests.cluster import build
from tests.cluster.errors import ClusterError
from tests.cluster.process import Processes
from tests.cluster.spec import ClusterSpec, Paths

_STAGES = (
    "node/fast/node-initialize.yaml",
    "node/heartbeat-with-lease/node-heartbeat-with-lease.yaml",
    "pod/fast/pod-ready.yaml",
    "pod/fast/pod-complete.yaml",
    "pod/fast/pod-delete.yaml",
)
"""Behaviours that kwok plays, from its own module; it has none built in."""

_MARK = {"kwok.x-k8s.io/node": "fake"}


def start(spec: ClusterSpec, paths: Paths, processes: Processes) -> None:
    """Start kwok, create the nodes and wait until they are Ready."""
    program = build.ensure(build.KWOK)["kwok"]
    stages = paths.root / "kwok.yaml"
    stages.write_text("\n---\n".join((program.parent / "stage" / name).read_text() for name in _STAGES))
    nodes = paths.root / "kwok-nodes.json"
    nodes.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": node_objects(spec)}))
    _kubectl(paths, "create", "-f", str(nodes))
    flags = [
        f"--kubeconfig={paths.kubeconfig}",
        f"--config={stages}",
        "--manage-all-nodes=false",
        "--manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake",
        "--cidr=10.128.0.0/10",  # one address per pod: the default has 254
        "--node-lease-duration-seconds=40",
        "--server-address=",
    ]
    processes.start("kwok", [str(program), *flags])
    _kubectl(paths, "wait", "--for=condition=Ready", "nodes", "--selector=type=kwok", "--timeout=60s")
    if spec.scale:  # the controller that removes the taint of a new node is off
        _kubectl(paths, "taint", "nodes", "--selector=type=kwok", "node.kubernetes.io/not-ready:NoSchedule-")


def _kubectl(paths: Paths, *arguments: str) -> None:
    command = [str(build.ensure(["kubectl"])["kubectl"]), f"--kubeconfig={paths.kubeconfig}", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ClusterError(f"KWOK nodes: {done.stderr.strip()}")


def node_objects(spec: ClusterSpec) -> list[dict[str, Any]]:
    """The Node objects of a cluster: 32 CPUs, 256 GiB and GPUs each, and room for 250 pods."""
    room = {"cpu": "32", "memory": "256Gi", "ephemeral-storage": "1Ti", "pods": "250", "nvidia.com/gpu": str(spec.gpus)}
    return [
        {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {
                "name": f"kwok-{index}",
                "annotations": {**_MARK, "node.alpha.kubernetes.io/ttl": "0"},
                "labels": {
                    "kubernetes.io/hostname": f"kwok-{index}",
                    "kubernetes.io/os": "linux",
                    "kubernetes.io/arch": "amd64",
                    "type": "kwok",
                },
            },
            "status": {"capacity": room, "allocatable": room},
        }
        for index in range(spec.kwok)
    ]
