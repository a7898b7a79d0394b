"""A real node: containerd, kubelet and kube-proxy in namespaces of their own on this machine; needs root.

The files here are the plan, `inside.sh` carries it out as the first process of the node.
"""

import json
import os
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from tests.cluster import build, cleanup, seed
from tests.cluster.errors import ClusterError
from tests.cluster.network import Lan
from tests.cluster.pki import Authority
from tests.cluster.process import Processes, wait_for
from tests.cluster.spec import ClusterSpec, Paths

READY_SECONDS = 180.0
"""Limit for a node to become Ready; it takes 4 to 10 s."""

_INSIDE = Path(__file__).with_name("inside.sh")
_NAMESPACES = ("--net", "--mount", "--pid", "--ipc", "--uts", "--propagation", "private")
_PRIVATE = ("kubelet", "containerd", "cni", "dragonfly", "pantala")
_MOUNT_POINTS = (*(f"/var/lib/{name}" for name in _PRIVATE), "/etc/cni")
"""Folders that each node has for itself; they stay on the machine, empty."""


def name_of(spec: ClusterSpec, index: int) -> str:
    """Name of a node of a cluster."""
    return f"{spec.name}-node-{index}"


class Node:
    """Starts one node of a cluster."""

    def __init__(self, spec: ClusterSpec, paths: Paths, lan: Lan, index: int) -> None:
        self._spec, self._paths, self._lan, self._index = spec, paths, lan, index
        self.name = name_of(spec, index)
        self.folder = paths.node(index)
        self._cgroup = f"pantala-{lan.instance}-{index}"

    def prepare(self) -> None:
        """Write the files that need no certificates, and make the node's cgroup."""
        (self.folder / "log").mkdir(parents=True)
        self._write("address", self._lan.node_ip(self._index))
        self._write("resolv.conf", f"nameserver {self._lan.host_ip}\n")
        self._write("containerd.toml", _containerd(pause_name()))
        self._write("10-bridge.conflist", json.dumps(_cni(self._lan.pods(self._index))))
        (self.folder / "containerd").mkdir()
        seed.copy(seed_folder(self._spec), self.folder / "containerd")
        for folder in _MOUNT_POINTS:
            Path(folder).mkdir(parents=True, exist_ok=True)
        self._make_cgroup()

    def start(self, processes: Processes) -> None:
        """Start the node's first process and give it its network."""
        programs = build.ensure(build.NODE)
        kill = ("--fork", "--kill-child=SIGKILL", "--mount-proc")
        arguments = (str(self.folder), self.name, str(programs["kubelet"]), str(programs["kube-proxy"]))
        command = ["unshare", *_NAMESPACES, *kill, "sh", str(_INSIDE), *arguments]
        outside = processes.start(f"node-{self._index}", command)
        children = Path(f"/proc/{outside}/task/{outside}/children")
        wait_for(lambda: bool(children.read_text().split()), "first process of the node", 10, processes.check)
        pid = int(children.read_text().split()[0])
        self._write("pid", str(pid))
        self._lan.attach(self._index, pid, self._spec.nodes)
        self._write("network.ready", "")

    def join(self, url: str) -> None:
        """Give the node its certificates and let kubelet and kube-proxy start; the API server is ready."""
        authority = Authority(self._paths.pki)
        address = self._lan.node_ip(self._index)
        serving = authority.issue(
            f"kubelet-{self._index}", self.name, alternatives=[f"IP:{address}", f"DNS:{self.name}"]
        )
        authority.kubeconfig(self.folder / "kubelet.conf", url, f"system:node:{self.name}", ["system:nodes"])
        authority.kubeconfig(self.folder / "kube-proxy.conf", url, "system:kube-proxy")
        self._write("kubelet.yaml", yaml.safe_dump(self._kubelet(serving)))
        self._write("kube-proxy.yaml", yaml.safe_dump(self._proxy()))
        self._write("api.ready", "")

    def wait(self, processes: Processes) -> None:
        """Wait until the node is Ready."""
        kubectl = str(build.ensure(["kubectl"])["kubectl"])
        path = "jsonpath={.status.conditions[?(@.type=='Ready')].status}"
        command = [kubectl, f"--kubeconfig={self._paths.kubeconfig}", "get", "node", self.name, "-o", path]

        def ready() -> bool:
            return subprocess.run(command, capture_output=True, text=True, check=False).stdout == "True"

        wait_for(
            ready, f"node {self.name} Ready (logs in {self.folder}/log)", READY_SECONDS, processes.check, every=0.1
        )

    def _write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text)

    def _make_cgroup(self) -> None:
        cleanup.record(self._paths, "cgroup", self._cgroup)
        for root in cleanup.cgroup_roots():
            if (controllers := root / "cgroup.controllers").exists():  # version 2
                for controller in controllers.read_text().split():
                    _try_write(root / "cgroup.subtree_control", f"+{controller}")
            (root / self._cgroup).mkdir(exist_ok=True)
            for file in ("cpuset.cpus", "cpuset.mems"):  # version 1: empty at first, and nothing starts in it then
                if (root / file).exists() and not (root / "cgroup.controllers").exists():
                    (root / self._cgroup / file).write_text((root / file).read_text())

    def _kubelet(self, serving: Path) -> dict[str, Any]:
        return {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "failCgroupV1": False,
            "failSwapOn": False,
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": f"/{self._cgroup}",
            "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": True},
                "x509": {"clientCAFile": str(self._paths.pki / "ca.crt")},
            },
            "authorization": {"mode": "Webhook"},
            "tlsCertFile": str(serving),
            "tlsPrivateKeyFile": str(serving.with_suffix(".key")),
            "clusterDNS": [self._lan.host_ip],
            "clusterDomain": "cluster.local",
            "resolvConf": str(self.folder / "resolv.conf"),
            "volumePluginDir": "/var/lib/kubelet/volumeplugins",
            "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
            "imageGCHighThresholdPercent": 99,
            "imageGCLowThresholdPercent": 98,
            "nodeStatusUpdateFrequency": "5s",
        }

    def _proxy(self) -> dict[str, Any]:
        return {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "mode": "iptables",
            "clientConnection": {"kubeconfig": str(self.folder / "kube-proxy.conf")},
            "clusterCIDR": self._lan.network.pods,
            # zero: it would otherwise set limits of the whole machine
            "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
        }


