"""A model behind the ingress Envoy, whose versions say who they are."""

import json
import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kubernetes.client import CustomObjectsApi
from kubernetes.config import new_client_from_config

from tests.cluster import Cluster
from tests.cluster.addons.mesh_fixtures import GATEWAY, Mesh
from tests.cluster.addons.models import broken_triton_code, torchserve_unpacked
from tests.cluster.addons.s3 import S3Server
from tests.cluster.process import wait_for
from tests.e2e.load import Answer, Load
from tests.e2e.support import BUCKET, SECRET, Space

LEARNS = 0.3
"""Seconds that the threads of Envoy may take to use a route that its administration already shows."""
_IN_A_ROW = 30
"""Answers after which nothing of before is expected: both threads of Envoy got several of them, over LEARNS and longer."""
GRACE = 10
"""terminationGracePeriodSeconds: shorter than the default, so that those that leave are gone before the tests are."""
_MODEL = """
import numpy as np
import triton_python_backend_utils as pb


class TritonPythonModel:
    def execute(self, requests):
        return [pb.InferenceResponse([pb.Tensor("V", np.array([%d], np.int32))]) for one in requests]
"""
_CONFIG = """backend: "python"
max_batch_size: 0
input [{name: "X" data_type: TYPE_INT32 dims: [1]}]
output [{name: "V" data_type: TYPE_INT32 dims: [1]}]
"""
_QUESTION = {"inputs": [{"name": "X", "datatype": "INT32", "shape": [1], "data": [0]}]}


def store_versions(space: Space, folder: Path, count: int = 5) -> None:
    """Store versions v1 to v`count` for Triton and TorchServe, which answer with their number, and `broken`."""
    for number in range(1, count + 1):
        version = f"v{number}"
        triton = folder / "triton" / version
        (triton / "1").mkdir(parents=True)
        (triton / "1/model.py").write_text(_MODEL % number)
        (triton / "config.pbtxt").write_text(_CONFIG)
        space.s3.put_folder(BUCKET, f"triton/{version}", triton)
        archive = torchserve_unpacked(folder / "torchserve" / version)
        handler = archive / "handler.py"
        text = handler.read_text()
        assert "sum(numbers)" in text
        handler.write_text(text.replace("sum(numbers)", str(number)))
        space.s3.put_folder(BUCKET, f"torchserve/{version}", archive)
    space.s3.put_folder(BUCKET, "triton/broken", broken_triton_code(folder))


