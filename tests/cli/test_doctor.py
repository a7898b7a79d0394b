"""`pantala doctor` on a real API server that holds what the Dragonfly chart makes. No kubelet: pods are what their status says."""

import json
import os
import subprocess
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.charts import rights
from tests.cli.conftest import PROGRAM, Done
from tests.cli.dragonfly_chart import (
    NAMESPACE,
    config_map,
    configuration,
    daemon_set,
    lease,
    model,
    node,
    pod,
)
from tests.cluster import Cluster, ClusterSpec
from tests.cluster.audit import AuditLog
from tests.cluster.fixtures import running, unique
from tests.cluster.process import wait_for

pytestmark = pytest.mark.apiserver

ROOT = Path(__file__).parents[2]
RIGHTS = ROOT / "manifests/doctor-rights.yaml"
NODES = ("n1", "n2", "n3")


@pytest.fixture(scope="module")
def plane() -> Iterator[Cluster]:
    """An API server without controllers, so that statuses stay as they are written; namespaces and the resource."""
    with running("apiserver", ClusterSpec(unique("doctor"), controllers=False, audit="Metadata")) as started:
        started.kubectl("apply", "--server-side", "-f", str(ROOT / "crds"))
        for name in (NAMESPACE, "vision", "strict"):
            started.kubectl("create", "namespace", name)
        started.kubectl("create", "serviceaccount", "default", "-n", NAMESPACE)
        started.kubectl("label", "namespace", "strict", "pod-security.kubernetes.io/enforce=restricted")
        started.established("inferencemodels.pantala.dev")
        wait_for(lambda: bool(started.kubectl("get", "namespace", "kube-node-lease", check=False)), "its namespace", 30)
        yield started


def put(plane: Cluster, *objects: dict[str, Any]) -> None:
    """Write objects with their status."""
    listed = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
    plane.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=listed)
    for one in objects:
        if "status" in one:
            meta = one["metadata"]
            where = ["-n", meta["namespace"]] if "namespace" in meta else []
            patch = json.dumps({"status": one["status"]})
            plane.kubectl(
                "patch", one["kind"], meta["name"], *where, "--subresource=status", "--type=merge", "-p", patch
            )


