"""Simulated nodes: pods on them become Ready without a process. For counts and speed; they prove nothing about traffic."""

import json
from pathlib import Path
from typing import Any

import yaml

from tests.cluster import build
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
    """Start kwok and create the nodes."""
    program = build.ensure(build.KWOK)["kwok"]
    stages = paths.root / "kwok.yaml"
    stages.write_text("\n---\n".join((program.parent / "stage" / name).read_text() for name in _STAGES))
    nodes = paths.root / "kwok-nodes.json"
    nodes.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": node_objects(spec)}))
    kubectl = str(build.ensure(["kubectl"])["kubectl"])
    run(kubectl, paths.kubeconfig, nodes)
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


def run(kubectl: str, kubeconfig: Path, file: Path) -> None:
    """Create the objects of a file."""
    import subprocess  # noqa: PLC0415

    from tests.cluster.errors import ClusterError  # noqa: PLC0415

    command = [kubectl, f"--kubeconfig={kubeconfig}", "create", "-f", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ClusterError(f"creating KWOK nodes: {done.stderr.strip()}")


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
            "status": {"capacity": room, "allocatable": room, "nodeInfo": {"operatingSystem": "linux"}},
        }
        for index in range(spec.kwok)
    ]


def stages_text(program: Path) -> list[dict[str, Any]]:
    """The stages beside a built kwok, parsed; for tests."""
    return [yaml.safe_load((program.parent / "stage" / name).read_text()) for name in _STAGES]
