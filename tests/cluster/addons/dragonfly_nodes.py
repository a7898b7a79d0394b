"""Dragonfly on the real nodes of a cluster, as its chart installs it, around the stand-in for the scheduler.

A DaemonSet `dragonfly-client` on every node that has the label `dragonfly: client` (network of the node, socket in
/var/run/dragonfly, pieces in /var/lib/dragonfly, both of the node), and a StatefulSet `dragonfly-seed-client`. The
stand-in runs on this machine, where a test can kill it.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Self

import yaml

from tests.cluster import Cluster
from tests.cluster.addons.dragonfly import StandinScheduler, configuration, parse_traffic
from tests.cluster.addons.service import http
from tests.cluster.images import IMAGES
from tests.cluster.process import wait_for

NAMESPACE = "dragonfly-system"
LABEL = "dragonfly"
CLIENT, SEED = "dragonfly-client", "dragonfly-seed-client"
STORAGE = "/var/lib/dragonfly"
READY_SECONDS = 240.0


class NodePeers:
    """The daemons of a cluster's nodes, and a seed if asked for."""

    def __init__(self, cluster: Cluster, *, seed: bool = False) -> None:
        """Install them, with a seed if asked for, and wait until the scheduler knows all; nodes hold the image `dfdaemon`."""
        self.cluster = cluster
        self.scheduler = StandinScheduler(cluster.host_ip)
        cluster.kubectl("label", "node", "--all", "--overwrite", f"{LABEL}=client")
        objects = manifests(self.scheduler.address, seed=seed)
        cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=json.dumps(objects))
        self.wait(seed=seed)

    def wait(self, *, seed: bool = False) -> None:
        """Wait until the daemons of all nodes answer, and the seed's if asked for, and the scheduler knows them."""
        wanted = {*self.cluster.node_names, *([f"{SEED}-0"] if seed else [])}
        wait_for(lambda: wanted <= self._ready(), f"daemons of {sorted(wanted)}", READY_SECONDS, every=0.3)

    def _ready(self) -> set[str]:
        known = {host["hostname"] for host in self.scheduler.state()["hosts"].values()}
        return {_hostname(pod) for pod in self._pods() if _is_ready(pod)} & known

    def _pods(self) -> list[dict[str, Any]]:
        listed: list[dict[str, Any]] = json.loads(self.cluster.kubectl("-n", NAMESPACE, "get", "pods", "-o", "json"))[
            "items"
        ]
        return listed

    def traffic(self) -> dict[str, dict[str, int]]:
        """Bytes by source since the start of each daemon, by its host's name: the node's, or the seed's pod's."""
        return {
            _hostname(pod): parse_traffic(http("GET", f"http://{pod['status']['podIP']}:4002/metrics")[2].decode())
            for pod in self._pods()
            if _is_ready(pod)
        }

    @contextmanager
    def seed(self) -> Iterator[str]:
        """A seed for a while; yields its host's name."""
        host = f"{SEED}-0"
        self._scale_seed(1)
        try:
            wait_for(lambda: host in self._ready(), "a seed", READY_SECONDS, every=0.3)
            yield host
        finally:
            self._scale_seed(0)
            wait_for(lambda: host not in {_hostname(pod) for pod in self._pods()}, "no seed", 180, every=0.3)

    def _scale_seed(self, replicas: int) -> None:
        self.cluster.kubectl("-n", NAMESPACE, "scale", "statefulset", SEED, f"--replicas={replicas}")

    def take_away(self, index: int) -> None:
        """Remove the daemon of a node, in order, and wait until it is gone."""
        name = self.cluster.node_names[index]
        self.cluster.kubectl("label", "node", name, f"{LABEL}-")
        wait_for(lambda: name not in {_hostname(pod) for pod in self._pods()}, f"no daemon on {name}", 180, every=0.3)

    def bring_back(self, index: int) -> None:
        """Undo `take_away` and wait until the daemon answers."""
        name = self.cluster.node_names[index]
        self.cluster.kubectl("label", "node", name, "--overwrite", f"{LABEL}=client")
        wait_for(lambda: name in self._ready(), f"a daemon on {name}", READY_SECONDS, every=0.3)

    def kill(self, index: int) -> None:
        """SIGKILL to the daemon of a node; kubelet starts it again."""
        own = "--nslist=uts --ns=1"  # not the seed, whose pod has a name of its own
        self.cluster.in_node("sh", "-c", f"pkill --signal KILL --exact {own} dfdaemon", index=index)

    def log(self, name: str = CLIENT) -> str:
        """The end of the logs of all daemons of a set."""
        selector = f"app={name}"
        return self.cluster.kubectl("-n", NAMESPACE, "logs", "-l", selector, "--tail=50", "--prefix")

    def stop(self) -> None:
        """Remove all, and what the nodes stored."""
        self.cluster.kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found", "--wait=true")
        self.scheduler.stop()
        for index in range(len(self.cluster.node_names)):
            self.cluster.in_node("sh", "-c", f"rm -rf {STORAGE}/* /var/run/dragonfly/*", index=index)

    def __enter__(self) -> Self:
        """Return them running."""
        return self

    def __exit__(self, *_: object) -> None:
        """Remove them."""
        self.stop()


