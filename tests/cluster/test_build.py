"""What is built, from which module, and which programs are used."""

from pathlib import Path

import pytest

from tests.cluster import build
from tests.cluster.errors import ClusterError


@pytest.mark.parametrize("name", sorted(build.TOOLS))
def test_key_names_tool_and_version(name: str) -> None:
    """Every program has a go.mod and go.sum here; its cache entry is named after its version."""
    tool = build.TOOLS[name]
    assert tool.key.startswith(f"{name}-{tool.version}-")


def test_ensure_refuses_unknown() -> None:
    """A program that is not known is refused with the list of those that are."""
    with pytest.raises(ClusterError, match=r"unknown program kubeadm; there are etcd, kube-apiserver"):
        build.ensure(["kubeadm"])


def test_kubebuilder_assets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """KUBEBUILDER_ASSETS names the programs of the control plane; what it lacks is built."""
    program = tmp_path / "etcd"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path))
    assert build.ensure(["etcd"])["etcd"] == program
    assert build.prebuilt("kubectl") is None
    assert build.prebuilt("kubelet") is None


def test_kubernetes_carries_its_version() -> None:
    """Without the version flags the server would call itself v0.0.0 and clients would misjudge it."""
    flags = build._ldflags(build.TOOLS["kube-apiserver"])
    assert "gitVersion=v1.36." in flags
    assert "gitMinor=36" in flags
