"""The other provider: kind, for machines with Docker and images. The same tests run on both."""

import json
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.cluster.cache import cache_root
from tests.cluster.errors import ClusterError, ToolMissingError

CONFIG = Path(__file__).parents[2] / "manifests" / "kind.yaml"
"""Three nodes, the NodePort range mapped."""


def kind_up(name: str, images: Iterable[str] = ()) -> Path:
    """Create a kind cluster, load local images into it, and return its kubeconfig."""
    kubeconfig = cache_root() / "kind" / f"{name}.kubeconfig"
    kubeconfig.parent.mkdir(parents=True, exist_ok=True)
    if name not in _kind("get", "clusters").split():
        _kind(
            "create",
            "cluster",
            "--name",
            name,
            "--config",
            str(CONFIG),
            "--kubeconfig",
            str(kubeconfig),
            "--wait",
            "120s",
        )
    else:
        _kind("export", "kubeconfig", "--name", name, "--kubeconfig", str(kubeconfig))
    for image in images:
        from tests.cluster import images as local

        _kind("load", "image-archive", str(local.ensure(image)), "--name", name)
    return kubeconfig


def kind_down(name: str) -> None:
    """Delete a kind cluster."""
    _kind("delete", "cluster", "--name", name)
    (cache_root() / "kind" / f"{name}.kubeconfig").unlink(missing_ok=True)


def kind_addresses(kubectl: str, kubeconfig: Path) -> list[str]:
    """Internal addresses of the nodes; on Linux, NodePorts answer there."""
    command = [kubectl, f"--kubeconfig={kubeconfig}", "get", "nodes", "-o", "json"]
    nodes: list[dict[str, Any]] = json.loads(
        subprocess.run(command, capture_output=True, text=True, check=True).stdout
    )["items"]
    return [it["address"] for node in nodes for it in node["status"]["addresses"] if it["type"] == "InternalIP"]


def _kind(*arguments: str) -> str:
    if not shutil.which("kind") or not shutil.which("docker"):
        raise ToolMissingError(
            "provider kind needs the programs kind (v0.33.0) and docker; the embedded provider needs neither"
        )
    done = subprocess.run(["kind", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise ClusterError(f"kind {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout
