"""A tier that cannot run says why."""

import os

import pytest

from tests.cluster import ClusterError, ClusterSpec, ToolMissingError, kind, tier


def test_nodes_need_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without root there are the control plane and KWOK nodes; that is what the message says."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(tier, "NODE", {})
    monkeypatch.setattr(tier, "CNI", "/")
    with pytest.raises(ToolMissingError, match=r"real nodes need root .* there are the control plane and KWOK nodes"):
        tier.require(ClusterSpec(nodes=1))
    tier.require(ClusterSpec(kwok=1))


def test_missing_programs_are_named_by_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is missing is named as the package to install."""
    monkeypatch.setattr(tier, "NODE", {"no-such-program": "some-package"})
    monkeypatch.setattr(tier, "CNI", "/nowhere/bridge")
    assert tier.missing(nodes=True).startswith(
        "programs are missing: apt-get install containernetworking-plugins some-package"
    )


def test_kind_needs_its_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without kind and Docker the message names both, and the provider that needs neither."""
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(ToolMissingError, match=r"needs kind and docker .* the embedded provider needs neither"):
        kind.KindCluster.start("pantala")


@pytest.mark.parametrize("wrong", [{"name": "Big_Name"}, {"name": ""}, {"nodes": 9}, {"nodes": -1}])
def test_impossible_specifications_are_refused(wrong: dict[str, object]) -> None:
    """A name that cannot be a host name and a number of nodes that has no addresses are refused at once."""
    with pytest.raises(ClusterError):
        ClusterSpec(**wrong)  # type: ignore[arg-type]
