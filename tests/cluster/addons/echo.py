"""A small HTTP server that answers what it was asked, behind a Service: for tests of meshes, which must count backends."""

import json
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

import yaml

from tests.cluster import Access
from tests.cluster.addons import gateway_api
from tests.cluster.addons.loopback import Loopback

PORT = 8090
"""Where every echo server listens, at its own address."""


@dataclass(frozen=True)
class Seen:
    """One request as it arrived."""

    method: str
    path: str
    headers: Mapping[str, str]
    """Names are lower case."""
    body: bytes


class Echo:
    """An echo server at an address of its own; a context manager. It answers JSON: `{"name", "path", "headers"}`.

    A request says how it is to be answered, in a header or in its path: `x-echo-status: 503` or `/status/503`,
    `x-echo-delay: 1.5` or `/delay/1.5` (seconds). What is set as `status` and `delay` goes for all others.
    """

    def __init__(self, name: str) -> None:
        """Start it; `name` is in its answers, as JSON and as the header `x-echo`."""
        self.name, self.status, self.delay = name, 200, 0.0
        self.seen: list[Seen] = []
        self._place = Loopback()
        self.address = self._place.address
        self._server = ThreadingHTTPServer((self.address, PORT), _handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    @property
    def count(self) -> int:
        """How many requests arrived since the start or `clear`."""
        return len(self.seen)

    def clear(self) -> None:
        """Forget what was seen."""
        self.seen.clear()

    def serve(self, cluster: Access, namespace: str, service: str = "", port: int = 80) -> str:
        """Make a Service of this server, by default of its own name, and return its host name in the cluster."""
        objects = gateway_api.service(service or self.name, namespace, self.address, {"http": PORT}, front=port)
        cluster.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(objects))
        return f"{service or self.name}.{namespace}.svc.cluster.local"

    def stop(self) -> None:
        """End it and give its address back."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        self._place.close()

    def __enter__(self) -> Self:
        """Return the running server."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop it."""
        self.stop()


def _handler(echo: Echo) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            seen = Seen(self.command, self.path, {key.lower(): value for key, value in self.headers.items()}, body)
            echo.seen.append(seen)
            time.sleep(float(_asked(seen, "delay") or echo.delay))  # a slow model
            content = json.dumps({"name": echo.name, "path": self.path, "headers": dict(seen.headers)}).encode()
            self.send_response(int(_asked(seen, "status") or echo.status))
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.send_header("x-echo", echo.name)
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = do_DELETE = do_OPTIONS = answer  # noqa: N815 - http.server finds them by these names

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    return Handler


def _asked(seen: Seen, what: str) -> str:
    if value := seen.headers.get(f"x-echo-{what}"):
        return value
    found = seen.path.partition(f"/{what}/")[2]
    return found.partition("/")[0].partition("?")[0]
