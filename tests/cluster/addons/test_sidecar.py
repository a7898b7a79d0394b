"""The probes of a sidecar: what the kubelet would have seen of the container itself."""

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from tests.cluster.addons.sidecar import probe
from tests.cluster.process import free_port


@pytest.fixture
def port() -> Iterator[int]:
    """A server that answers with the status in its path, or with 418 to the header `x-ask`."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(418 if self.headers.get("x-ask") else int(self.path.strip("/")))
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}).start()
        yield server.server_address[1]
        server.shutdown()


@pytest.mark.parametrize("path", ["/200", "200", "/503"])
def test_a_status_is_passed_on(port: int, path: str) -> None:
    """Good or bad, the answer of the container is that of the probe."""
    assert probe({"httpGet": {"path": path, "port": port}}, "127.0.0.1") == int(path.strip("/"))


def test_headers_are_sent(port: int) -> None:
    """A probe's own headers reach the container."""
    get = {"path": "/200", "port": port, "httpHeaders": [{"name": "X-Ask", "value": "1"}]}
    assert probe({"httpGet": get}, "127.0.0.1") == 418


def test_a_port_is_open_or_not(port: int) -> None:
    """A TCP probe passes where somebody accepts, and fails where nobody does."""
    assert probe({"tcpSocket": {"port": port}}, "127.0.0.1") == 200
    with pytest.raises(ConnectionRefusedError):
        probe({"tcpSocket": {"port": free_port()}}, "127.0.0.1")
