"""What each tier of tests needs from the machine, and whether it is there."""

import os
import shutil
from pathlib import Path

from tests.cluster.errors import ToolMissingError
from tests.cluster.spec import ClusterSpec

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
