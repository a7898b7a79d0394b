"""What each tier of tests needs from the machine, and whether it is there."""

import os
import re
import shutil
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.cluster import build
from tests.cluster.errors import ToolMissingError
from tests.cluster.spec import ClusterSpec

TIERS = ("unit", "apiserver", "e2e", "mesh", "adapter", "keda", "p2p")
"""Every tier, from what needs least; a test belongs to the last one that it is marked with, without a mark to `unit`."""

TOOLS = {"mesh": build.MESH, "adapter": build.ADAPTER, "keda": build.KEDA, "p2p": build.P2P}
"""Programs of the tiers that `make tools` does not build: `make tools-mesh`, `tools-adapter`, `tools-keda`, `tools-p2p` do."""

CONTROL_PLANE = {"openssl": "openssl"}
"""Programs of the control plane and the Debian packages that hold them."""

NODE = {
    "containerd": "containerd",
    "ctr": "containerd",
    "runc": "runc",
    "ip": "iproute2",
    "iptables": "iptables",
    "nsenter": "util-linux",
    "unshare": "util-linux",
}
"""Programs of a real node and the Debian packages that hold them."""

CNI = "/usr/lib/cni/bridge"
"""Debian's place of the CNI plugins (containernetworking-plugins)."""


def missing(*, nodes: bool) -> str:
    """Why this machine cannot run the control plane, or real nodes; empty if it can."""
    programs = CONTROL_PLANE | (NODE if nodes else {})
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    packages = {package for program, package in programs.items() if not shutil.which(program, path=path)}
    if nodes and not Path(CNI).exists():
        packages.add("containernetworking-plugins")
    if packages:
        return (
            f"programs are missing: apt-get install {' '.join(sorted(packages))}, or run tests/cluster/setup.sh as root"
        )
    if nodes and os.geteuid() != 0:
        return (
            "real nodes need root (namespaces, cgroups, mounts); without it there are the control plane and KWOK nodes"
        )
    return ""


def require(spec: ClusterSpec) -> None:
    """Raise ToolMissingError, naming the reason, if this machine cannot run the cluster."""
    if reason := missing(nodes=bool(spec.nodes)):
        raise ToolMissingError(reason)


def unbuilt(name: str) -> str:
    """Which programs of a tier are not built and how to build them; empty if it lacks none."""
    absent = [tool for tool in TOOLS.get(name, ()) if not build.is_built(tool)]
    return f"not built: {', '.join(absent)} (`make tools-{name}` builds it)" if absent else ""


def of(marks: Iterable[str]) -> str:
    """The tier of a test that has these marks."""
    marks = set(marks)
    return next((name for name in reversed(TIERS) if name in marks), "unit")


class Report:
    """A plugin of pytest: one line per tier at the end, how many tests ran and why others did not."""

    def __init__(self) -> None:
        self._ran: dict[str, set[str]] = {name: set() for name in TIERS}
        self._skipped: dict[str, Counter[str]] = {name: Counter() for name in TIERS}

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Skip the tests of a tier whose programs are not built, before any of their fixtures starts."""
        reasons = {name: unbuilt(name) for name in TOOLS}
        for item in items:
            name = of(mark.name for mark in item.iter_markers())
            item.user_properties.append(("tier", name))  # the reports carry it, those of other processes too
            if reason := reasons.get(name):
                item.add_marker(pytest.mark.skip(reason=f"tier {name}: {reason}"))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count a test that ran, or note why it did not."""
        name = str(dict(report.user_properties).get("tier", "unit"))
        if report.skipped and isinstance(report.longrepr, tuple):
            reason = str(report.longrepr[2]).removeprefix("Skipped: ")
            self._skipped[name][re.sub(r"^tier \w+: ", "", reason)] += 1
        elif report.failed or report.when == "call":
            self._ran[name].add(report.nodeid)

    def lines(self) -> list[str]:
        """What is said of each tier: tests that ran, tests that were skipped by reason."""
        told = []
        for name in TIERS:
            ran, skipped = len(self._ran[name]), self._skipped[name]
            parts = [f"ran {ran} test{'s' * (ran != 1)}"] if ran else []
            parts += [f"skipped {count} because {reason}" for reason, count in skipped.items()]
            told.append(f"tier {name}: {'; '.join(parts) if ran or skipped else 'no test was asked for'}")
        return told

    @pytest.hookimpl(trylast=True)
    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the lines."""
        if not terminalreporter.config.option.collectonly and not hasattr(terminalreporter.config, "workerinput"):
            terminalreporter.section("tiers")
            for line in self.lines():
                terminalreporter.line(line)
