r"""The network of a cluster with real nodes: a switch in a network namespace of its own.

    this machine  pnN 10.200.N.1 ---- [ bridge in the switch's namespace ] ---- eth0 10.200.N.2  node 0
                                                                     \---- eth0 10.200.N.3  node 1

Every link ends in a namespace that dies with its process, so a crash leaves no interface; the machine's own iptables,
forwarding and bridges are not touched. The number N is whatever link name is still free: making the link claims it.
"""

import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.cluster import cleanup
from tests.cluster.control_plane import Network
from tests.cluster.errors import ClusterError
from tests.cluster.process import Processes, wait_for
from tests.cluster.spec import Paths

_INSTANCES = range(1, 251)


@dataclass(frozen=True)
class Lan:
    """Addresses of one cluster and the process that holds its switch."""

    instance: int
    switch: int

    @property
    def host_ip(self) -> str:
        """This machine as the cluster sees it."""
        return f"10.200.{self.instance}.1"

    def node_ip(self, index: int) -> str:
        """Address of a node."""
        return f"10.200.{self.instance}.{index + 2}"

    def node_ips(self, count: int) -> list[str]:
        """Addresses of the first nodes."""
        return [self.node_ip(index) for index in range(count)]

    def pods(self, index: int) -> str:
        """Range of a node's pod addresses."""
        return f"10.{208 + index}.{self.instance}.0/24"

    @property
    def network(self) -> Network:
        """Addresses of the control plane."""
        services = f"10.96.{self.instance}"
        return Network(self.host_ip, 6443, f"{services}.0/24", f"{services}.1")

    def attach(self, index: int, pid: int, nodes: int) -> None:
        """Plug a node's namespace into the switch and make its pods and Services reachable from this machine."""
        ip_in(self.switch, f"link add n{index} type veth peer name eth0 netns {pid}")
        ip_in(self.switch, f"link set n{index} master br0 up")
        ip_in(pid, "link set lo up")
        ip_in(pid, f"address add {self.node_ip(index)}/24 dev eth0")
        ip_in(pid, "link set eth0 up")
        ip_in(pid, f"route add default via {self.host_ip}")
        for other in range(nodes):
            if other != index:
                ip_in(pid, f"route add {self.pods(other)} via {self.node_ip(other)}")
        ip(f"route add {self.pods(index)} via {self.node_ip(index)}")
        if index == 0:
            ip(f"route add {self.network.services} via {self.node_ip(0)}")


def create(paths: Paths, processes: Processes) -> Lan:
    """Start a switch and connect this machine to it."""
    switch = processes.start("switch", ["unshare", "--net", "sleep", "infinity"])
    own = Path("/proc/self/ns/net").readlink()
    wait_for(lambda: Path(f"/proc/{switch}/ns/net").readlink() != own, "network namespace", 10, processes.check)
    with cleanup.registry_lock():
        instance = _claim(paths, switch)
    ip_in(switch, "link add br0 type bridge")
    ip_in(switch, "link set br0 up")
    ip_in(switch, "link set host master br0 up")
    lan = Lan(instance, switch)
    ip(f"address add {lan.host_ip}/24 dev pn{instance}")
    ip(f"link set pn{instance} up")
    return lan


def _claim(paths: Paths, switch: int) -> int:
    routes = subprocess.run(["ip", "-4", "route", "show"], capture_output=True, text=True, check=True).stdout
    for instance in _INSTANCES:
        taken = (f"10.200.{instance}.", f"10.96.{instance}.", f"10.208.{instance}.")
        if Path(f"/sys/class/net/pn{instance}").exists() or any(it in routes for it in taken):
            continue
        # The link of a cluster that ends is gone before its supervisor has removed all that has this number.
        if any((root / f"pantala-{instance}-0").exists() for root in cleanup.cgroup_roots()):
            continue
        command = f"link add pn{instance} type veth peer name host netns {switch}"
        if subprocess.run(["ip", *command.split()], capture_output=True, check=False).returncode == 0:
            cleanup.record(paths, "link", f"pn{instance}")
            return instance
    raise ClusterError(
        "no free network between 10.200.1.0/24 and 10.200.250.0/24; `python -m tests.cluster down --all`"
    )


def ip(arguments: str) -> None:
    """Change the links, addresses and routes of this machine."""
    _run(["ip", *arguments.split()])


def ip_in(pid: int, arguments: str) -> None:
    """Change those of a process's network namespace."""
    _run(["nsenter", "-t", str(pid), "-n", "ip", *arguments.split()])


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ClusterError(f"{' '.join(command)}: {done.stderr.strip()}")
