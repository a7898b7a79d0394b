"""An HTTP proxy that hurts chosen requests and counts what it gave: what real stores do rarely, tests need on demand.

Everything else goes to the real server and back unchanged, so clients talk to a real S3 or HTTP store whose network
or permissions are bad. It runs in threads of the test's process: a client in that process must let go of the
interpreter while it waits, as `opendal.AsyncOperator` and every other process do; opendal's blocking `Operator` does not.
"""

import http.client
import re
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "te", "upgrade"}
_CONTENT = (200, 206)
_PIECE = 256 * 1024


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
    after so many bytes of the body, `corrupt` changes the body's first byte, `rate` (bytes per second) slows it down,
    `etag` replaces the header, `wait` is an event to wait for before anything is sent (with it a test holds a request
    for as long as it likes), `call` is called before the server is asked (it may replace the object meanwhile).
    """

    path: str = ""
    """Regular expression, searched in the path with its query."""
    method: str = ""
    when: Callable[[Request], bool] = lambda _: True
    skip: int = 0
    """How many of its requests pass unhurt at first."""
    times: int | None = None
    """How often the rule applies then; None: always."""
    status: int | None = None
    code: str = "InjectedFault"
    """S3's error code in the body of `status`."""
    headers: dict[str, str] = field(default_factory=dict)
    truncate: int | None = None
    corrupt: bool = False
    rate: float | None = None
    etag: str | None = None
    wait: threading.Event | None = None
    call: Callable[[], object] | None = None
    hits: int = 0
    """How often it has applied."""

    def takes(self, request: Request) -> bool:
        """Say whether the rule applies to this request, which counts as skipped where it is one to be skipped."""
        if self.times is not None and self.hits >= self.times:
            return False
        found = (not self.method or self.method == request.method) and re.search(self.path, request.path)
        if not found or not self.when(request):
            return False
        if self.skip:
            self.skip -= 1
            return False
        return True


def key_is_not(access_key: str) -> Callable[[Request], bool]:
    """Return a condition for rules: the request is not signed with this S3 access key."""
    return lambda request: f"Credential={access_key}/" not in request.headers.get("authorization", "")


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    """Peers open many connections at once; one that finds the queue full comes again after a second."""


class FaultProxy:
    """The proxy in front of one server, on a free port of all addresses."""

    def __init__(self, target: str, limit: float | None = None) -> None:
        """Start it.

        Args:
            target: the server, `http://address:port`.
            limit: bytes per second that all answers share, a slow link; it can be changed later.
        """
        self.limit = limit
        self._free_at = 0.0
        self._given: Counter[str] = Counter()
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

        self._server = _Server(("0.0.0.0", 0), Handler)
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

    def given(self, path: str = "") -> int:
        """Bytes of content in good answers to GET whose path, without query, holds this regular expression.

        What was sent counts when it was sent, of a cut answer too: it is what the store's owner pays for.
        """
        with self._lock:
            return sum(count for name, count in self._given.items() if re.search(path, name))

    def count(self, method: str, path: str = "") -> int:
        """How many requests of a method there were whose path, with its query, holds this regular expression."""
        with self._lock:
            return sum(1 for one in self.requests if one.method == method and re.search(path, one.path))

    def forget(self) -> None:
        """Count from zero."""
        with self._lock:
            self._given.clear()
            self.requests.clear()

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

    def give(self, path: str, count: int) -> None:
        """Count bytes of content that go out, and wait until the link that all share has room for them."""
        with self._lock:
            self._given[path.partition("?")[0]] += count
            if self.limit is None:
                return
            now = time.monotonic()
            start = self._free_at = max(self._free_at, now)
            self._free_at += count / self.limit
        self.pause(start - now)

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
        if rule.call is not None:
            rule.call()
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
        if self.command != "HEAD":
            self._copy(rule, response, counted=self.command == "GET" and response.status in _CONTENT)

    def _copy(self, rule: Rule, response: http.client.HTTPResponse, *, counted: bool) -> None:
        left = rule.truncate
        size = _PIECE if rule.rate is None else max(1, min(_PIECE, int(rule.rate / 10)))
        corrupt = rule.corrupt
        while piece := response.read(size):
            if corrupt:
                piece, corrupt = bytes([piece[0] ^ 0xFF]) + piece[1:], False
            cut = left is not None and len(piece) >= left
            if cut:
                piece = piece[:left]
            if counted:
                self.owner.give(self.path, len(piece))
            self.wfile.write(piece)
            if cut:
                self.wfile.flush()
                self.close_connection = True  # the client sees fewer bytes than Content-Length promised
                return
            left = None if left is None else left - len(piece)
            if rule.rate is not None:
                self.owner.pause(len(piece) / rule.rate)

    def log_message(self, *_: object) -> None:
        """Print nothing."""
