"""A tier that cannot run says why."""

import os
import subprocess
import sys
from pathlib import Path

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


@pytest.mark.parametrize(
    ("marks", "expected"), [((), "unit"), (("asyncio", "e2e"), "e2e"), (("mesh", "e2e"), "mesh"), (("bench",), "unit")]
)
def test_a_test_belongs_to_its_rarest_tier(marks: tuple[str, ...], expected: str) -> None:
    """What needs a mesh and real nodes is reported where it is most likely missing."""
    assert tier.of(marks) == expected


def test_missing_tiers_are_reported_by_name(tmp_path: Path) -> None:
    """A real run on a machine that has built nothing ends with a line per tier: what ran, what did not and why."""
    root = Path(__file__).parents[2]
    command = (sys.executable, "-m", "pytest", "-q", "tests/cluster/test_tools.py", "tests/cluster/test_build.py")
    env = os.environ | {"XDG_CACHE_HOME": str(tmp_path)}
    done = subprocess.run(command, cwd=root, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    lines = [line for line in done.stdout.splitlines() if line.startswith("tier ")]
    assert [line.split(":")[0] for line in lines] == [f"tier {name}" for name in tier.TIERS]
    assert lines[0].startswith("tier unit: ran ")
    assert lines[2:] == [
        "tier e2e: no test was asked for",
        "tier mesh: skipped 1 because not built: istiod, gateway-api (`make tools-mesh` builds it)",
        "tier adapter: skipped 3 because not built: prometheus-adapter, metrics-server, prometheus-operator (`make tools-adapter` builds it)",
        "tier keda: skipped 2 because not built: keda-adapter, keda-operator, keda-config (`make tools-keda` builds it)",
        "tier p2p: skipped 2 because not built: dfdaemon, versitygw, fake-gcs-server (`make tools-p2p` builds it)",
    ]
