"""What tests of autoscalers on real nodes need: a model whose work takes a known time, Prometheus and the chart's rules, and who saw what when."""

import json
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import yaml
from kubernetes.client import AppsV1Api
from kubernetes.config import new_client_from_config

from tests.charts.helm import Helm
from tests.cluster import Access
from tests.cluster.addons import models
from tests.cluster.addons.prometheus import PodDiscovery, Prometheus
from tests.cluster.process import wait_for
from tests.e2e.load import Load
from tests.e2e.support import BUCKET, Space

WORK = "work"
"""Folder of the bucket with a Triton model that takes as many milliseconds as its input says, one request after the other."""
_CODE = """
import time
import numpy as np
import triton_python_backend_utils as pb


class TritonPythonModel:
    def execute(self, requests):
        return [self.answer(int(pb.get_input_tensor_by_name(one, "MS").as_numpy()[0])) for one in requests]

    def answer(self, milliseconds):
        time.sleep(milliseconds / 1000)
        return pb.InferenceResponse([pb.Tensor("SLEPT", np.array([milliseconds], np.int32))])
"""
_CONFIG = """backend: "python"
max_batch_size: 0
input [{name: "MS" data_type: TYPE_INT32 dims: [1]}]
output [{name: "SLEPT" data_type: TYPE_INT32 dims: [1]}]
"""
TORCHSERVE = "work-torchserve"
"""Folder of the bucket with the same for TorchServe."""
_HANDLER = """
import json
import time


def handle(data, context):
    if data is None:
        return None
    return [work(row.get("body") or row.get("data")) for row in data]


def work(body):
    asked = json.loads(body) if isinstance(body, (bytes, bytearray)) else body
    time.sleep(asked["ms"] / 1000)
    return {"slept": asked["ms"]}
"""
GRACE = 16
"""Seconds: shorter than the default, so that replicas that leave are gone before the test is."""
QUICK: Mapping[str, Any] = {
    "scaleUp": {"stabilizationWindowSeconds": 0, "policies": [{"type": "Pods", "value": 4, "periodSeconds": 1}]},
    "scaleDown": {"stabilizationWindowSeconds": 5, "policies": [{"type": "Pods", "value": 4, "periodSeconds": 1}]},
}
"""A `behavior` that goes all the way at once, for a test that shall be over soon."""

SHORT: Mapping[str, Any] = {"interval": "1s", "window": "5s", "rateWindow": "5s"}
"""`autoscaling.rules` of the chart, for a Prometheus that scrapes every second."""


def chart_files(**values: Any) -> dict[str, str]:
    """Files that the chart puts into ConfigMaps, by name: the recording rules, the configuration of the Prometheus Adapter, ...

    Args:
        values: values of the chart.
    """
    made = [it for it in yaml.safe_load_all(Helm().template(values)) if it and it["kind"] == "ConfigMap"]
    return {name: text for it in made for name, text in it["data"].items()}


def adapter_config() -> dict[str, Any]:
    """The configuration of the Prometheus Adapter that the chart ships."""
    config: dict[str, Any] = yaml.safe_load(chart_files()["config.yaml"])
    return config


