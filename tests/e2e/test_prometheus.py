"""A real Prometheus finds a new model by the annotations of its pods, and reads the metrics of all our processes."""

import json
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.addons import models
from tests.cluster.addons.prometheus import PodDiscovery, Prometheus
from tests.cluster.addons.service import http
from tests.cluster.process import wait_for
from tests.e2e.support import BUCKET, Space, accepts

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def prometheus(space: Space) -> Iterator[Prometheus]:
    """A Prometheus with the job of manifests/prometheus-scrape.yaml alone, which knows no model of this cluster."""

    def pods(selector: str) -> list[dict[str, Any]]:
        found = json.loads(space.cluster.kubectl("get", "pods", "-A", "-l", selector, "-o", "json"))
        items: list[dict[str, Any]] = found["items"]
        return items

    with PodDiscovery(pods) as discovery, Prometheus({"scrape_configs": [discovery.scrape_job()]}) as server:
        yield server


def test_a_new_model_is_found_by_annotation_alone(space: Space, prometheus: Prometheus, tmp_path: Path) -> None:
    """A second after a model answers its requests are counted, under its namespace, pod, model and version.

    Each replica is one target, though its pod has several ports.
    """
    space.s3.put_folder(BUCKET, "seen", models.triton_add(tmp_path, "seen"))
    assert prometheus.query(f'{{job="pantala-models",namespace="{space.namespace}"}}') == []
    space.apply("seen", space.spec("triton", "seen/"))
    space.wait_ready("seen")
    space.ask_triton("seen", [1] * 4)
    (pod,) = space.pods("seen")
    query = f'nv_inference_request_success{{namespace="{space.namespace}"}}'
    (sample,) = prometheus.wait_for(query, lambda found: bool(found) and found[0]["value"][1] == "1")
    labels = sample["metric"]
    assert labels["pod"] == pod["metadata"]["name"]
    assert (labels["pantala_dev_model"], labels["pantala_dev_version"]) == ("seen", "v1")
    assert labels["model"] == "seen"  # Triton's own label, beside ours
    own = [target for target in prometheus.targets() if target["labels"]["namespace"] == space.namespace]
    assert [(target["health"], target["labels"]["instance"]) for target in own] == [
        ("up", f"{pod['status']['podIP']}:8002")
    ]


def test_own_metrics_are_read_too(
    space: Space, prometheus: Prometheus, operator: "subprocess.Popen[bytes]", tmp_path: Path
) -> None:
    """Prometheus takes the operator's metrics, and those of a fetcher that is at work, and promtool finds no fault.

    The weights come from a web server that holds them back, so that the fetcher is at work.
    """
    (tmp_path / "model.py").write_bytes((models.triton_add(tmp_path, "slow", config=False) / "1/model.py").read_bytes())
    with _held_web_server(tmp_path) as (port, release):
        uri = f"http://{space.cluster.host_ip}:{port}/model.py"
        spec = space.spec("triton", "", versions=[{"name": "v1", "uri": uri}])
        del spec["storage"]
        space.apply("slow", spec)
        wait_for(lambda: any(_fetching(pod) for pod in space.pods("slow")), "a fetcher is at work", 30)
        (pod,) = space.pods("slow")
        fetcher = f"{pod['status']['podIP']}:9465"
        assert isinstance(operator.args, list)
        itself = f"127.0.0.1:{operator.args[operator.args.index('--port') + 1]}"
        jobs = [("operator", itself), ("fetcher", fetcher)]
        prometheus.reload(
            {
                "scrape_configs": [
                    {"job_name": name, "scrape_interval": "1s", "static_configs": [{"targets": [target]}]}
                    for name, target in jobs
                ]
            }
        )
        prometheus.wait_for('pantala_fetch_bytes_total{source="origin"}')
        prometheus.wait_for("pantala_leader == 1")
        for _, target in jobs:
            _lint(http("GET", f"http://{target}/metrics")[2])
        release.set()
        space.wait_ready("slow")


def _fetching(pod: dict[str, Any]) -> bool:
    (status,) = pod["status"].get("initContainerStatuses") or [{}]
    return "running" in status.get("state", {}) and accepts(pod["status"].get("podIP", ""), 9465)


@contextmanager
def _held_web_server(folder: Path) -> Iterator[tuple[int, threading.Event]]:
    release = threading.Event()

    class Handler(SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            release.wait(60)
            super().do_GET()

    with ThreadingHTTPServer(("0.0.0.0", 0), partial(Handler, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield server.server_address[1], release
        finally:
            release.set()
            server.shutdown()
            thread.join()


def _lint(metrics: bytes) -> None:
    """Names, types and help texts are as Prometheus wants them; promtool is in Debian's package of Prometheus."""
    done = subprocess.run(["promtool", "check", "metrics"], input=metrics, capture_output=True, check=False)
    ours = [line for line in done.stderr.decode().splitlines() if line.startswith("pantala_") or "error" in line]
    assert not ours, done.stderr.decode()