def _is_ready(pod: Mapping[str, Any]) -> bool:
    conditions = pod["status"].get("conditions", ())
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def _hostname(pod: Mapping[str, Any]) -> str:
    """How dfdaemon calls its host: in the node's network it is the node's name, else the pod's."""
    spec = pod["spec"]
    return str(spec["nodeName"] if spec.get("hostNetwork") and "nodeName" in spec else pod["metadata"]["name"])


def manifests(scheduler: str, *, seed: bool) -> dict[str, Any]:
    """All objects as one List."""
    objects: list[dict[str, Any]] = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}]
    for name, is_seed in ((CLIENT, False), (SEED, True)):
        files = {
            "dfdaemon.yaml": yaml.safe_dump(configuration(seed=is_seed)),
            "dynconfig.yaml": yaml.safe_dump({"scheduler": {"addrs": [scheduler]}}),
        }
        metadata = {"name": name, "namespace": NAMESPACE}
        objects.append({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": files})
    client = _pod(CLIENT, "client", {"hostPath": {"path": STORAGE, "type": "DirectoryOrCreate"}})
    client["spec"] |= {"hostNetwork": True, "dnsPolicy": "ClusterFirstWithHostNet", "nodeSelector": {LABEL: "client"}}
    client["spec"]["volumes"].append(
        {"name": "socket", "hostPath": {"path": "/var/run/dragonfly", "type": "DirectoryOrCreate"}}
    )
    client["spec"]["containers"][0]["volumeMounts"].append({"name": "socket", "mountPath": "/var/run/dragonfly"})
    objects.append(_set("DaemonSet", CLIENT, client))
    seeds = _set("StatefulSet", SEED, _pod(SEED, "seed-client", {"emptyDir": {}}))
    seeds["spec"] |= {"replicas": int(seed), "serviceName": SEED}
    return {"apiVersion": "v1", "kind": "List", "items": [*objects, seeds]}


def _set(kind: str, name: str, pod: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"selector": {"matchLabels": {"app": name}}, "template": pod},
    }


def _pod(name: str, component: str, storage: dict[str, Any]) -> dict[str, Any]:
    container = {
        "name": component,
        "image": IMAGES["dfdaemon"].reference,
        "imagePullPolicy": "IfNotPresent",
        "args": ["--log-level=info", "--console"],
        "ports": [{"name": "metrics", "containerPort": 4002}],
        "readinessProbe": {"httpGet": {"path": "/healthy", "port": 4003}, "periodSeconds": 1},
        "volumeMounts": [{"name": "config", "mountPath": "/etc/dragonfly"}, {"name": "storage", "mountPath": STORAGE}],
    }
    return {
        "metadata": {"labels": {"app": name, "component": component}},
        "spec": {
            "containers": [container],
            "terminationGracePeriodSeconds": 5,
            "tolerations": [{"operator": "Exists"}],
            "volumes": [{"name": "config", "configMap": {"name": name}}, {"name": "storage", **storage}],
        },
    }
