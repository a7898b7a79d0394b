"""A proxy between an operator and the real API server that logs every request and hurts chosen ones.

Plain HTTP on the operator's side, the operator's own client certificate on the other: RBAC judges the operator as ever.
Watches stream through. With hooks a test kills the operator in front of a write, or behind it.
"""

import base64
import http.client
import json
import re
import ssl
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import yaml

_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "te", "upgrade", "host", "date", "server"}
_WRITES = {"POST", "PUT", "PATCH", "DELETE"}


@dataclass
class Request:
    """One request of the operator."""

    method: str
    path: str
    """With the query."""
    status: int = 0
    """What the API server, or the proxy in its place, answered; 0 while there is no answer."""

    @property
    def is_write(self) -> bool:
        """Whether it changes something; the Lease does not count."""
        return self.method in _WRITES and "/leases" not in self.path

    @property
    def target(self) -> str:
        """Method and object, such as `PATCH services/resnet`."""
        parts = urlsplit(self.path).path.split("/namespaces/", 1)[-1].split("/")[1:]
        return f"{self.method} {'/'.join(parts)}"


@dataclass
class Rule:
    """Which requests are hurt, and how."""

    method: str = ""
    path: str = ""
    """Regular expression, searched in the path with its query."""
    when: Callable[[Request], bool] = lambda _: True
    skip: int = 0
    """How many matches are let through first."""
    times: int | None = None
    """How often the rule applies after that; None: always."""
    status: int | None = None
    """Answer with this status in place of the API server."""
    message: str = "injected"
    headers: dict[str, str] = field(default_factory=dict)
    hold: threading.Event | None = None
    """Wait for this event before anything else."""
    before: Callable[[Request], None] | None = None
    """Called in front of the API server."""
    drop_before: bool = False
    """Close the connection; the API server never sees the request."""
    after: Callable[[Request], None] | None = None
    """Called when the API server has answered, before the operator hears of it."""
    drop_after: bool = False
    """Close the connection once the API server has answered."""
    matches: int = 0
    hits: int = 0

    def takes(self, request: Request) -> bool:
        """Whether the rule applies to this request; counts."""
        fits = (not self.method or self.method == request.method) and re.search(self.path, request.path)
        if not fits or not self.when(request):
            return False
        self.matches += 1
        if self.matches <= self.skip or (self.times is not None and self.hits >= self.times):
            return False
        self.hits += 1
        return True


