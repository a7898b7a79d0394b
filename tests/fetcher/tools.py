"""What the fetcher's tests share: a proxy that counts and breaks, and the command as a process of its own."""

import http.client
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

MIB = 1024 * 1024
SECRET = "s3cr3t/with+odd=chars-0123456789"
KEY_ID = "AKIATESTSOFFETCHER01"
KEYS = {"AWS_ACCESS_KEY_ID": KEY_ID, "AWS_SECRET_ACCESS_KEY": SECRET}

Fault = Callable[[str, str, int], int | str | None]
"""(method, path, number of object reads so far) -> a status to answer, `cut` after half of the body, or None."""


@dataclass
class Counts:
    """What went through the proxy."""

    reads: int = 0
    """GETs of objects (not listings)."""
    heads: int = 0
    lists: int = 0
    body: int = 0
    """Bytes of objects."""
    ranges: list[str] = field(default_factory=list)


class Proxy:
    """A real HTTP proxy in front of a real store, in a thread."""

    def __init__(self, upstream: str) -> None:
        self.counts = Counts()
        self.fault: Fault = lambda *_: None
        self._lock = threading.Lock()
        parts = urlsplit(upstream)
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args: Any) -> None:
                pass

            def do_GET(self) -> None:
                proxy.handle(self, parts.hostname or "", parts.port or 80)

            do_HEAD = do_GET  # noqa: N815

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *args: Any) -> None:
                pass  # a client that was killed

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def close(self) -> None:
        """Stop."""
        self.server.shutdown()
        self.server.server_close()

    def reset(self) -> None:
        """Count from zero, break nothing."""
        self.counts = Counts()
        self.fault = lambda *_: None

    def handle(self, handler: BaseHTTPRequestHandler, host: str, port: int) -> None:
        """Forward one request."""
        listing = "list-type" in handler.path
        with self._lock:
            counts = self.counts
            if handler.command == "HEAD":
                counts.heads += 1
            elif listing:
                counts.lists += 1
            else:
                counts.reads += 1
                counts.ranges.append(handler.headers.get("Range", ""))
            number = counts.reads
        fault = self.fault(handler.command, handler.path, number)
        if isinstance(fault, int):
            body = b"<Error><Code>SlowDown</Code><Message>x</Message></Error>" if fault >= 500 else b""
            handler.send_response(fault)
            handler.send_header("Content-Length", str(len(body)))
            handler.end_headers()
            handler.wfile.write(body if handler.command == "GET" else b"")
            return
        connection = http.client.HTTPConnection(host, port, timeout=30)
        connection.request(handler.command, handler.path, headers=dict(handler.headers.items()))
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        handler.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("connection", "transfer-encoding", "content-length", "server", "date"):
                handler.send_header(name, value)
        length = answer.getheader("Content-Length") if handler.command == "HEAD" else str(len(body))
        handler.send_header("Content-Length", length or "0")
        handler.end_headers()
        if fault == "cut":
            handler.wfile.write(body[: len(body) // 2])
            handler.wfile.flush()
            handler.close_connection = True
            handler.connection.close()
            return
        handler.wfile.write(body)
        if handler.command == "GET" and not listing and answer.status in (200, 206):
            with self._lock:
                counts.body += len(body)


@dataclass(frozen=True)
class Result:
    """What a run of the command left."""

    code: int
    log: str
    out: str
    message: dict[str, Any]
    raw: str

    @classmethod
    def of(cls, code: int, log: str, termination: Path) -> "Result":
        """What a process left that a test has waited for."""
        raw = termination.read_text() if termination.exists() else ""
        return cls(code, log, "", json.loads(raw) if raw else {}, raw)

    @property
    def bytes(self) -> dict[str, int]:
        """Bytes by source."""
        return self.message["bytes"]


_FETCH = "from pantala.cli.fetch import fetch; fetch()"
_KILL = """
import importlib, os, signal, sys
module, path, number = sys.argv.pop(1).split(":")
owner = importlib.import_module(module)
*parents, name = path.split(".")
for parent in parents:
    owner = getattr(owner, parent)
original, calls = getattr(owner, name), 0
def killing(*args, **kwargs):
    global calls
    calls += 1
    if calls == int(number):
        os.kill(os.getpid(), signal.SIGKILL)
    return original(*args, **kwargs)
setattr(owner, name, killing)
"""


def environment(extra: Mapping[str, str]) -> dict[str, str]:
    """A small environment: no proxies, no credentials of the machine."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return {**kept, "PYTHONWARNINGS": "error", **extra}


def start(
    *args: str, env: Mapping[str, str] = KEYS, kill_at: str = "", prefix: list[str] | None = None
) -> subprocess.Popen[str]:
    """Start `pantala fetch`; with `kill_at` (module:function:call) it dies by SIGKILL in front of that call."""
    code = _KILL + _FETCH if kill_at else _FETCH
    command = [*(prefix or []), sys.executable, "-c", code, *([kill_at] if kill_at else []), *args]
    return subprocess.Popen(
        command, env=environment(env), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8"
    )


@contextmanager
def started(*args: str, after: Callable[[], bool] | None = None) -> Iterator[subprocess.Popen[str]]:
    """Run `pantala fetch` beside the test, once a condition is true; it is gone at the end."""
    if after:
        wait_until(after)
    process = start(*args)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def fetch(to: Path, uri: str, *args: str, env: Mapping[str, str] = KEYS, **options: Any) -> Result:
    """Run `pantala fetch` to its end."""
    log = to.parent / f"{to.name}.termination"
    log.unlink(missing_ok=True)
    to.mkdir(exist_ok=True)
    arguments = ["--uri", uri, "--to", str(to), "--metrics-port", "0", "--termination-log", str(log)]
    if "--retry-seconds" not in args:
        arguments += ["--retry-seconds", "5"]
    process = start(*arguments, *args, env=env, **options)
    out, err = process.communicate(timeout=120)
    raw = log.read_text() if log.exists() else ""
    return Result(process.returncode, err, out, json.loads(raw) if raw else {}, raw)


def tree(folder: Path) -> dict[str, bytes]:
    """All files of a folder, without the fetcher's own."""
    files = (path for path in folder.rglob("*") if path.is_file())
    found = {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}
    return {name: content for name, content in found.items() if not name.startswith(".pantala/")}


def wait_until(condition: Callable[[], bool], seconds: float = 90) -> None:
    """Wait for a condition, with a deadline."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true"
        threading.Event().wait(0.01)
