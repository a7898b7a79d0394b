"""An emulator of Google Cloud Storage (fake-gcs-server), in memory. It checks no keys and honours no If-Match."""

import json
from urllib.parse import quote

from tests.cluster import build
from tests.cluster.addons.service import Service, http
from tests.cluster.process import free_port


class GcsServer(Service):
    """The emulator on a free port of this machine."""

    def __init__(self) -> None:
        """Start it and wait for it."""
        port = free_port()
        self.endpoint = f"http://127.0.0.1:{port}"
        program = str(build.ensure(["fake-gcs-server"])["fake-gcs-server"])
        options = ["-backend", "memory", "-scheme", "http", "-host", "127.0.0.1", "-port", str(port)]
        # the name in front of which `/bucket/object` is served without a key, as at storage.googleapis.com
        super().__init__([program, *options, "-public-host", f"127.0.0.1:{port}"], f"{self.endpoint}/storage/v1/b")

    def create_bucket(self, bucket: str) -> None:
        """Make a bucket."""
        body = json.dumps({"name": bucket}).encode()
        headers = {"Content-Type": "application/json"}
        answer = http("POST", f"{self.endpoint}/storage/v1/b?project=tests", body, headers)
        assert answer[0] == 200, answer

    def put(self, bucket: str, key: str, content: bytes) -> None:
        """Store an object, also in place of another one."""
        url = f"{self.endpoint}/upload/storage/v1/b/{bucket}/o?uploadType=media&name={quote(key, safe='')}"
        answer = http("POST", url, content, {"Content-Type": "application/octet-stream"})
        assert answer[0] == 200, answer
