"""What is built, from which module, and which programs are used."""

from pathlib import Path

import pytest

from tests.cluster import build, cargo, toolchain
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


def test_no_rust(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without Rust the message says which one is needed and where it comes from; nothing is left in the cache."""
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(ClusterError, match=r"rustc >= 1\.88; there is no rustc .* rustup, or .* cargo-web rustc-web"):
        toolchain.cargo()


def test_old_rust(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Rust that is too old, as Debian's, is named with its version."""
    for name in ("cargo", "rustc"):
        (tmp_path / name).write_text("#!/bin/sh\necho 'rustc 1.63.0'\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ClusterError, match=r"rustc on PATH is 1\.63"):
        toolchain.cargo()


def test_packages_of_rust_build_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the build of Dragonfly needs besides Rust is named as Debian packages, all at once, and setup installs them."""
    monkeypatch.setenv("PATH", "/nowhere")
    listed = (Path(build.__file__).parent / "debian-packages-p2p.txt").read_text()
    assert {"g++", "make", "protobuf-compiler"} <= set(cargo.missing_packages())
    assert all(f"\n{package} " in listed for package in cargo.missing_packages())


def test_heavy_tools_are_not_built_by_default() -> None:
    """Those of mesh, KEDA and peer-to-peer take long and are built by `make tools-NAME` only."""
    default = {*build.CONTROL_PLANE, *build.NODE, *build.KWOK}
    assert not default & {*build.MESH, *build.KEDA, *build.P2P}
    assert {*build.MESH, *build.KEDA, *build.P2P} <= set(build.TOOLS)
