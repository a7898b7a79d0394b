"""A web server that plays all stores, and a client of an HTTP proxy."""

import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.request import ProxyHandler, build_opener


class StandinStore:
    """A web server in place of all stores: ranges of one content under every path; it counts whole bytes given."""

    def __init__(self, size: int = 1 << 20, listen: str = "127.0.0.1") -> None:
        """Start it on a free port."""
        store = self
        self.given = 0
        self.content = bytes(range(256)) * (size // 256)

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
                start = int(wanted[1]) if wanted else 0
                end = int(wanted[2]) + 1 if wanted and wanted[2] else len(store.content)
                part = store.content[start:end]
                self.send_response(206 if wanted else 200)
                if wanted:
                    self.send_header("Content-Range", f"bytes {start}-{start + len(part) - 1}/{len(store.content)}")
                self.send_header("Content-Length", str(len(part)))
                self.end_headers()
                store.given += len(part)  # before the client can have it, who may look at once
                self.wfile.write(part)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer((listen, 0), Handler)
        self.port: int = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def stop(self) -> None:
        """End it."""
        self._server.shutdown()
        self._server.server_close()


def ask(proxy: str, url: str) -> tuple[dict[str, str], int]:
    """Headers of the answer to a GET through the proxy, and how many bytes it has."""
    opener = build_opener(ProxyHandler({"http": proxy}))
    with opener.open(url, timeout=30) as response:
        return {key.lower(): value for key, value in response.headers.items()}, len(response.read())