@dataclass(frozen=True)
class Exposed:
    """A model with a host of its own at the ingress."""

    space: Space
    mesh: Mesh
    runtime: str
    name: str
    api: CustomObjectsApi

    @property
    def host(self) -> str:
        """The host of the model."""
        return f"{self.name}.{self.space.namespace}.example.com"

    def spec(self, versions: Sequence[str], traffic: dict[str, Any], replicas: int = 1) -> dict[str, Any]:
        """A spec with these versions of the store."""
        found = self.space.spec(
            self.runtime,
            "",
            versions=[{"name": name, "uri": f"s3://{BUCKET}/{self.runtime}/{name}/"} for name in versions],
            traffic=traffic,
            template={"spec": {"terminationGracePeriodSeconds": GRACE}},
            scaling={"minReplicas": replicas},
        )
        found["expose"]["hosts"] = [self.host]
        found["expose"]["gatewayRef"] = {"namespace": "istio-system", "name": GATEWAY}
        return found

    def apply(self, *versions: str, replicas: int = 1, **traffic: Any) -> None:
        """Write the whole spec; `traffic` as in the resource, its split as {version: weight}."""
        if "split" in traffic:
            traffic["split"] = shares(traffic["split"])
        spec = self.spec(versions, traffic, replicas)
        if self.space.kubectl("get", "inferencemodel", self.name, "--ignore-not-found", "-o", "name"):
            # In place of what it was: an apply would leave the fields of other managers, such as those of `patch`.
            whole = json.dumps([{"op": "replace", "path": "/spec", "value": spec}])
            self.space.kubectl("patch", "inferencemodel", self.name, "--type=json", "-p", whole)
        else:
            self.space.apply(self.name, spec)

    def weigh(self, **weights: int) -> None:
        """Change the split alone, by one request to the API server."""
        self.patch({"traffic": {"split": shares(weights)}})

    def patch(self, spec: dict[str, Any]) -> None:
        """A merge patch of the spec."""
        self.api.patch_namespaced_custom_object(*self._where, {"spec": spec})

    def weights(self, *, api: bool = False) -> dict[str, int]:
        """The shares that Envoy gives now, by version; with `api` at the Gateway API's gateway."""
        found = self.mesh.envoy.weights(self.host, self.mesh.envoy.api_port if api else 0)
        return {self._version(cluster): weight for cluster, weight in found.items() if weight}

    def wait_routed(self, weights: dict[str, int], seconds: float = 300) -> None:
        """Wait until the model is ready, its route as asked, Envoy has exactly these shares, and answers.

        A model is ready when its first pod is: Envoy learns of that pod a moment later (50 ms and more were seen).
        """
        self.space.wait_condition(self.name, "Ready", seconds=seconds)
        self.space.wait_condition(self.name, "TrafficReady", seconds=seconds)
        self.wait_weights(weights)
        answering(self.load(keep_alive=False, clients=2), set(weights))

    def wait_served(self, version: str) -> None:
        """Wait until connections through the NodePort get to this version: kube-proxy learns of a selector a moment later."""
        answering(self.service_load(keep_alive=False, clients=2), {version})

    def wait_weights(self, weights: dict[str, int], seconds: float = 180) -> float:
        """Wait until Envoy has exactly these shares; return when it had them, in seconds since the epoch."""
        last: dict[str, int] = {}

        def same() -> bool:
            last.clear()
            last.update(self.weights())
            return last == weights

        try:
            wait_for(same, f"{self.name}: {weights} in Envoy", seconds, every=0.05)
        except Exception as error:
            told = self.space.condition(self.name, "TrafficReady")
            raise AssertionError(f"{error}; it has {last}; TrafficReady: {told}") from error
        return time.time()

    def wait_pods(self, version: str, count: int, seconds: float = 240) -> None:
        """Wait until as many pods of a version are ready, and no other is left, not even one on its way out."""
        selector = f"pantala.dev/model={self.name},pantala.dev/version={version}"

        def settled() -> bool:
            found = json.loads(self.space.kubectl("get", "pods", "-l", selector, "-o", "json"))["items"]
            return len(found) == count and all("deletionTimestamp" not in it["metadata"] and ready(it) for it in found)

        wait_for(settled, f"{self.name}: {count} pods of {version}", seconds, every=0.5)

    def load(self, *, keep_alive: bool, clients: int, pause: float = 0.02) -> Load:
        """Clients that ask through the ingress; the value of an answer is the version that gave it."""
        return self._load(self.mesh.envoy.url, keep_alive=keep_alive, clients=clients, pause=pause, host=self.host)

    def service_load(self, *, keep_alive: bool, clients: int, pause: float = 0.02) -> Load:
        """Clients that ask through the NodePort, past the mesh."""
        return self._load(self.space.url(self.name), keep_alive=keep_alive, clients=clients, pause=pause)

    @property
    def _where(self) -> tuple[str, str, str, str, str]:
        return "pantala.dev", "v1alpha1", self.space.namespace, "inferencemodels", self.name

    def _load(self, url: str, **options: Any) -> Load:
        if self.runtime == "triton":
            path, body = f"/v2/models/{self.name}/infer", _QUESTION
            return Load(url + path, body, lambda found: f"v{found['outputs'][0]['data'][0]}", **options)
        return Load(f"{url}/predictions/{self.name}", [0], lambda found: f"v{found['sum']}", **options)

    def _version(self, cluster: str) -> str:
        service = cluster.split("|")[3].partition(".")[0]
        return service.removeprefix(f"{self.name}-")


@contextmanager
def namespace(cluster: Cluster, s3: S3Server, name: str) -> Iterator[Space]:
    """A namespace with the Secret of the store; it is deleted at the end.

    Args:
        cluster: where, with the CRD.
        s3: the store.
        name: how the namespace's name begins; no run before used it.
    """
    space = Space(cluster, s3, f"{name}-{secrets.token_hex(2)}")
    cluster.kubectl("create", "namespace", space.namespace)
    keys = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": SECRET}, "stringData": s3.credentials}
    space.apply_object(keys)
    s3.create_bucket(BUCKET)
    yield space
    cluster.kubectl("delete", "namespace", space.namespace, "--wait=false")


def shares(weights: dict[str, int]) -> list[dict[str, Any]]:
    """A split as the resource has it."""
    return [{"version": name, "weight": weight} for name, weight in weights.items()]


def answering(load: Load, versions: set[str]) -> None:
    """Wait until many requests in a row, each on a connection of its own, are answered by these versions alone."""
    with load:
        wait_for(lambda: _calm(load.answers[-_IN_A_ROW:], versions), f"{_IN_A_ROW} answers of {versions} in a row", 90)


def _calm(last: Sequence[Answer], versions: set[str]) -> bool:
    return len(last) == _IN_A_ROW and all(not it.error and it.value in versions for it in last)


def ready(pod: dict[str, Any]) -> bool:
    """Whether a pod is ready."""
    return any(it["type"] == "Ready" and it["status"] == "True" for it in pod["status"].get("conditions", ()))


@contextmanager
def exposed(space: Space, mesh: Mesh, runtime: str, name: str) -> Iterator[Exposed]:
    """A model that is yet to be applied; it is deleted at the end."""
    with new_client_from_config(str(space.cluster.kubeconfig)) as client:
        yield Exposed(space, mesh, runtime, name, CustomObjectsApi(client))
        space.kubectl("delete", "inferencemodel", name, "--ignore-not-found", "--wait=false")
