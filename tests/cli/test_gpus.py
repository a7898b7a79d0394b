"""`pantala gpus` on a real API server, with simulated nodes of each provider; their schedulers' words are written by hand."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from pantala.cli import inventory
from pantala.cli.access import connect
from tests.apiserver.api_proxy import ApiProxy, Rule
from tests.charts import rights
from tests.cli import fleet
from tests.cli.conftest import PROGRAM, Done
from tests.cluster import Cluster, build
from tests.cluster.audit import AuditLog
from tests.cluster.process import wait_for
from tests.golden import DATA

pytestmark = pytest.mark.apiserver

OURS = {node["metadata"]["name"] for node in fleet.NODES}


@pytest.fixture(scope="module")
def shop(kwok_cluster: Cluster) -> Iterator[Cluster]:
    """The fleet beside the 20 nodes of the cluster, its pods running; one pod found its card through the real scheduler."""
    account = ("get", "serviceaccount", "default", "-n", fleet.NAMESPACE)
    kwok_cluster.kubectl("create", "namespace", fleet.NAMESPACE)
    try:
        wait_for(lambda: bool(kwok_cluster.kubectl(*account, check=False)), "the service account", 30)
        running = [pod for pod in fleet.PODS if pod["status"]["phase"] == "Running"]
        create(kwok_cluster, *fleet.NODES, *fleet.SLICES, *fleet.PODS, *fleet.claiming_pod())
        for pod in fleet.PODS:
            if pod not in running:
                phase = json.dumps({"status": {"phase": pod["status"]["phase"]}})
                name = pod["metadata"]["name"]
                kwok_cluster.kubectl(
                    *("patch", "pod", name, "-n", fleet.NAMESPACE, "--subresource=status", "--type=merge", "-p", phase)
                )
        names = [f"pod/{pod['metadata']['name']}" for pod in running]
        ready = ("--for=condition=Ready", "--timeout=60s", "-n", fleet.NAMESPACE)
        kwok_cluster.kubectl("wait", *ready, *names, "pod/dra-a")
        yield kwok_cluster
    finally:
        kwok_cluster.kubectl("delete", "namespace", fleet.NAMESPACE, "--timeout=60s")
        kwok_cluster.kubectl("delete", "nodes", "--selector=type=gpus")
        for kind in ("clusterrole", "clusterrolebinding"):
            kwok_cluster.kubectl("delete", kind, "--ignore-not-found", "pantala-gpus", "node-viewer")
        for kind, made in (("resourceslice", fleet.SLICES), ("deviceclass", fleet.claiming_pod()[:1])):
            kwok_cluster.kubectl("delete", kind, "--ignore-not-found", *(one["metadata"]["name"] for one in made))


def create(at: Cluster, *objects: fleet.Object) -> None:
    """Create objects; nodes keep the status that they come with."""
    at.kubectl("create", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))


def gpus(at: Cluster, *arguments: str, kubeconfig: Path | None = None) -> Done:
    """Run the command."""
    command = [PROGRAM, "gpus", *arguments, "--kubeconfig", str(kubeconfig or at.kubeconfig)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    return Done(done.returncode, done.stdout, done.stderr)


def resources(done: Done) -> list[dict[str, Any]]:
    """The rows of the JSON form that are of the fleet."""
    assert done.code == 0, done.err
    return [row for row in json.loads(done.out)["resources"] if row["node"] in OURS]


def expected() -> dict[str, Any]:
    """What is counted of the fleet where no API server is in between."""
    found: dict[str, Any] = json.loads((DATA / "cli-gpus" / "all.json").read_text())
    return found


def test_counts(shop: Cluster) -> None:
    """On the API server the figures are those of the objects as they are written: each vendor's resources survive it."""
    done = gpus(shop, "-o", "json")
    assert resources(done) == expected()["resources"]
    told = {note["text"] for note in json.loads(done.out)["notes"]}
    assert told == {note["text"] for note in expected()["notes"]}


def test_one_node(shop: Cluster) -> None:
    """With --node that node alone is asked for; one without cards says so, one that is not there is an error."""
    found = resources(gpus(shop, "--node", "gpu-hami", "-o", "json"))
    assert found == [row for row in expected()["resources"] if row["node"] == "gpu-hami"]
    without = gpus(shop, "--node", "cpu-1")
    assert (without.code, without.out, without.err) == (0, "", "Node cpu-1 offers no cards.\n")
    missing = gpus(shop, "--node", "gone")
    assert (missing.code, missing.out) == (2, "")
    assert missing.err == "Error: There is no node gone. `kubectl get nodes` lists those that there are.\n"


