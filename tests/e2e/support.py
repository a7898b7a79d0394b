"""What end-to-end tests need of a namespace with models in it: apply, wait, read, ask."""

import functools
import json
import socket
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kubernetes.client import CustomObjectsApi
from kubernetes.config import new_client_from_config

from tests.cluster import Cluster
from tests.cluster.addons.s3 import S3Server
from tests.cluster.addons.service import http
from tests.cluster.process import wait_for

BUCKET = "models"
SECRET = "model-store"
PATIENCE = 240.0
"""Deadline in seconds for what takes less than 60 on an idle machine."""


@functools.cache
def _models(kubeconfig: Path) -> CustomObjectsApi:
    return CustomObjectsApi(new_client_from_config(str(kubeconfig)))


@dataclass(frozen=True)
class Space:
    """A namespace of a cluster with an operator, and a store with models."""

    cluster: Cluster
    s3: S3Server
    namespace: str

    def spec(self, runtime: str, path: str, /, **fields: Any) -> dict[str, Any]:
        """The smallest spec that is reachable from outside: version v1 at a path of the bucket."""
        return {
            "runtime": {"name": runtime},
            "storage": {
                "endpoint": self.s3.endpoint_at(self.cluster.host_ip),
                "region": self.s3.region,
                "secretRef": {"name": SECRET},
            },
            "versions": [{"name": "v1", "uri": f"s3://{BUCKET}/{path}"}],
            "expose": {"nodePort": {}},
            **fields,
        }

    def apply(self, name: str, spec: dict[str, Any]) -> None:
        """Create a model, or replace its whole spec."""
        self.apply_object(
            {
                "apiVersion": "pantala.dev/v1alpha1",
                "kind": "InferenceModel",
                "metadata": {"name": name, "namespace": self.namespace},
                "spec": spec,
            }
        )

    def apply_object(self, manifest: dict[str, Any]) -> None:
        """Apply any object."""
        self.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=json.dumps(manifest))

    def delete(self, kind: str, name: str) -> None:
        """Delete an object and wait until it is gone."""
        self.kubectl("delete", kind, name, "--ignore-not-found", "--wait=true")

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """Run kubectl in the namespace."""
        return self.cluster.kubectl("-n", self.namespace, *arguments, stdin=stdin)

    def get(self, kind: str, name: str) -> dict[str, Any]:
        """An object as the API server has it."""
        found: dict[str, Any] = json.loads(self.kubectl("get", kind, name, "-o", "json"))
        return found

    def pods(self, model: str, version: str | None = None) -> list[dict[str, Any]]:
        """The pods of a model, or of one of its versions, those on their way out left out."""
        selector = f"pantala.dev/model={model}" + (f",pantala.dev/version={version}" if version else "")
        items = json.loads(self.kubectl("get", "pods", "-l", selector, "-o", "json"))["items"]
        return [item for item in items if "deletionTimestamp" not in item["metadata"]]

    def status(self, name: str) -> dict[str, Any]:
        """The status of a model; empty before the operator has looked."""
        found: dict[str, Any] = self.model(name).get("status", {})
        return found

    def model(self, name: str) -> dict[str, Any]:
        """A model, past kubectl: that costs a tenth of a second of a core each time, and waits ask all the time."""
        place = ("pantala.dev", "v1alpha1", self.namespace, "inferencemodels", name)
        found: dict[str, Any] = _models(self.cluster.kubeconfig).get_namespaced_custom_object(*place)
        return found

    def condition(self, name: str, kind: str) -> dict[str, Any]:
        """One condition of a model; empty if it has none of that type."""
        return next((item for item in self.status(name).get("conditions", ()) if item["type"] == kind), {})

    def wait(
        self, name: str, what: str, done: Callable[[dict[str, Any]], bool], seconds: float = PATIENCE
    ) -> dict[str, Any]:
        """Wait until the status of a model satisfies `done`; the last status is in the error."""
        last: dict[str, Any] = {}

        def check() -> bool:
            last.clear()
            last.update(self.status(name))
            return done(last)

        try:
            wait_for(check, f"{name}: {what}", seconds, every=0.2)
        except Exception as error:
            raise AssertionError(f"{error}; its status is {json.dumps(last)[:3000]}") from error
        return dict(last)

    def wait_condition(
        self, name: str, kind: str, status: str = "True", reason: str | None = None, seconds: float = PATIENCE
    ) -> dict[str, Any]:
        """Wait for a condition and return it; conditions of an older generation do not count."""
        generation = self.model(name)["metadata"]["generation"]

        def holds(found: dict[str, Any]) -> bool:
            return found.get("observedGeneration") == generation and any(
                item["type"] == kind and item["status"] == status and reason in {None, item["reason"]}
                for item in found.get("conditions", ())
            )

        found = self.wait(name, f"{kind}={status} {reason or ''}", holds, seconds)
        return next(item for item in found["conditions"] if item["type"] == kind)

    def wait_ready(self, name: str, seconds: float = PATIENCE) -> dict[str, Any]:
        """Wait until a model is Ready, nothing is under way any more and its NodePort answers; return its status.

        kube-proxy writes its rules at most once a second (`minSyncPeriod`), so the port opens a moment after the pod
        is ready; no API tells when.
        """
        self.wait_condition(name, "Ready", seconds=seconds)
        settled = lambda found: not any(item["type"] in {"Reconciling", "Stalled"} for item in found["conditions"])  # noqa: E731
        found = self.wait(name, "settled", settled, seconds)
        if "nodePort" in found:
            wait_for(lambda: accepts(self.cluster.node_ip, found["nodePort"]["http"]), f"the port of {name}", 60)
        return found

    def url(self, name: str, port: str = "http") -> str:
        """Address of the model's NodePort."""
        return f"http://{self.cluster.node_ip}:{self.status(name)['nodePort'][port]}"

    def ask_triton(self, name: str, values: list[int], model: str | None = None) -> list[int]:
        """Add `values` to themselves by the model `add` of tests.cluster.addons.models, through the NodePort."""
        inputs = [{"name": letter, "datatype": "INT32", "shape": [len(values)], "data": values} for letter in "AB"]
        body = json.dumps({"inputs": inputs}).encode()
        status, _, answer = http("POST", f"{self.url(name)}/v2/models/{model or name}/infer", body)
        assert status == 200, answer
        found: list[int] = json.loads(answer)["outputs"][0]["data"]
        return found

    def ask_torchserve(self, name: str, body: Any, model: str | None = None) -> Any:
        """A prediction of a TorchServe model through the NodePort."""
        headers = {"Content-Type": "application/json"}
        path = f"{self.url(name)}/predictions/{model or name}"
        status, _, answer = http("POST", path, json.dumps(body).encode(), headers)
        assert status == 200, answer
        return json.loads(answer)


def accepts(address: str, port: int) -> bool:
    """Whether a TCP port accepts a connection."""
    try:
        with socket.create_connection((address, port), 1):
            return True
    except OSError:
        return False


def termination(pod: dict[str, Any], init: str = "fetch") -> dict[str, Any]:
    """The account that an init container of a pod left in its termination message."""
    statuses = {item["name"]: item for item in pod["status"]["initContainerStatuses"]}
    found: dict[str, Any] = json.loads(statuses[init]["state"]["terminated"]["message"])
    return found


def stop(process: "subprocess.Popen[bytes]") -> None:
    """End a process in order, or at once after 10 s."""
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
