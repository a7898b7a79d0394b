"""A receiver of OTLP over HTTP: it decodes what comes, as a collector does."""

from __future__ import annotations

import gzip
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span


class Receiver:
    """Listens on a port of its own, and keeps the spans."""

    def __init__(self, port: int = 0) -> None:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                receiver.take(self.path, ExportTraceServiceRequest.FromString(body))
                answer = ExportTraceServiceResponse().SerializeToString()
                self.send_response(200)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: object) -> None:
                pass

        self.paths: list[str] = []
        self.spans: list[Span] = []
        self.service = ""
        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})

    def take(self, path: str, request: ExportTraceServiceRequest) -> None:
        """Keep the spans of a request."""
        self.paths.append(path)
        for resource in request.resource_spans:
            self.service = attributes(resource.resource.attributes)["service.name"]
            for scope in resource.scope_spans:
                self.spans += scope.spans

    def traces(self) -> dict[bytes, dict[str, Span]]:
        """The spans by trace and name."""
        found: dict[bytes, dict[str, Span]] = {}
        for span in self.spans:
            found.setdefault(span.trace_id, {})[span.name] = span
        return found

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        """The endpoint to set."""
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        """Listen."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def attributes(pairs: object) -> dict[str, str | int]:
    """Attributes as a dictionary."""
    found: dict[str, str | int] = {}
    for pair in pairs:  # type: ignore[attr-defined]
        assert isinstance(pair, KeyValue)
        value = pair.value
        found[pair.key] = value.string_value if value.HasField("string_value") else value.int_value
    return found