@contextmanager
def measuring(cluster: Access) -> Iterator[Prometheus]:
    """A real Prometheus that scrapes the models of a cluster by the job for customers, with the chart's recording rules.

    Everything happens every second: scrapes, rules, and the windows are five.
    """

    def pods(selector: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(cluster.kubectl("get", "pods", "-A", "-l", selector, "-o", "json"))[
            "items"
        ]
        return found

    with (
        tempfile.NamedTemporaryFile("w", prefix="pantala-rules-", suffix=".yaml") as rules,
        PodDiscovery(pods) as found,
    ):
        rules.write(chart_files(autoscaling={"rules": dict(SHORT)})["pantala.rules.yaml"])
        rules.flush()
        with Prometheus({"rule_files": [rules.name], "scrape_configs": [found.scrape_job()]}) as prometheus:
            yield prometheus


def store_work(space: Space) -> None:
    """Store the model `work`."""
    space.s3.put(BUCKET, f"{WORK}/1/model.py", _CODE.encode())
    space.s3.put(BUCKET, f"{WORK}/config.pbtxt", _CONFIG.encode())


def store_torchserve(space: Space, folder: Path) -> None:
    """Store the same for TorchServe, made in an empty folder."""
    archive = models.torchserve_unpacked(folder)
    (archive / "handler.py").write_text(_HANDLER)
    space.s3.put_folder(BUCKET, TORCHSERVE, archive)


def work_spec(space: Space, most: int, **scaling: Any) -> dict[str, Any]:
    """A spec of the model `work` with one to `most` replicas that go quickly."""
    scaling = {"minReplicas": 1, "maxReplicas": most, "behavior": dict(QUICK), **scaling}
    template = {"spec": {"terminationGracePeriodSeconds": GRACE}}
    return space.spec("triton", f"{WORK}/", scaling=scaling, template=template)


def asking(space: Space, name: str, milliseconds: int, clients: int, pause: float, *, keep_alive: bool = False) -> Load:
    """Clients without retries that ask a model through its NodePort for answers that take so long."""
    if space.model(name)["spec"]["runtime"]["name"] == "triton":
        path, body = _triton(name, milliseconds)
    else:
        path, body = f"/predictions/{name}", {"ms": milliseconds}
    return Load(space.url(name) + path, body, _slept, clients=clients, pause=pause, keep_alive=keep_alive)


def _triton(name: str, milliseconds: int) -> tuple[str, dict[str, Any]]:
    tensor = {"name": "MS", "datatype": "INT32", "shape": [1], "data": [milliseconds]}
    return f"/v2/models/{name}/infer", {"inputs": [tensor]}


def _slept(answer: dict[str, Any]) -> int:
    slept: int = answer["slept"] if "slept" in answer else answer["outputs"][0]["data"][0]
    return slept


@dataclass(frozen=True)
class Step:
    """What a Deployment was from a moment on."""

    at: float
    """Seconds since the epoch."""
    wanted: int
    """`spec.replicas`."""
    ready: int
    """`status.readyReplicas`."""


class Replicas:
    """The replicas of a Deployment over time, read ten times a second; a context manager."""

    def __init__(self, kubeconfig: Path, namespace: str, name: str) -> None:
        """Say which Deployment."""
        self._api: Any = AppsV1Api(new_client_from_config(str(kubeconfig)))
        self._of = name, namespace
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self.steps: list[Step] = []
        """Every change that was seen."""

    def __enter__(self) -> Self:
        """Begin to read."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Read no more."""
        self._end.set()
        self._thread.join()

    def _read(self) -> None:
        while not self._end.is_set():
            found = self._api.read_namespaced_deployment(*self._of)
            step = Step(time.time(), found.spec.replicas, found.status.ready_replicas or 0)
            last = self.steps[-1] if self.steps else None
            if last is None or (last.wanted, last.ready) != (step.wanted, step.ready):
                self.steps.append(step)
            self._end.wait(0.1)

    @property
    def now(self) -> Step:
        """The last one; waits for the first."""
        wait_for(lambda: bool(self.steps), f"Deployment {self._of}", 30)
        return self.steps[-1]

    def wait(self, count: int, since: float, seconds: float = 120) -> tuple[float, float]:
        """Wait until so many replicas are wanted and ready.

        Returns:
            Seconds from `since` until they were wanted, and until all were ready or the others were not ready any more.
        """
        wait_for(
            lambda: (self.now.wanted, self.now.ready) == (count, count), f"{count} replicas, {self.steps}", seconds
        )
        ready = self.steps[-1].at
        wanted = next(step.at for step in self.steps if step.at >= since and step.wanted == count)
        return wanted - since, ready - since

    def told(self) -> str:
        """The steps, in seconds since the first."""
        begun = self.steps[0].at
        return ", ".join(f"{step.at - begun:.1f} s {step.ready}/{step.wanted}" for step in self.steps)


@dataclass(frozen=True)
class Journey:
    """How long a model took from one replica to more and back."""

    wanted: float
    """Seconds from the begin of the load until the autoscaler wanted all replicas."""
    ready: float
    """Seconds until all were ready."""
    unwanted: float
    """Seconds from the end of the load until the autoscaler wanted one."""


def there_and_back(
    space: Space, name: str, most: int, measures: Mapping[str, Any], *, clients: int, pause: float
) -> Journey:
    """Scale a model from one replica to `most` by a load of work of 0.1 s, and back by its end; no request may be lost.

    Two clients ask all the time, once in a second, until the replicas that were there for the load are gone.

    Args:
        space: where; the model `work` is stored.
        name: of the model, which is made and stays.
        most: replicas under load.
        measures: `metrics`, `engine` ... of its scaling.
        clients: of the load.
        pause: seconds between two requests of one of them.
    """
    space.apply(name, work_spec(space, most, **measures))
    space.wait_ready(name)
    with (
        asking(space, name, 20, 1, 1.0) as fresh,
        asking(space, name, 20, 1, 1.0, keep_alive=True) as kept,
        Replicas(space.cluster.kubeconfig, space.namespace, f"{name}-v1") as replicas,
    ):
        replicas.wait(1, 0)
        begun = time.time()
        with asking(space, name, 100, clients, pause) as burst:
            wanted, ready = replicas.wait(most, begun)
        ended = time.time()
        unwanted, _ = replicas.wait(1, ended)
        wait_for(lambda: len(_all_pods(space, name)) == 1, f"one pod of {name}", GRACE + 30, every=0.5)
    found = Journey(wanted, ready, unwanted)
    accounts = "; ".join(load.account() for load in (burst, fresh, kept))
    print(f"{name}: {found}; {replicas.told()}; {accounts}")
    assert all(1 <= step.wanted <= most for step in replicas.steps), replicas.told()
    assert not burst.lost + fresh.lost, accounts
    assert len(kept.lost) < most, accounts  # one for each replica that ended
    return found


def _all_pods(space: Space, name: str) -> list[dict[str, Any]]:
    """Also those that are on their way out."""
    found: list[dict[str, Any]] = json.loads(
        space.kubectl("get", "pods", "-l", f"pantala.dev/model={name}", "-o", "json")
    )["items"]
    return found
