"""What Prometheus scrapes in a test: series that the test writes, served as an exporter's text."""

import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self


class Exporter:
    """An HTTP server of the text that it was given last; a context manager."""

    def __init__(self, text: str = "") -> None:
        """Start it on a free port of 127.0.0.1 with a text in Prometheus' format."""
        exporter = self
        self.text = text
        """What it serves from the next scrape on."""

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = exporter.text.encode()
                self.send_response(200)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Print nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    def scrape_job(
        self, name: str = "exporter", interval: str = "1s", *, honor_labels: bool = False, **more: Any
    ) -> dict[str, Any]:
        """Return a job of Prometheus that scrapes it, for `scrape_configs`.

        Args:
            name: of the job, its label `job`.
            interval: between scrapes.
            honor_labels: labels of the text win over those of the target.
            more: further fields of the job, for instance `metric_relabel_configs`.
        """
        address = f"127.0.0.1:{self._server.server_address[1]}"
        target = {"targets": [address], "labels": more.pop("labels", {})}
        job = {"job_name": name, "scrape_interval": interval, "scrape_timeout": interval, "honor_labels": honor_labels}
        return {**job, "static_configs": [target], **more}

    def stop(self) -> None:
        """End it."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        """Return the running exporter."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop it."""
        self.stop()


def series(metric: str, value: float, labels: Mapping[str, str] | None = None) -> str:
    """Return a line of an exporter's text."""
    inside = ",".join(f'{key}="{value}"' for key, value in (labels or {}).items())
    return f"{metric}{{{inside}}} {value}\n"
