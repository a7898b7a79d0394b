"""The program that starts TorchServe: its parts, with real sockets, processes and recorded lines of TorchServe 0.12.

With the real server it runs in the pods of the e2e tests.
"""

import http.client
import socket
import subprocess
import sys
import threading
import types
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest

from pantala.runtimes.render import render

WORKER = "2026-11-21T10:56:17,918 [INFO ] W-9000-net_1.0-stdout MODEL_LOG - "
STARTED = [WORKER + "Torch worker started."]


def source(tmp_path: Path, client_ports: tuple[int, ...] = (8080,)) -> str:
    return render(
        "start.py.j2",
        name="net",
        drain_seconds=1,
        store=str(tmp_path / "store"),
        models=str(tmp_path / "models"),
        health_port=0,
        management_port=1,
        client_ports=list(client_ports),
        termination_log=str(tmp_path / "termination-log"),
        message_bytes=1024,
    )


def load(tmp_path: Path, client_ports: tuple[int, ...] = (8080,)) -> types.ModuleType:
    module = types.ModuleType("start")
    exec(compile(source(tmp_path, client_ports), "start.py", "exec", dont_inherit=True), module.__dict__)
    return module


@pytest.mark.parametrize(
    ("lines", "errors"),
    [
        (
            [
                *STARTED,
                WORKER + "Traceback (most recent call last):",
                WORKER + '  File "/opt/ts/ts/model_loader.py", line 108, in load',
                WORKER + "ModuleNotFoundError: No module named 'nosuchmodule'",
                WORKER,
                WORKER + "During handling of the above exception, another exception occurred:",
                WORKER,
                WORKER + "Traceback (most recent call last):",
                WORKER + "ModuleNotFoundError: No module named 'ts.torch_handler.h'",
                "2026-11-21T10:56:12,625 [WARN ] W-9000-net_1.0 WorkerThread - Auto recovery failed again",
            ],
            ["ModuleNotFoundError: No module named 'nosuchmodule'"],
        ),
        (
            [
                *STARTED,
                WORKER + "Traceback (most recent call last):",
                WORKER + "ValueError: of the first attempt",
                *STARTED,
                WORKER + "Traceback (most recent call last):",
                WORKER + "ValueError: weights have the wrong shape",
            ],
            ["ValueError: weights have the wrong shape"],
        ),
        (
            [
                *STARTED,
                WORKER + "Traceback (most recent call last):",
                WORKER + '  File "/tmp/models/0a1b/h.py", line 3, in initialize',
                WORKER + "RuntimeError: no weights in this archive",
                WORKER + "Traceback (most recent call last):",
                WORKER + "RuntimeError: 500 - Unknown exception",
            ],
            ["RuntimeError: no weights in this archive"],
        ),
        (
            [*STARTED, "2026-11-21T10:57:29,879 [WARN ] W-9000-net_1.0 WorkerThread - Auto recovery failed again"],
            ["a worker died without a traceback; was it out of memory?"],
        ),
        (
            [
                "2026-11-21T11:06:18,548 [WARN ] main ModelServer - Failed to load model: net.mar",
                "org.pytorch.serve.archive.model.InvalidModelException: Failed to parse signature.json.",
                "\tat org.pytorch.serve.archive.utils.ArchiveUtils.readFile(ArchiveUtils.java:45) ~[model-server.jar:?]",
                "2026-11-21T11:06:18,600 [INFO ] main ModelServer - Inference API bind to: http://0.0.0.0:8080",
            ],
            ["main ModelServer - Failed to load model: net.mar", "Failed to parse signature.json."],
        ),
        (['Invalid configuration: For input string: "many"'], ['Invalid configuration: For input string: "many"']),
        (
            ["usage: torchserve", "torchserve: error: unrecognized arguments: --x"],
            ["torchserve: error: unrecognized arguments: --x"],
        ),
        ([], []),
    ],
    ids=["import", "second attempt", "own words", "silent", "register", "setting", "flag", "nothing"],
)
def test_cause(tmp_path: Path, lines: list[str], errors: list[str]) -> None:
    """The log's last failure is named, its root first, whatever TorchServe prints around it."""
    start = load(tmp_path)
    start.output.extend(lines)
    assert start.cause()[0] == errors


def test_ends_with_the_reason(tmp_path: Path) -> None:
    """Where TorchServe cannot even start, the process leaves with 1, and log and termination message hold the reason."""
    program = tmp_path / "start.py"
    program.write_text(source(tmp_path))
    command = [sys.executable, "-I", str(program)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 1, ended.stderr
    message = (tmp_path / "termination-log").read_text()
    assert message.startswith("TorchServe ended with code 1")
    assert "No module named" in message
    assert message in ended.stdout
    assert len(message) <= 1024


def test_text_is_the_models(tmp_path: Path) -> None:
    """The text below the error is the traceback of the model, not those that TorchServe adds."""
    start = load(tmp_path)
    own = ["Traceback (most recent call last):", '  File "h.py", line 3, in initialize', "RuntimeError: no weights"]
    added = ["Traceback (most recent call last):", "RuntimeError: 500 - Unknown exception"]
    start.output.extend(STARTED + [WORKER + line for line in own + added])
    assert start.cause() == (["RuntimeError: no weights"], own)


@pytest.mark.parametrize("packed", [True, False])
def test_link(tmp_path: Path, packed: bool) -> None:  # noqa: FBT001 - a column of the table
    """The archive is found under one name, packed or not, and a second start finds it in place."""
    name = "net.mar" if packed else "net"
    (tmp_path / "models" / name).mkdir(parents=True)
    start = load(tmp_path)
    start.link_model()
    start.link_model()
    assert (tmp_path / "store/net.mar").resolve() == tmp_path / "models" / name


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_connections(tmp_path: Path, family: socket.AddressFamily) -> None:
    """Open connections to the client ports are counted, listening sockets and other ports are not."""
    host = "127.0.0.1" if family == socket.AF_INET else "::1"
    try:
        server = socket.create_server((host, 0), family=family)
    except OSError:
        pytest.skip("no IPv6 here")
    with server:
        start = load(tmp_path, (server.getsockname()[1],))
        assert start.connections() == 0
        with socket.create_connection(server.getsockname()[:2]):
            assert start.connections() == 1
            assert load(tmp_path, (1,)).connections() == 0


@pytest.fixture
def health(tmp_path: Path) -> Iterator[tuple[types.ModuleType, int]]:
    """The health endpoint on a free port, and the program that it belongs to."""
    start = load(tmp_path)
    server = ThreadingHTTPServer(("127.0.0.1", 0), start.Health)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield start, server.server_port
    server.shutdown()
    server.server_close()
    thread.join()


def test_health(health: tuple[types.ModuleType, int]) -> None:
    """/ready follows the model, /live does not."""
    start, port = health

    def status(path: str) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request("GET", path)
        answer = connection.getresponse().status
        connection.close()
        return answer

    assert (status("/ready"), status("/live")) == (503, 200)
    start.ready.set()
    assert (status("/ready"), status("/live")) == (200, 200)
    start.ready.clear()
    assert status("/ready") == 503
