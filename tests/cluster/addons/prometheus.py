"""A real Prometheus (Debian's), with the configuration that a test gives."""

import json
import shutil
import tempfile
import urllib.parse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

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
        command = [
            program,
            f"--config.file={self._config}",
            f"--storage.tsdb.path={self._folder.name}/data",
            f"--web.listen-address={self.url.removeprefix('http://')}",
            "--web.enable-lifecycle",
        ]
        try:
            super().__init__(command, f"{self.url}/-/ready")
        except BaseException:
            self._folder.cleanup()
            raise

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
        self, promql: str, accept: Callable[[list[dict[str, Any]]], bool] = bool, seconds: float = 30
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