def test_one_provider(shop: Cluster) -> None:
    """With --provider the rows and the sums are of that one; a provider that nobody has is told."""
    done = gpus(shop, "--provider", "dra", "-o", "yaml")
    found = yaml.safe_load(done.out)
    assert found["resources"] == [row for row in expected()["resources"] if row["provider"] == "dra"]
    assert found["totals"] == [row for row in expected()["totals"] if row["provider"] == "dra"]
    without = gpus(shop, "--provider", "aliyun", "--accelerator-resource-name", "aliyun.com/gpu-mem=example.com/mem")
    assert (without.code, without.out) == (0, "")
    assert without.err == "No node offers cards of aliyun. Without --provider all are listed.\n"


def test_other_names(shop: Cluster) -> None:
    """Names of resources that the installation chose are looked for in place of the vendors' own."""
    other = (
        "--accelerator-shared-resource",
        "nvidia.com/gpu",
        "--accelerator-resource-name",
        "aliyun.com/gpu-mem=a.com/mem",
    )
    found = resources(gpus(shop, *other, "-o", "json"))
    gone = {"nvidia.com/gpu.shared", "aliyun.com/gpu-mem"}
    assert found == [row for row in expected()["resources"] if row["resource"] not in gone]


def test_table(shop: Cluster) -> None:
    """The table has a line for each row of a node, the sums, and the notes; nothing is cut, however narrow."""
    done = gpus(shop)
    assert (done.code, done.err) == (0, "")
    lines = [line.split() for line in done.out.splitlines()]
    words = "gpu-hami hami nvidia.com/gpumem NVIDIA-NVIDIA A100 122880 50000 72880 51920 MiB"
    assert words.split() in lines
    assert "gpus/hami-a" not in done.out.partition("NOTES")[0]
    assert "gpus/hami-a 40000, gpus/hami-b 10000" in gpus(shop, "-o", "wide").out


def test_rights(shop: Cluster) -> None:
    """A right that is missing is named with the commands that give it; after those the command uses what they gave, no more."""
    user = shop.user("gpu-viewer")
    refused = gpus(shop, kubeconfig=user)
    assert (refused.code, refused.out) == (2, "")
    assert "You may not list nodes, pods, resourceslices.resource.k8s.io" in refused.err
    words, _, remedy = refused.err.strip().partition("An administrator allows it: ")
    assert words.startswith("Error: ")
    kubectl = build.ensure(["kubectl"])["kubectl"]
    granted = remedy.replace("kubectl ", f"{kubectl} --kubeconfig={shop.kubeconfig} ")
    subprocess.run(granted, shell=True, check=True, capture_output=True, timeout=60)
    # RBAC hears of new roles a moment later.
    wait_for(lambda: gpus(shop, kubeconfig=user).code == 0, "the rights are known", 30)
    assert shop.audit is not None
    log = AuditLog(shop.audit)
    since = log.mark()
    assert resources(gpus(shop, "-o", "json", kubeconfig=user)) == expected()["resources"]
    role = json.loads(shop.kubectl("get", "clusterrole", "pantala-gpus", "-o", "json"))
    assert rights.used(log.calls(since, user="gpu-viewer")) == rights.granted([role])


def test_without_pods(shop: Cluster) -> None:
    """Who may list nodes only sees what they offer; what is taken is unknown, not nothing, and the command fails."""
    user = shop.user("node-viewer")
    shop.kubectl("create", "clusterrole", "node-viewer", "--verb=list", "--resource=nodes")
    shop.kubectl("create", "clusterrolebinding", "node-viewer", "--clusterrole=node-viewer", "--user=node-viewer")
    wait_for(lambda: "list nodes" not in gpus(shop, kubeconfig=user).err, "the right is known", 30)
    done = gpus(shop, "--provider", "nvidia", "-o", "json", kubeconfig=user)
    assert done.code == 2
    assert done.err.startswith(
        "You may not list pods of the cluster, so what they tell is not counted. An administrator"
    )
    found = json.loads(done.out)
    assert {(row["taken"], row["free"]) for row in found["resources"]} == {(None, None)}
    assert found["refused"] == ["pods"]


async def test_pages(shop: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lists of many pages are whole."""
    at_once = await everything(shop.kubeconfig)
    monkeypatch.setattr(inventory, "PAGE", 3)
    assert await everything(shop.kubeconfig) == at_once
    assert len(at_once.nodes) == 20 + len(fleet.NODES)


async def test_pages_that_are_too_old(shop: Cluster, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """When the API server has forgotten the list that it gave pages of (410), it is asked for all at once."""
    at_once = await everything(shop.kubeconfig)
    monkeypatch.setattr(inventory, "PAGE", 3)
    proxy = ApiProxy(shop.kubeconfig)
    try:
        rule = proxy.add(Rule(path=r"nodes\?.*continue=", skip=1, status=410))
        assert await everything(proxy.kubeconfig(tmp_path / "proxy.kubeconfig")) == at_once
        assert rule.hits == 1
    finally:
        proxy.stop()


async def everything(kubeconfig: Path) -> inventory.Found:
    """What is read."""
    async with connect(str(kubeconfig), None) as place:
        return await inventory.read(place.client, None, dynamic=True)
