"""An answer of dfdaemon's HTTP proxy, played by a stand-in, that stops in the middle."""

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.fetcher.tools import MIB, fetch, tree

SIZE = 9 * MIB


@contextmanager
def standin_proxy(answer: bytes) -> Iterator[str]:
    """Give each client the same bytes, and then nothing, for as long as it stays."""
    open_ones: list[socket.socket] = []

    def serve() -> None:
        while True:
            try:
                client, _ = server.accept()
            except OSError:
                return
            open_ones.append(client)
            client.recv(65536)
            client.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)
        thread.join(10)
    for client in open_ones:
        client.close()


@pytest.mark.parametrize("connection", ["keep-alive", "close"])
def test_an_answer_that_stops(web: tuple[str, Path], to: Path, connection: str) -> None:
    """After `--fallback-after` the rest is read from the store, also where the proxy repeats a store's `Connection: close`."""
    url, root = web
    content = os.urandom(SIZE)
    (root / "m.mar").write_bytes(content)
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\nConnection: {connection}\r\nX-Dragonfly-Task-Id: x\r\n\r\n"
    with standin_proxy(head.encode() + content[: 5 * MIB]) as proxy:
        result = fetch(to, f"{url}/m.mar", "--proxy", proxy, "--fallback-after", "1")
    assert result.code == 0, result.log
    assert result.message["fallback"].startswith("Stalled: ")
    assert tree(to) == {"m.mar": content}
