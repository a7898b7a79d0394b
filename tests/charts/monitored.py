"""Four hours of a small fleet in a real Prometheus; the chart's own recording rules make the rest out of them."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
import time
import urllib.parse
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

from tests.charts.fleet import MINUTES, Fleet
from tests.charts.helm import Helm, documents
from tests.cluster.addons.service import Service, http
from tests.cluster.process import free_port

SLOW = {"autoscaling": {"rules": {"interval": "60s", "window": "5m", "rateWindow": "5m"}}}
"""Values of the chart for samples of every minute."""


class Monitored:
    """Prometheus with the four hours; a context manager."""

    def __init__(self) -> None:
        """Play them, and evaluate the chart's recording rules over them; the end is now."""
        self._stack = ExitStack()
        folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="pantala-monitored-")))
        self._data = folder / "data"
        self.end = int(time.time()) // 60 * 60
        self.begin = self.end - 60 * MINUTES
        text = folder / "samples.txt"
        with text.open("w") as file:
            fleet = Fleet()
            for minute in range(MINUTES + 1):
                for line in fleet.at(minute):
                    file.write(f"{line} {self.begin + 60 * minute}\n")
            file.write("# EOF\n")
        _promtool("create-blocks-from", "openmetrics", str(text), str(self._data))
        rules = recorded(folder)
        with self._prometheus():
            span = (f"--start={self.begin}", f"--end={self.end}", "--eval-interval=60s", f"--url={self.url}")
            _promtool("create-blocks-from", "rules", *span, f"--output-dir={self._data}", *rules)
        self._stack.enter_context(self._prometheus())

    def query(self, promql: str) -> list[dict[str, Any]]:
        """The samples of now.

        Raises:
            AssertionError: Prometheus does not accept the query; with its words.
        """
        return self._ask("query", {"query": promql, "time": self.end})

    def range(self, promql: str, step: int = 60) -> list[dict[str, Any]]:
        """The samples of all four hours."""
        return self._ask("query_range", {"query": promql, "start": self.begin, "end": self.end, "step": step})

    def __enter__(self) -> Self:
        """Return it."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop it, and remove its data."""
        self._stack.close()

    def _ask(self, how: str, parameters: dict[str, Any]) -> list[dict[str, Any]]:
        status, _, body = http("GET", f"{self.url}/api/v1/{how}?{urllib.parse.urlencode(parameters)}")
        assert status == 200, f"{parameters['query']}: {body.decode()}"
        found: list[dict[str, Any]] = json.loads(body)["data"]["result"]
        return found

    def _prometheus(self) -> Service:
        program = shutil.which("prometheus")
        assert program, "no prometheus on PATH; Debian's package is called prometheus"
        self.url = f"http://127.0.0.1:{free_port()}"
        config = self._data.parent / "prometheus.yml"
        config.write_text("scrape_configs: []\n")
        options = {"config.file": config, "storage.tsdb.path": self._data, "web.listen-address": self.url[7:]}
        return Service([program, *(f"--{name}={value}" for name, value in options.items())], f"{self.url}/-/ready")


def recorded(folder: Path) -> list[str]:
    """Write the chart's recording rules, and return the files."""
    files = []
    for document in documents(Helm().template(SLOW)):
        if document["kind"] == "ConfigMap":
            for name, text in document["data"].items():
                if name in {"pantala.rules.yaml", "pantala.requests.yaml"}:
                    (folder / name).write_text(text)
                    files.append(str(folder / name))
    return sorted(files)


def _promtool(*arguments: str) -> None:
    program = shutil.which("promtool")
    assert program, "no promtool on PATH; it is in Debian's package prometheus"
    done = subprocess.run([program, "tsdb", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
