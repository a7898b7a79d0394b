"""Real nodes: pods run, traffic flows, clusters live side by side, and nothing stays behind."""

import http.server
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster import Cluster, ClusterError, ClusterSpec, cleanup, fixtures, images, node
from tests.cluster.process import start_time, wait_for
from tests.cluster.spec import Paths
from tests.cluster.test_dns import parse, query

pytestmark = pytest.mark.e2e

_ROOT = Path(__file__).parents[2]
_OWNER = """
import json, signal, sys
from tests.cluster import Cluster, ClusterSpec
started = Cluster.start(ClusterSpec(sys.argv[1], nodes=1))
print(json.dumps(started.facts), flush=True)
signal.pause()
"""
_PAUSE = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: pause}
spec:
  replicas: 3
  selector: {matchLabels: {app: pause}}
  template:
    metadata: {labels: {app: pause}}
    spec:
      terminationGracePeriodSeconds: 1
      containers: [{name: pause, image: "registry.local/pause:1"}]
"""


@pytest.fixture(scope="module")
def pair() -> Iterator[Cluster]:
    """A cluster of two real nodes with nothing but the pause image."""
    with fixtures.running("e2e", ClusterSpec(fixtures.unique("pair"), nodes=2)) as started:
        yield started


def test_pods_run_on_every_node(pair: Cluster) -> None:
    """Pods of a Deployment run on both nodes, with addresses that this machine reaches."""
    pair.kubectl("apply", "-f", "-", stdin=_PAUSE)
    pair.kubectl("rollout", "status", "deployment/pause", "--timeout=60s")
    pods = json.loads(pair.kubectl("get", "pods", "-l", "app=pause", "-o", "json"))["items"]
    assert {pod["spec"]["nodeName"] for pod in pods} == set(pair.node_names)
    for pod in pods:
        assert {it["state"].popitem()[0] for it in pod["status"]["containerStatuses"]} == {"running"}
        with pytest.raises(ConnectionRefusedError):  # by the pod itself: nothing listens in it
            socket.create_connection((pod["status"]["podIP"], 9), timeout=5)


def test_node_reaches_this_machine(pair: Cluster) -> None:
    """A program of this machine that listens on `host_ip` is reachable from inside a node."""
    with http.server.ThreadingHTTPServer((pair.host_ip, 0), http.server.SimpleHTTPRequestHandler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        script = f"exec 3<>/dev/tcp/{pair.host_ip}/{server.server_port}; printf 'HEAD / HTTP/1.0\\r\\n\\r\\n' >&3; head -n1 <&3"
        assert "200 OK" in pair.in_node("bash", "-c", script)
        server.shutdown()


def test_service_address_reaches_api(pair: Cluster) -> None:
    """kube-proxy carries the first service address to the API server, from this machine and from every node."""
    address = pair.kubectl("get", "service", "kubernetes", "-o", "jsonpath={.spec.clusterIP}")
    for index in range(2):
        pair.in_node("bash", "-c", f"exec 3<>/dev/tcp/{address}/443", index=index)
    context = ssl.create_default_context(cafile=str(pair.paths.pki / "ca.crt"))
    with urllib.request.urlopen(f"https://{address}/readyz", context=context, timeout=10) as answer:
        assert answer.status == 200


def test_service_names(pair: Cluster) -> None:
    """Pods, which ask at `host_ip`, get the addresses of Services and of the pods of headless ones."""
    pair.kubectl("apply", "-f", "-", stdin=_PAUSE)
    pair.kubectl("rollout", "status", "deployment/pause", "--timeout=60s")
    pair.kubectl("expose", "deployment", "pause", "--port=80", "--cluster-ip=None")
    ips = pair.kubectl("get", "pods", "-l", "app=pause", "-o", "jsonpath={.items[*].status.podIP}").split()

    def asked(name: str) -> tuple[int, list[str]]:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(5)
            client.sendto(query(name), (pair.host_ip, 53))
            return parse(client.recv(4096))

    first = pair.kubectl("get", "service", "kubernetes", "-o", "jsonpath={.spec.clusterIP}")
    assert asked("kubernetes.default.svc.cluster.local") == (0, [first])
    wait_for(lambda: sorted(asked("pause.default.svc.cluster.local")[1]) == sorted(ips), "addresses of the pods", 30)
    assert asked("example.com") == (3, [])


def test_machine_settings_are_untouched(pair: Cluster) -> None:
    """A kubelet would make this machine reboot on a kernel panic; it changes private files instead."""
    assert pair.in_node("cat", "/proc/sys/kernel/panic").strip() == "10"
    assert not Path("/run/containerd/containerd.sock").exists()


def test_same_name_is_refused(pair: Cluster) -> None:
    """A second cluster of the same name is refused, and the first lives on."""
    with pytest.raises(ClusterError, match="is up already"):
        Cluster.start(ClusterSpec(pair.name))
    assert "kube-system" in pair.kubectl("get", "namespaces")


def _owned(name: str) -> "tuple[subprocess.Popen[str], dict[str, int]]":
    process = subprocess.Popen([sys.executable, "-c", _OWNER, name], cwd=_ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, json.loads(process.stdout.readline())


def _traces(name: str, instance: int, pids: list[tuple[int, str]]) -> list[str]:
    """What is still there of a cluster: processes, link, cgroups, mounts, routes, state."""
    found = [f"process {pid}" for pid, started in pids if start_time(pid) == started]
    if Path(f"/sys/class/net/pn{instance}").exists():
        found.append("link")
    found += [str(it) for root in cleanup.cgroup_roots() for it in root.glob(f"pantala-{instance}-*")]
    found += [line for line in Path("/proc/mounts").read_text().splitlines() if name in line]
    routes = subprocess.run(["ip", "route"], capture_output=True, text=True, check=True).stdout
    found += [line for line in routes.splitlines() if f".{instance}." in line and line.startswith("10.")]
    return found + [str(it) for it in (Paths.of(name).root, Paths.of(name).lock) if it.exists()]


def _all_pids(name: str) -> list[tuple[int, str]]:
    """Every process of a cluster: those on record, and their children down to the containers."""
    top = {int(line.split()[0]) for line in Paths.of(name).pids.read_text().splitlines()}
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
    grown = True
    while grown:
        more = {pid for pid, parent in parents.items() if parent in top} - top
        top |= more
        grown = bool(more)
    return [(pid, start_time(pid)) for pid in top]


@pytest.mark.parametrize("supervisor_too", [False, True], ids=["owner", "owner-and-supervisor"])
def test_killed_owner_leaves_nothing(pair: Cluster, supervisor_too: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """Whoever started a cluster is killed: it goes, side by side with another cluster that stays.

    With the supervisor killed as well, the kernel still ends every process; files remain until the next `up` or `down`.
    """
    name = fixtures.unique("owned")
    owner, facts = _owned(name)
    instance = facts["instance"]
    assert instance != pair.facts["instance"]
    pair.kubectl("apply", "-f", "-", stdin=_PAUSE, kubeconfig=Paths.of(name).kubeconfig)
    pair.kubectl("rollout", "status", "deployment/pause", "--timeout=60s", kubeconfig=Paths.of(name).kubeconfig)
    pids = _all_pids(name)
    assert len(pids) > 10  # pods too
    owner.kill()
    if supervisor_too:
        os.kill(facts["supervisor"], signal.SIGKILL)
        wait_for(lambda: not any(start_time(pid) == started for pid, started in pids), "end of all processes", 30)
        with cleanup.registry_lock():
            cleanup.collect()
    owner.communicate()
    wait_for(lambda: not _traces(name, instance, pids), "nothing left", 30)
    assert "Running" in pair.kubectl("get", "pods")


_WRITER = """
apiVersion: v1
kind: Pod
metadata: {name: writer}
spec:
  restartPolicy: Never
  containers:
  - name: writer
    image: nvcr.io/nvidia/tritonserver:TAG
    securityContext: {runAsUser: 0}
    command: [sh, -c, "echo changed >> /etc/debian_version && tail -n1 /etc/debian_version"]
"""


def test_nodes_share_images_without_harm() -> None:
    """A pod that writes into its image's files changes them for itself, not for the next cluster."""
    spec = ClusterSpec(fixtures.unique("seed"), nodes=1, images=("triton", "torchserve"))
    pod = _WRITER.replace("nvcr.io/nvidia/tritonserver:TAG", images.IMAGES["triton"].reference)
    with fixtures.running("e2e", spec) as started:
        seeds = list(node.seed_folder(spec).glob("*overlayfs/snapshots/*/fs/etc/debian_version"))
        before = [it.read_text() for it in seeds]
        assert before
        started.kubectl("apply", "-f", "-", stdin=pod)
        started.kubectl("wait", "pod/writer", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=60s")
        assert started.kubectl("logs", "writer").strip() == "changed"
        assert [it.read_text() for it in seeds] == before
