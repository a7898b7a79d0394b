"""An HTTP proxy that hurts chosen requests: what real stores do rarely, tests need on demand.

Everything else goes to the real server and back unchanged, so clients talk to a real S3 or HTTP store whose network
or permissions are bad. It runs in threads of the test's process: a client in that process must let go of the
interpreter while it waits, as `opendal.AsyncOperator` and every other process do; opendal's blocking `Operator` does not.
"""

import http.client
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "te", "upgrade"}
_PIECE = 64 * 1024


@dataclass(frozen=True)
class Request:
    """What a rule sees of a request, and what the proxy remembers of all of them."""

    method: str
    path: str
    """With the query."""
    headers: dict[str, str]
    """Names in lower case."""


@dataclass
class Rule:
    """Which requests are hurt, how many of them, and how. A rule without an effect only counts.

    `status` answers without asking the server; the others change the server's answer: `truncate` closes the connection
    after so many bytes of the body, `rate` (bytes per second) slows it down, `etag` replaces the header, `wait` is an
    event to wait for before anything is sent (with it a test holds a request for as long as it likes).
    """

    path: str = ""
    """Regular expression, searched in the path with its query."""
    method: str = ""
    when: Callable[[Request], bool] = lambda _: True
    times: int | None = None
    """How often the rule applies; None: always."""
    status: int | None = None
    code: str = "InjectedFault"
    """S3's error code in the body of `status`."""
    headers: dict[str, str] = field(default_factory=dict)
    truncate: int | None = None
    rate: float | None = None
    etag: str | None = None
    wait: threading.Event | None = None
    hits: int = 0
    """How often it has applied."""

    def takes(self, request: Request) -> bool:
        """Say whether the rule is for this request."""
        wanted = self.times is None or self.hits < self.times
        return bool(
            wanted
            and (not self.method or self.method == request.method)
            and re.search(self.path, request.path)
            and self.when(request)
        )


def key_is_not(access_key: str) -> Callable[[Request], bool]:
    """Return a condition for rules: the request is not signed with this S3 access key."""
    return lambda request: f"Credential={access_key}/" not in request.headers.get("authorization", "")


class FaultProxy:
    """The proxy in front of one server, on a free port of all addresses."""

    def __init__(self, target: str) -> None:
        """Start it; `target` is `http://address:port`."""
        self._target = target.removeprefix("http://").rstrip("/")
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self.rules: list[Rule] = []
        """The first that takes a request applies; tests append and clear."""
        self.requests: list[Request] = []
        """All requests so far."""
        proxy = self

        class Handler(_Handler):
            owner = proxy

        self._server = ThreadingHTTPServer(("0.0.0.0", 0), Handler)
        self._server.daemon_threads = True
        self.port: int = self._server.server_address[1]
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    def endpoint_at(self, address: str) -> str:
        """Return the endpoint as seen from where this machine is `address`: `Cluster.host_ip` for pods."""
        return f"http://{address}:{self.port}"

    def add(self, rule: Rule) -> Rule:
        """Append a rule and return it, for its counter."""
        with self._lock:
            self.rules.append(rule)
        return rule

    def clear(self) -> None:
        """Remove all rules: the store is healthy again."""
        with self._lock:
            self.rules.clear()

    def stop(self) -> None:
        """Close the port and end slow answers."""
        self._stopping.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        """Return the running proxy."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop it."""
        self.stop()

    def rule_for(self, request: Request) -> Rule:
        """Remember a request and return the rule that applies to it, counted; one without effect if none does."""
        with self._lock:
            self.requests.append(request)
            rule = next((rule for rule in self.rules if rule.takes(request)), Rule())
            rule.hits += 1
            return rule

    def connect(self) -> http.client.HTTPConnection:
        """Return a connection to the real server."""
        return http.client.HTTPConnection(self._target, timeout=60)

    def pause(self, seconds: float) -> None:
        """Wait, but not beyond `stop`."""
        self._stopping.wait(seconds)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    owner: FaultProxy

    def _handle(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        rule = self.owner.rule_for(Request(self.command, self.path, headers))
        body = self.rfile.read(int(headers.get("content-length", 0)))
        if rule.wait is not None:
            rule.wait.wait(60)
        try:
            if rule.status is not None:
                self._refuse(rule)
            else:
                self._forward(rule, body)
        except (BrokenPipeError, ConnectionResetError):  # the client gave up
            self.close_connection = True

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _handle  # noqa: N815 - http.server's names

    def _refuse(self, rule: Rule) -> None:
        body = f'<?xml version="1.0"?><Error><Code>{rule.code}</Code><Message>injected</Message></Error>'.encode()
        self.send_response(rule.status)
        for name, value in {
            "Content-Type": "application/xml",
            **rule.headers,
            "Content-Length": str(len(body)),
        }.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _forward(self, rule: Rule, body: bytes) -> None:
        connection = self.owner.connect()
        try:
            # the signature covers the Host header: the server must see the one that the client sent
            connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                connection.putheader(name, value)
            connection.endheaders(body or None)
            self._answer(rule, connection.getresponse())
        finally:
            connection.close()

    def _answer(self, rule: Rule, response: http.client.HTTPResponse) -> None:
        length = response.getheader("Content-Length")
        self.send_response(response.status)
        for name, value in response.getheaders():
            if name.lower() not in _HOP | {"date", "server"}:
                self.send_header(name, rule.etag if rule.etag and name.lower() == "etag" else value)
        for name, value in rule.headers.items():
            self.send_header(name, value)
        if length is not None:
            self.send_header("Content-Length", length)
        else:
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()
        if self.command == "HEAD":
            return
        self._copy(rule, response)

    def _copy(self, rule: Rule, response: http.client.HTTPResponse) -> None:
        left = rule.truncate
        size = _PIECE if rule.rate is None else max(1, min(_PIECE, int(rule.rate / 10)))
        while piece := response.read(size):
            if left is not None and len(piece) >= left:
                self.wfile.write(piece[:left])
                self.wfile.flush()
                self.close_connection = True  # the client sees fewer bytes than Content-Length promised
                return
            self.wfile.write(piece)
            left = None if left is None else left - len(piece)
            if rule.rate is not None:
                self.owner.pause(len(piece) / rule.rate)

    def log_message(self, *_: object) -> None:
        """Print nothing."""
