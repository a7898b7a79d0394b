"""A real Prometheus (Debian's), with the configuration that a test gives.

Debian builds Prometheus without the discovery of Kubernetes. `PodDiscovery` takes its part: it offers the pods of a
cluster over HTTP with the labels that Prometheus documents for `role: pod`, and `scrape_job` puts it in the place of
`kubernetes_sd_configs` in the job of `manifests/prometheus-scrape.yaml`. Relabelling and scraping are Prometheus' own.
"""

import json
import re
import shutil
import tempfile
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml

from tests.cluster.addons.answers import AnswerServer
from tests.cluster.addons.service import Service, http
from tests.cluster.errors import ToolMissingError
from tests.cluster.process import free_port, wait_for


class Prometheus(Service):
    """A Prometheus on a free port of this machine; its data goes when it stops."""

    def __init__(self, config: dict[str, Any]) -> None:
        """Start it with a configuration (the content of prometheus.yml) and wait until it is ready.

        Raises:
            ToolMissingError: it is not installed.
            ClusterError: it did not start, for instance because of its configuration.
        """
        program = shutil.which("prometheus")
        if program is None:
            raise ToolMissingError("no prometheus on PATH; Debian's package is called prometheus")
        self._folder = tempfile.TemporaryDirectory(prefix="pantala-prometheus-")
        self.url = f"http://127.0.0.1:{free_port()}"
        self._config = Path(self._folder.name) / "prometheus.yml"
        self._config.write_text(yaml.safe_dump(config))
        self._command = [
            program,
            f"--config.file={self._config}",
            f"--storage.tsdb.path={self._folder.name}/data",
            f"--web.listen-address={self.url.removeprefix('http://')}",
            "--web.enable-lifecycle",
        ]
        try:
            super().__init__(self._command, f"{self.url}/-/ready")
        except BaseException:
            self._folder.cleanup()
            raise

    def start(self) -> None:
        """Start it again after `kill`, at its address and with its data."""
        super().stop()
        super().__init__(self._command, f"{self.url}/-/ready")

    def reload(self, config: dict[str, Any]) -> None:
        """Give it another configuration, for instance once a cluster is there."""
        self._config.write_text(yaml.safe_dump(config))
        status, _, body = http("POST", f"{self.url}/-/reload")
        assert status == 200, body

    def query(self, promql: str) -> list[dict[str, Any]]:
        """Return the samples of an instant query, each `{"metric": labels, "value": [time, text]}`."""
        status, _, body = http("GET", f"{self.url}/api/v1/query?{urllib.parse.urlencode({'query': promql})}")
        assert status == 200, body
        return json.loads(body)["data"]["result"]

    def targets(self) -> list[dict[str, Any]]:
        """Return the active targets with their labels, health and last error."""
        return json.loads(http("GET", f"{self.url}/api/v1/targets?state=active")[2])["data"]["activeTargets"]

    def wait_for(
        self, promql: str, accept: Callable[[list[dict[str, Any]]], bool] = bool, seconds: float = 90
    ) -> list[dict[str, Any]]:
        """Query until the samples are acceptable (by default: there are any) and return them.

        Raises:
            ClusterError: they were not in time.
        """
        seen: list[list[dict[str, Any]]] = []

        def accepted() -> bool:
            seen[:] = [self.query(promql)]
            return accept(seen[0])

        wait_for(accepted, f"Prometheus: {promql}", seconds, every=0.2)
        return seen[0]

    def stop(self) -> None:
        """End it and remove its data."""
        super().stop()
        self._folder.cleanup()


MANIFEST = Path(__file__).resolve().parents[3] / "manifests/prometheus-scrape.yaml"
"""The scrape job for customers."""


def pod_targets(pods: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return what Prometheus' discovery (`role: pod`) finds in a list of pods: a target for each port of a container.

    Names and rules of the labels: Prometheus' documentation of kubernetes_sd_config.
    """
    return [target for pod in pods if pod.get("status", {}).get("podIP") for target in _targets_of(pod)]


def _targets_of(pod: dict[str, Any]) -> Iterator[dict[str, Any]]:
    metadata, status = pod["metadata"], pod["status"]
    common = {"namespace": metadata["namespace"], "pod_name": metadata["name"], "pod_ip": status["podIP"]}
    common |= {"pod_phase": status.get("phase", ""), "pod_node_name": pod["spec"].get("nodeName", "")}
    for kind in ("label", "annotation"):
        for key, value in (metadata.get(f"{kind}s") or {}).items():
            name = re.sub(r"[^a-zA-Z0-9_]", "_", key)
            common |= {f"pod_{kind}_{name}": value, f"pod_{kind}present_{name}": "true"}
    for init in (False, True):
        for container in pod["spec"].get("initContainers" if init else "containers") or []:
            own = {"pod_container_name": container["name"], "pod_container_init": str(init).lower()}
            for port in container.get("ports") or [None]:
                labels = {**common, **own}
                if port:
                    labels["pod_container_port_number"] = str(port["containerPort"])
                    labels["pod_container_port_name"] = port.get("name", "")
                address = f"{status['podIP']}:{port['containerPort']}" if port else status["podIP"]
                yield {
                    "targets": [address],
                    "labels": {f"__meta_kubernetes_{key}": value for key, value in labels.items()},
                }


class PodDiscovery(AnswerServer):
    """An HTTP service discovery of a cluster's pods, read anew for every request of Prometheus."""

    def __init__(self, pods: Callable[[str], list[dict[str, Any]]]) -> None:
        """Start it; `pods(selector)` lists the pods of all namespaces that a label selector takes."""

        def answer(path: str) -> str:
            selector = urllib.parse.parse_qs(urllib.parse.urlsplit(path).query).get("selector", [""])[0]
            return json.dumps(pod_targets(pods(selector)))

        super().__init__(answer, "application/json")
        self.url = f"http://{self.address}"

    def scrape_job(self, interval: str = "1s", manifest: Path = MANIFEST) -> dict[str, Any]:
        """Return the job of a manifest with this discovery and a short interval, for `scrape_configs`."""
        (job,) = yaml.safe_load(manifest.read_text())["scrape_configs"]
        found = []
        for discovery in job.pop("kubernetes_sd_configs"):
            assert discovery["role"] == "pod"
            selector = urllib.parse.quote(",".join(one["label"] for one in discovery.get("selectors", [])))
            found.append({"url": f"{self.url}/?selector={selector}", "refresh_interval": interval})
        return {**job, "http_sd_configs": found, "scrape_interval": interval}