def pause_name() -> str:
    """Name of the image that holds a pod's namespaces."""
    from tests.cluster import images  # what needs no node needs no images

    return images.IMAGES["pause"].reference


def seed_folder(spec: ClusterSpec) -> Path:
    """The unpacked images that a node starts with; builds what is missing."""
    from tests.cluster import images  # what needs no node needs no images

    stable = {"pause", *spec.images} - {"pantala"}  # which changes with every line of the operator
    return seed.ensure(images.ensure(name) for name in sorted(stable))


def load(paths: Paths, spec: ClusterSpec, image: Path, nodes: Iterable[int] | None = None) -> None:
    """Import an OCI archive into nodes, by default all."""
    for index in range(spec.nodes) if nodes is None else nodes:
        socket = Path(f"/proc/{_pid(paths, index)}/root/run/containerd/containerd.sock")
        wait_for(socket.exists, f"containerd of node {index} (log in {paths.node(index)}/log)", 60)
        run_inside(paths, index, "ctr", "--namespace", "k8s.io", "images", "import", str(image))


def run_inside(paths: Paths, index: int, *command: str) -> str:
    """Run a command in the namespaces of a node; return its output."""
    enter = ["nsenter", "-t", str(_pid(paths, index)), "-m", "-n", "-p", "-i", "-u", "--", *command]
    done = subprocess.run(
        enter, capture_output=True, text=True, check=False, cwd="/", env={**os.environ, "LC_ALL": "C"}
    )
    if done.returncode:
        raise ClusterError(f"node {index}: {' '.join(command)}: {done.stderr.strip()}")
    return done.stdout


def _pid(paths: Paths, index: int) -> int:
    return int((paths.node(index) / "pid").read_text())


def _try_write(path: Path, text: str) -> None:
    try:
        path.write_text(text)
    except OSError:  # the controller is not available or may not be delegated; kubelet says so if it matters
        return


def _cni(pods: str) -> dict[str, Any]:
    ipam = {"type": "host-local", "ranges": [[{"subnet": pods}]], "routes": [{"dst": "0.0.0.0/0"}]}
    bridge = {"type": "bridge", "bridge": "cni0", "isGateway": True, "ipMasq": True, "hairpinMode": True, "ipam": ipam}
    portmap = {"type": "portmap", "capabilities": {"portMappings": True}}
    return {"cniVersion": "1.0.0", "name": "bridge", "plugins": [bridge, portmap]}


def _containerd(sandbox: str) -> str:
    cri = 'plugins."io.containerd.grpc.v1.cri"'
    return f"""version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
[grpc]
  address = "/run/containerd/containerd.sock"
[{cri}]
  sandbox_image = "{sandbox}"
  # without CAP_SYS_RESOURCE no sandbox would start: its score cannot be lowered
  restrict_oom_score_adj = true
[{cri}.containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
[{cri}.containerd.runtimes.runc.options]
  SystemdCgroup = false
[{cri}.cni]
  bin_dir = "/usr/lib/cni"
  conf_dir = "/etc/cni/net.d"
"""
