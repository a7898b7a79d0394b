"""What tests of autoscalers on real nodes need: models whose work takes a known time, and Prometheus with the chart's rules."""

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from tests.charts.helm import Helm
from tests.cluster import Access
from tests.cluster.addons import models
from tests.cluster.addons.prometheus import PodDiscovery, Prometheus
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
def measuring(
    cluster: Access, rules: Mapping[str, Any] = SHORT, interval: str = "1s", jobs: Sequence[Mapping[str, Any]] = ()
) -> Iterator[Prometheus]:
    """A real Prometheus that scrapes the models of a cluster by the job for customers, with the chart's recording rules.

    Args:
        cluster: whose models.
        rules: values `autoscaling.rules` of the chart.
        interval: between scrapes.
        jobs: of what is scraped besides.
    """

    def pods(selector: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(cluster.kubectl("get", "pods", "-A", "-l", selector, "-o", "json"))[
            "items"
        ]
        return found

    with (
        tempfile.NamedTemporaryFile("w", prefix="pantala-rules-", suffix=".yaml") as file,
        PodDiscovery(pods) as found,
    ):
        file.write(chart_files(autoscaling={"rules": dict(rules)})["pantala.rules.yaml"])
        file.flush()
        with Prometheus(
            {"rule_files": [file.name], "scrape_configs": [found.scrape_job(interval), *jobs]}
        ) as prometheus:
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
