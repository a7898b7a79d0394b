"""An exporter whose counters a test moves: text as real proxies write it, for a real Prometheus to scrape."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

BUCKETS = ("0.5", "1", "5", "10", "25", "50", "100", "250", "500", "1000", "2500", "5000", "10000", "+Inf")
"""The bounds in milliseconds that Envoy's and Istio's histograms begin with, and the last."""


class Recorded:
    """Serves counters on a port of its own."""

    def __init__(self) -> None:
        recorded = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = recorded.text().encode()
                self.send_response(200)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
                recorded.scrapes += 1

            def log_message(self, *_: object) -> None:
                """Print nothing."""

        self.scrapes = 0
        self._series: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    @property
    def target(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self._server.server_address[1]}"

    def add(self, name: str, by: float, **labels: str) -> None:
        """Move a counter; it is born where there is none."""
        with self._lock:
            key = name, tuple(labels.items())
            self._series[key] = self._series.get(key, 0.0) + by

    def requests(self, by: int, milliseconds: float, **labels: str) -> None:
        """Move Istio's counter and histogram by requests that took so long."""
        self.add("istio_requests_total", by, **labels)
        for bound in BUCKETS:
            name = "istio_request_duration_milliseconds_bucket"
            self.add(name, by if milliseconds <= float(bound) else 0, **labels, le=bound)

    def restart(self) -> None:
        """Forget everything, as a proxy does that starts anew."""
        with self._lock:
            self._series = dict.fromkeys(self._series, 0.0)

    def text(self) -> str:
        """The exposition."""
        with self._lock:
            return "".join(
                f"{name}{{{','.join(f'{key}={_quoted(text)}' for key, text in labels)}}} {value:g}\n"
                for (name, labels), value in self._series.items()
            )

    def __enter__(self) -> Self:
        """Return the running exporter."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop it."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def sent(service: str, code: str = "200", **more: str) -> dict[str, str]:
    """The labels by which a gateway tells of requests that it sent to a version's Service of the namespace vision."""
    return _labels("source", service, code) | more


def came(service: str, code: str = "200", **more: str) -> dict[str, str]:
    """The labels by which the sidecar of a replica tells of requests that came."""
    return _labels("destination", service, code) | more


def _labels(reporter: str, service: str, code: str) -> dict[str, str]:
    # As Istio 1.31 writes them, those that the queries do not read among them.
    return {
        "reporter": reporter,
        "source_workload": "ingress",
        "source_workload_namespace": "istio-system",
        "destination_workload": service,
        "destination_workload_namespace": "vision",
        "destination_app": "unknown",
        "destination_service": f"{service}.vision.svc.cluster.local",
        "destination_service_name": service,
        "destination_service_namespace": "vision",
        "request_protocol": "http",
        "response_code": code,
        "grpc_response_status": "",
        "response_flags": "-",
        "connection_security_policy": "unknown",
    }


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def job(*targets: str, name: str = "proxies", path: str = "/metrics") -> dict[str, Any]:
    """A scrape job with an interval of a fifth of a second."""
    return {
        "job_name": name,
        "metrics_path": path,
        "scrape_interval": "200ms",
        "scrape_timeout": "200ms",
        "static_configs": [{"targets": list(targets)}],
    }