@pytest.fixture
def healthy(plane: Cluster) -> Cluster:
    """Dragonfly in order on three nodes, and a model that uses its socket."""
    plane.kubectl("delete", "pods", "--all", "-n", NAMESPACE, "--grace-period=0", "--force", "--ignore-not-found")
    plane.kubectl("delete", "imodel", "--all", "-A")
    put(plane, *map(node, NODES))
    # Without the scheduler nobody takes away the taint that a new node has.
    plane.kubectl("taint", "nodes", "--all", "node.kubernetes.io/not-ready-", check=False)
    put(plane, config_map(), config_map(name="seed-client"), daemon_set())
    put(plane, *map(pod, NODES), pod("n1", "seed-client"), pod("n2", "scheduler"), model("resnet"))
    renewed = (datetime.now(UTC) - timedelta(seconds=5)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    put(plane, *(lease(name, renewed) for name in NODES))
    return plane


def doctor(at: Cluster, *arguments: str, kubeconfig: Path | None = None, columns: int = 80) -> Done:
    """Run the command."""
    command = [PROGRAM, "doctor", "--kubeconfig", str(kubeconfig or at.kubeconfig), *arguments]
    environment = {**os.environ, "COLUMNS": str(columns)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, env=environment)
    return Done(done.returncode, done.stdout, done.stderr)


def told(done: Done) -> list[dict[str, Any]]:
    """The findings that are not ok."""
    return [finding for finding in json.loads(done.out)["findings"] if finding["severity"] != "ok"]


def checks(found: Sequence[dict[str, Any]]) -> set[tuple[str, str]]:
    """Severity and check of each."""
    return {(finding["severity"], finding["check"]) for finding in found}


# Nobody answers at the metrics port of a pod without a kubelet, and no operator runs: that much is always told.
BASE = {("warning", "metrics"), ("warning", "operator")}


def test_healthy(healthy: Cluster) -> None:
    """With everything in order there is no error, and the exit code is 0."""
    done = doctor(healthy, "-o", "json")
    assert checks(told(done)) == BASE
    assert (done.code, done.err) == (0, "")


def test_text_at_80_columns(healthy: Cluster) -> None:
    """Every finding is told with its object and next step within 80 columns, without colour in a pipe; the sum is last."""
    healthy.kubectl("delete", "pod", "dragonfly-client-n3", "-n", NAMESPACE, "--grace-period=0", "--force")
    done = doctor(healthy)
    assert done.code == 1
    assert "error    dfdaemon      no dfdaemon: models there fall back to the origin" in done.out
    assert "                       at    Node n3\n" in done.out
    assert "                       next  kubectl -n dragonfly-system get daemonset" in done.out
    # Only a word that somebody copies may be longer.
    assert all(len(line) <= 80 or len(line.split()) == 1 for line in done.out.splitlines())
    assert "\x1b" not in done.out
    assert done.out.splitlines()[-1] == "1 error, 2 warnings"


def test_broken(healthy: Cluster) -> None:
    """Each of the usual faults is named with the object and the value that is wrong."""
    put(
        healthy,
        config_map(
            configuration(download__server__socketPath="/var/run/p2p/dfdaemon.sock", proxy__server={"port": 65001})
        ),
    )
    put(healthy, pod("n2", ready=False, waiting="CrashLoopBackOff"), pod("n2", "scheduler", ready=False))
    put(healthy, model("tight", "strict"), model("proxied", distribution={"mode": "Dragonfly", "proxy": {}}))
    ahead = (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    put(healthy, lease("n3", ahead))
    done = doctor(healthy, "-o", "yaml")
    found = [one for one in yaml.safe_load(done.out)["findings"] if one["severity"] == "error"]
    assert done.code == 1
    assert {(one["check"], one["object"]): one["value"] for one in found if one["check"] != "clocks"} == {
        ("dfdaemon", "Node n2"): "client: CrashLoopBackOff",
        ("scheduler", f"Namespace {NAMESPACE}"): "Running",
        ("socket", f"ConfigMap {NAMESPACE}/dragonfly-client"): "/var/run/p2p/dfdaemon.sock",
        ("proxy", f"ConfigMap {NAMESPACE}/dragonfly-client"): "65001",
        ("proxy-rules", f"ConfigMap {NAMESPACE}/dragonfly-client"): "s3.example.com",
        ("pod-security", "Namespace strict"): "pod-security.kubernetes.io/enforce=restricted",
    }
    (clock,) = [one for one in found if one["check"] == "clocks"]
    assert clock["object"] == "Node n3"
    assert 3500 < int(clock["value"].split()[0]) < 3610


def test_models_of_one_namespace(healthy: Cluster) -> None:
    """With `-n` the models of other namespaces do not matter."""
    put(healthy, model("tight", "strict"))
    assert ("error", "pod-security") in checks(told(doctor(healthy, "-o", "json")))
    assert checks(told(doctor(healthy, "-o", "json", "-n", "vision"))) == BASE


def test_not_installed(healthy: Cluster) -> None:
    """In a namespace without Dragonfly that is what is said, and nothing about its parts."""
    done = doctor(healthy, "-o", "json", "--dragonfly-namespace", "elsewhere")
    assert done.code == 1
    assert checks(told(done)) == {("error", "dfdaemon"), ("warning", "operator")}


def test_exactly_the_rights_of_the_manifest(healthy: Cluster) -> None:
    """Under manifests/doctor-rights.yaml no right is missing and none is unused."""
    assert healthy.audit is not None
    documents = list(yaml.safe_load_all(RIGHTS.read_text()))
    healthy.kubectl("apply", "-f", str(RIGHTS))
    kubeconfig = healthy.user("doctor", ["pantala-doctors"])
    # RBAC hears of new roles a moment later.
    wait_for(lambda: not _rights(healthy, kubeconfig), "the rights are known", 15)
    log = AuditLog(healthy.audit)
    since = log.mark()
    done = doctor(healthy, "-o", "json", kubeconfig=kubeconfig)
    assert checks(told(done)) == BASE
    granted = rights.granted(one for one in documents if one["kind"] in {"ClusterRole", "Role"})
    calls = log.calls(since, user="doctor")
    used = {(verb, group, resource) for verb, group, resource in rights.used(calls)}
    assert used == granted
    assert rights.forbidden(log, "doctor", since) == []


def _rights(at: Cluster, kubeconfig: Path) -> list[dict[str, Any]]:
    return [one for one in told(doctor(at, "-o", "json", kubeconfig=kubeconfig)) if one["check"] == "rights"]


def test_without_rights(healthy: Cluster) -> None:
    """Who has no right gets each missing one named, with its namespace; nothing crashes."""
    done = doctor(healthy, "-o", "json", kubeconfig=healthy.user("nobody"))
    assert (done.code, done.err) == (1, "")
    found = {(one["severity"], one["object"], one["value"]) for one in told(done)}
    assert found == {
        ("error", f"Namespace {NAMESPACE}", "list pods"),
        ("warning", f"Namespace {NAMESPACE}", "list daemonsets.apps"),
        ("warning", f"Namespace {NAMESPACE}", "list configmaps"),
        ("error", "the cluster", "list nodes"),
        ("warning", "Namespace kube-node-lease", "list leases.coordination.k8s.io"),
        ("error", "the cluster", "list inferencemodels.pantala.dev"),
        ("warning", "the cluster", "get customresourcedefinitions.apiextensions.k8s.io"),
        ("warning", "the cluster", "list deployments.apps"),
        ("warning", "the cluster", "get namespaces"),
    }


def test_without_the_resource() -> None:
    """Where Pantala was never installed, that is the first thing that is said."""
    with running("apiserver", ClusterSpec(unique("bare"), controllers=False)) as bare:
        done = doctor(bare, "-o", "json")
        assert done.code == 1
        (found,) = [one for one in told(done) if one["check"] == "resource"]
        assert (found["severity"], "crds/" in found["next"]) == ("error", True)
