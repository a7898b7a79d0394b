"""A release on a real node, and what tests ask about it and about models."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from tests.charts import rights
from tests.charts.helm import RELEASE, Helm
from tests.charts.models import BUCKET
from tests.cluster import Cluster
from tests.cluster.addons.s3 import S3Server
from tests.cluster.addons.service import http
from tests.cluster.audit import WRITES, AuditLog
from tests.cluster.process import wait_for

CRD = "crd/inferencemodels.pantala.dev"
CHILDREN = "deployments,services,configmaps,poddisruptionbudgets,horizontalpodautoscalers,pods"


class Installed:
    """One release of the chart in a namespace of its own that admits nothing but restricted pods."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        """Look at a release that may not be there yet; `since` marks this moment in the audit log."""
        assert cluster.audit is not None
        self.cluster, self.namespace = cluster, namespace
        self.helm = Helm(cluster.kubeconfig)
        self.log = AuditLog(cluster.audit)
        self.user = rights.account(namespace, RELEASE)
        self.since = self.log.mark()

    def install(self, values: dict[str, Any] | None = None) -> str:
        """Install or upgrade; return the notes when the operator of these values is the active one."""
        notes = self.helm.install(self.namespace, values)
        wait_for(lambda: self.holder() in self.pods(), "the new operator has the Lease", 30)
        return notes

    def pods(self) -> dict[str, str]:
        """Names of the operator's pods that are not on their way out, with their addresses."""
        found = self.objects("pods", "-n", self.namespace, "-l", "app.kubernetes.io/component=operator")
        alive = [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]
        return {pod["metadata"]["name"]: pod["status"].get("podIP", "") for pod in alive}

    def holder(self) -> str:
        """Name of the active operator's pod."""
        leases = self.objects("leases", "-n", self.namespace)
        return next((lease["spec"].get("holderIdentity", "") for lease in leases), "")

    def metric(self, name: str) -> float:
        """A metric of the active operator, 0 if there is none."""
        status, _, text = http("GET", f"http://{self.pods()[self.holder()]}:8080/metrics")
        assert status == 200, text
        lines = [line.rsplit(" ", 1) for line in text.decode().splitlines()]
        return next((float(line[1]) for line in lines if line[0] == name), 0.0)

    def wait_for_passes(self) -> None:
        """Wait until the active operator has been over all models of the cluster, and has nothing left to do."""
        count = len(self.objects("imodel", "-A"))
        done = 'pantala_reconciles_total{result="done"}'
        wait_for(
            lambda: self.metric(done) >= count and self.metric("pantala_queue_depth") == 0,
            f"{count} models looked at",
            30,
        )

    def writes(self, since: int, namespace: str) -> list[str]:
        """Everything that the operator wrote to a namespace of models after a mark, in words."""
        return [
            f"{call.verb} {call.resource} {call.namespace}/{call.name}"
            for call in self.log.calls(since, user=self.user)
            if call.verb in WRITES and call.namespace == namespace
        ]

    def objects(self, *arguments: str) -> list[dict[str, Any]]:
        """What `kubectl get` finds."""
        items: list[dict[str, Any]] = json.loads(self.cluster.kubectl("get", "-o", "json", *arguments))["items"]
        return items

    def apply(self, *objects: dict[str, Any]) -> None:
        """Apply objects as a user does."""
        self.cluster.kubectl(
            "apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
        )


@contextmanager
def release(cluster: Cluster, namespace: str) -> Iterator[Installed]:
    """A namespace for a release; afterwards release, namespace and, if it is new, the CRD are gone."""
    found = Installed(cluster, namespace)
    had_crd = bool(cluster.kubectl("get", CRD, "--ignore-not-found"))
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    found.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": labels}})
    try:
        yield found
    finally:
        found.helm.uninstall(namespace)
        cluster.kubectl("delete", "namespace", namespace, "--ignore-not-found")
        if not had_crd:
            cluster.kubectl("delete", CRD, "--ignore-not-found")


@contextmanager
def namespace(cluster: Cluster, name: str, s3: S3Server) -> Iterator[str]:
    """A namespace for models, with the keys of their store."""
    cluster.kubectl("wait", "--for=delete", f"namespace/{name}", "--timeout=60s")  # of an earlier run
    cluster.kubectl("create", "namespace", name)
    try:
        keys = [f"--from-literal={key}={value}" for key, value in s3.credentials.items()]
        cluster.kubectl("create", "secret", "generic", "model-store", "-n", name, *keys)
        yield name
    finally:
        cluster.kubectl("delete", "imodel", "--all", "-n", name, "--ignore-not-found")
        # Draining is the subject of other tests.
        cluster.kubectl("delete", "pods", "--all", "-n", name, "--grace-period=0", "--force", check=False)
        cluster.kubectl("delete", "namespace", name, "--ignore-not-found", "--wait=false")


def model(
    cluster: Cluster, s3: S3Server, namespace: str, name: str, runtime: str, uri: str, **spec: Any
) -> dict[str, Any]:
    """A model of one version, v1, that a NodePort reaches; `uri` is a path in the tests' bucket."""
    store = {"endpoint": s3.endpoint_at(cluster.host_ip), "region": s3.region, "secretRef": {"name": "model-store"}}
    common = {
        "runtime": {"name": runtime},
        "storage": store,
        "expose": {"nodePort": {}},
        "versions": [{"name": "v1", "uri": f"s3://{BUCKET}/{uri}"}],
    }
    meta = {"name": name, "namespace": namespace}
    return {"apiVersion": "pantala.dev/v1alpha1", "kind": "InferenceModel", "metadata": meta, "spec": common | spec}


def wait_ready(cluster: Cluster, namespace: str, *names: str) -> None:
    """Wait until models are Ready, and kube-proxy of the node has heard of it too."""
    resources = [f"imodel/{name}" for name in names]
    cluster.kubectl("wait", "-n", namespace, "--for=condition=Ready", "--timeout=180s", *resources)
    for name in names:
        wait_for(partial(_answers, url(cluster, namespace, name)), f"NodePort of {name}", 10)


def _answers(address: str) -> bool:
    try:
        http("GET", address, seconds=5)
    except OSError:
        return False
    return True


def url(cluster: Cluster, namespace: str, name: str) -> str:
    """Where a model answers from outside of the cluster."""
    path = "jsonpath={.status.nodePort.http}"
    return f"http://{cluster.node_ip}:{cluster.kubectl('get', 'imodel', name, '-n', namespace, '-o', path)}"


def children(release: Installed, namespace: str, *models: str) -> dict[str, tuple[str, int, int]]:
    """Uid, generation and restarts of all children and pods of models."""
    found = release.objects(CHILDREN, "-n", namespace, "-l", f"pantala.dev/model in ({','.join(models)})")
    return {
        f"{obj['kind']}/{obj['metadata']['name']}": (
            obj["metadata"]["uid"],
            obj["metadata"].get("generation", 0) if obj["kind"] != "Pod" else 0,
            sum(status["restartCount"] for status in obj.get("status", {}).get("containerStatuses", ())),
        )
        for obj in found
    }