class ApiProxy:
    """The proxy in front of one API server, for the user of one kubeconfig."""

    def __init__(self, kubeconfig: Path) -> None:
        config = yaml.safe_load(kubeconfig.read_text())
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        server = urlsplit(cluster["server"])
        self._upstream = (server.hostname, server.port)
        self._tls = _context(cluster, user)
        self._lock = threading.Lock()
        self._streams: set[http.client.HTTPResponse] = set()
        self.rules: list[Rule] = []
        self.requests: list[Request] = []
        proxy = self

        class Handler(_Handler):
            owner = proxy

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            block_on_close = False
            request_queue_size = 128

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def kubeconfig(self, path: Path) -> Path:
        """Write a kubeconfig that leads here."""
        config: dict[str, Any] = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "proxy", "cluster": {"server": self.url}}],
            "users": [{"name": "operator", "user": {}}],
            "contexts": [{"name": "proxy", "context": {"cluster": "proxy", "user": "operator"}}],
            "current-context": "proxy",
        }
        path.write_text(json.dumps(config))
        return path

    def add(self, rule: Rule) -> Rule:
        """Add a rule and return it, for its counters; of several that fit, the first applies."""
        with self._lock:
            self.rules.append(rule)
        return rule

    def clear(self) -> None:
        """Remove all rules."""
        with self._lock:
            self.rules.clear()

    def writes(self, since: int = 0) -> list[Request]:
        """The requests after a number of them that change something, in order."""
        return [request for request in self.requests[since:] if request.is_write]

    def drop_watches(self) -> int:
        """End all watches as a broken connection does; how many there were."""
        with self._lock:
            streams = list(self._streams)
        for stream in streams:
            with suppress(OSError, AttributeError, ValueError):
                stream.fp.raw._sock.shutdown(2)  # type: ignore[union-attr]
        return len(streams)

    def stop(self) -> None:
        """Close the port."""
        self._server.shutdown()
        self._server.server_close()

    def __enter__(self) -> Self:
        """Return the running proxy."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop it."""
        self.stop()

    def rule_for(self, request: Request) -> Rule:
        """Remember a request and find what shall happen to it."""
        with self._lock:
            self.requests.append(request)
            return next((rule for rule in self.rules if rule.takes(request)), Rule())

    def connect(self) -> http.client.HTTPSConnection:
        """A connection to the API server."""
        return http.client.HTTPSConnection(*self._upstream, context=self._tls, timeout=120)

    def streaming(self, response: http.client.HTTPResponse, *, on: bool) -> None:
        """Remember, or forget, a watch that is under way."""
        with self._lock:
            (self._streams.add if on else self._streams.discard)(response)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    owner: ApiProxy
    upstream: http.client.HTTPSConnection | None = None

    def _handle(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        request = Request(self.command, self.path)
        rule = self.owner.rule_for(request)
        with suppress(BrokenPipeError, ConnectionResetError):
            self._serve(request, rule, body)
            return
        self.close_connection = True

    do_GET = do_PUT = do_POST = do_PATCH = do_DELETE = _handle  # noqa: N815 - http.server's names

    def _serve(self, request: Request, rule: Rule, body: bytes) -> None:
        if rule.hold is not None:
            rule.hold.wait(120)
        if rule.before is not None:
            rule.before(request)
        if rule.drop_before:
            self._hang_up()
            return
        if rule.status is not None:
            request.status = rule.status
            self._answer(rule.status, {"Content-Type": "application/json", **rule.headers}, _status(rule))
            return
        if "watch=true" in request.path:
            self._stream(request, body)
            return
        response, payload = self._ask(body)
        request.status = response.status
        if rule.after is not None:
            rule.after(request)
        if rule.drop_after:
            self._hang_up()
            return
        self._answer(response.status, dict(response.getheaders()), payload)

    def _ask(self, body: bytes) -> tuple[http.client.HTTPResponse, bytes]:
        for fresh in (False, True):
            if self.upstream is None or fresh:
                self.upstream = self.owner.connect()
            try:
                self._forward(self.upstream, body)
                response = self.upstream.getresponse()
                return response, response.read()
            except (http.client.RemoteDisconnected, ConnectionError, ssl.SSLError):
                self.upstream.close()
                self.upstream = None
                if fresh:
                    raise ConnectionResetError from None
        raise ConnectionResetError

    def _forward(self, connection: http.client.HTTPSConnection, body: bytes) -> None:
        headers = {name: value for name, value in self.headers.items() if name.lower() not in _HOP}
        headers.pop("Authorization", None)
        connection.request(self.command, self.path, body=body or None, headers=headers)

    def _stream(self, request: Request, body: bytes) -> None:
        connection = self.owner.connect()
        try:
            self._forward(connection, body)
            response = connection.getresponse()
            request.status = response.status
            self.owner.streaming(response, on=True)
            self.send_response(response.status)
            self.send_header("Content-Type", response.getheader("Content-Type", "application/json"))
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            while piece := response.read1(65536):
                self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
                self.wfile.flush()
            self.wfile.write(b"0\r\n\r\n")
        except (OSError, http.client.HTTPException):
            self._hang_up()
        finally:
            with suppress(UnboundLocalError):
                self.owner.streaming(response, on=False)
            connection.close()

    def _answer(self, status: int, headers: dict[str, str], payload: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            if name.lower() not in _HOP:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    def _hang_up(self) -> None:
        self.close_connection = True
        with suppress(OSError):
            self.connection.shutdown(2)

    def finish(self) -> None:
        """Close both sides."""
        with suppress(OSError):
            super().finish()
        if self.upstream is not None:
            self.upstream.close()

    def log_message(self, *_: object) -> None:
        """Print nothing."""


def _status(rule: Rule) -> bytes:
    reasons = {403: "Forbidden", 409: "Conflict", 422: "Invalid", 429: "TooManyRequests", 500: "InternalError"}
    status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": rule.status, "message": rule.message}
    return json.dumps({**status, "reason": reasons.get(rule.status or 0, "")}).encode()


def _context(cluster: dict[str, str], user: dict[str, str]) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=base64.b64decode(cluster["certificate-authority-data"]).decode())
    with tempfile.NamedTemporaryFile() as file:
        for part in ("client-certificate-data", "client-key-data"):
            file.write(base64.b64decode(user[part]) + b"\n")
        file.flush()
        context.load_cert_chain(file.name)
    return context
