"""Requests that are counted on both sides: in the answers that clients get, and by the servers themselves."""

import json
import math
import re
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.apiserver.operator_process import Operator
from tests.cluster import Access
from tests.cluster.addons.service import http
from tests.cluster.process import wait_for
from tests.e2e.load import Load
from tests.e2e.mesh.support import LEARNS, Exposed
from tests.e2e.support import BUCKET, Space

MOODY = "moody"
"""A version that takes as many milliseconds as X says, and fails with 503 where X is negative; it answers 0."""
_MOODY = """
import time
import numpy as np
import triton_python_backend_utils as pb


class TritonPythonModel:
    def execute(self, requests):
        return [self.answer(int(pb.get_input_tensor_by_name(one, "X").as_numpy()[0])) for one in requests]

    def answer(self, wanted):
        if wanted < 0:
            return pb.InferenceResponse([], pb.TritonError("not now", pb.TritonError.UNAVAILABLE))
        time.sleep(wanted / 1000)
        return pb.InferenceResponse([pb.Tensor("V", np.array([0], np.int32))])
"""
_CONFIG = """backend: "python"
max_batch_size: 0
input [{name: "X" data_type: TYPE_INT32 dims: [1]}]
output [{name: "V" data_type: TYPE_INT32 dims: [1]}]
"""
_AT_ONCE = 8


@dataclass(frozen=True)
class Counted:
    """A Triton model at a gateway, whose requests are counted."""

    model: Exposed
    api: bool = False
    """Whether the gateway is that of the Gateway API."""

    @property
    def url(self) -> str:
        """Address of the gateway."""
        envoy = self.model.mesh.envoy
        return envoy.api_url if self.api else envoy.url

    def routes(self) -> list[dict[str, Any]]:
        """The routes of the model's host that Envoy has now."""
        envoy = self.model.mesh.envoy
        return envoy.routes(self.model.host, envoy.api_port if self.api else 0)

    def route(self, *versions: str, shows: Sequence[str] = (), **traffic: Any) -> dict[str, Any]:
        """Apply a traffic block, wait until the model and Envoy say that it is so, and return the model's status.

        Idle versions keep their replicas, so that the next test need not start them.

        Args:
            versions: versions of the spec.
            shows: texts that Envoy's routes hold once they are as asked, besides the shares.
            traffic: as in the resource, its split as {version: weight}.
        """
        split = dict(traffic.get("split") or {traffic["target"]: 100})
        self.model.apply(*versions, **{"rollout": {"keepStable": "10m"}, **traffic})
        self.model.space.wait_condition(self.model.name, "Ready", seconds=120)
        self.model.space.wait_condition(self.model.name, "TrafficReady", reason="Routed", seconds=120)
        wait_for(lambda: self.model.weights(api=self.api) == split, f"{split} in Envoy", 90)
        wait_for(lambda: all(text in json.dumps(self.routes()) for text in shows), f"{shows} in Envoy's routes", 90)
        shown = time.time()
        wait_for(lambda: bool(self.ask(1)) and time.time() > shown + LEARNS, "all threads of Envoy have the route", 30)
        return self.model.space.status(self.model.name)

    def ask(
        self, times: int, value: int = 0, path: str = "/infer", headers: Mapping[str, str] | None = None, url: str = ""
    ) -> Counter[str]:
        """Send requests, several at a time; how many got an answer of which version, or which status if not 200."""
        url = f"{url or self.url}/v2/models/{self.model.name}{path}"
        body = json.dumps({"inputs": [{"name": "X", "datatype": "INT32", "shape": [1], "data": [value]}]}).encode()
        sent = {"Host": self.model.host, "Content-Type": "application/json", **(headers or {})}

        def once(_: int) -> str:
            status, _headers, answer = http("POST", url, body, sent)
            return f"v{json.loads(answer)['outputs'][0]['data'][0]}" if status == 200 else str(status)

        with ThreadPoolExecutor(_AT_ONCE) as pool:
            return Counter(pool.map(once, range(times)))

    def headers(self, origin: str) -> dict[str, str]:
        """The headers of an answer to a script of a page of this origin, their names in lower case."""
        sent = {"Host": self.model.host, "Origin": origin}
        status, found, body = http("GET", f"{self.url}/v2/models/{self.model.name}", headers=sent)
        assert status == 200, body
        return {name.lower(): value for name, value in found.items()}

    def load(self, *, keep_alive: bool) -> Load:
        """A few clients that ask on and on."""
        return self.model._load(self.url, keep_alive=keep_alive, clients=4, pause=0.02, host=self.model.host)

    def served(self) -> Counter[str]:
        """Inferences that the servers themselves have counted since they started, by version."""
        found: Counter[str] = Counter()
        for pod in self.model.space.pods(self.model.name):
            version = pod["metadata"]["labels"]["pantala.dev/version"]
            found[version] += counted(pod, self.model.name)
        return found

    def settled(self, before: Counter[str], least: int = 0) -> Counter[str]:
        """What the servers have counted since `before`, once it is at least so much and grows no more."""
        last: list[Counter[str]] = []

        def still() -> bool:
            last.append(self.served())
            return (last[-1] - before).total() >= least and len(last) > 1 and last[-1] == last[-2]

        wait_for(still, f"{least} inferences", 60, every=0.5)
        return last[-1] - before


def counted(pod: dict[str, Any], model: str) -> int:
    """The counter `nv_inference_request_success` of a model, read off a pod of Triton.

    Answers of a Python model that are errors count as well: the backend reports them so.
    """
    status, _, text = http("GET", f"http://{pod['status']['podIP']}:8002/metrics")
    assert status == 200, text
    pattern = rf'^nv_inference_request_success{{[^}}]*model="{re.escape(model)}"[^}}]*}} ([0-9.e+]+)$'
    return sum(int(float(number)) for number in re.findall(pattern, text.decode(), re.MULTILINE))


def store_moody(space: Space) -> None:
    """Store the version `moody` beside the others."""
    space.s3.put(BUCKET, f"triton/{MOODY}/1/model.py", _MOODY.encode())
    space.s3.put(BUCKET, f"triton/{MOODY}/config.pbtxt", _CONFIG.encode())


def near(found: int, times: int, percent: float) -> bool:
    """Whether a count is what a fair draw of each request gives, within five standard deviations."""
    share = percent / 100
    return abs(found - times * share) <= 5 * math.sqrt(times * share * (1 - share))


@contextmanager
def operating(cluster: Access, *options: str) -> Iterator[Operator]:
    """An active operator with more options; its log is printed at the end, for a test that failed."""
    cluster.kubectl("apply", "--server-side", "-f", "crds/")
    with tempfile.NamedTemporaryFile(prefix="pantala-operator-", suffix=".log") as log:
        path = Path(log.name)
        process = Operator(cluster.kubeconfig, path, *options, identity="pantala-0")
        try:
            yield process.wait("leader")
        finally:
            process.terminate()
            print(path.read_text()[-8000:])
