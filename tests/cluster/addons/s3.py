"""A real S3 server: moto, in a virtual environment of its own in the cache (it needs other versions than Pantala does)."""

import hashlib
import hmac
import os
import subprocess
import sys
import urllib.parse
from datetime import UTC, datetime
from pathlib import Path

from tests.cluster.addons.service import Answer, Service, http
from tests.cluster.cache import cache_root, entry
from tests.cluster.images.layers import short_hash
from tests.cluster.process import free_port
from tests.cluster.progress import run_shown

_REQUIREMENTS = ("moto[s3]==5.2.5", "flask==3.1.2", "flask-cors==6.0.1")
"""moto[server] would bring every service of AWS: 316 MB instead of 139 and 20 s instead of 6."""


def moto_python() -> Path:
    """Return a Python that can `import moto`; the environment is made once."""
    key = f"moto-{short_hash([*_REQUIREMENTS, sys.version])}"
    return entry(key, _make_environment, cache_root() / "addons") / "venv/bin/python"


def _make_environment(folder: Path) -> None:
    python = folder / "venv/bin/python"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "venv"], check=True)
    command = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", *_REQUIREMENTS]
    run_shown("S3 server (moto)", command, cwd=folder, env=os.environ, log=folder / "log")


class S3Server(Service):
    """An S3 server on a free port of all addresses, so that pods reach it too (`endpoint_at(host_ip)`)."""

    region = "us-east-1"
    access_key = "AKIAPANTALATESTS0000"
    """Any key is good until `deny_all`; this one is for resources and Secrets that need one."""
    secret_key = "the-tests-own-secret-key"

    def __init__(self, port: int = 0) -> None:
        """Start the server and wait for it."""
        self.port = port or free_port()
        self.endpoint = f"http://127.0.0.1:{self.port}"
        command = [str(moto_python()), "-m", "moto.server", "-H", "0.0.0.0", "-p", str(self.port)]
        super().__init__(command, f"{self.endpoint}/moto-api/")

    def endpoint_at(self, address: str) -> str:
        """Return the endpoint as seen from where this machine is `address`: `Cluster.host_ip` for pods."""
        return f"http://{address}:{self.port}"

    @property
    def credentials(self) -> dict[str, str]:
        """The environment of clients, which is the content of a Secret too."""
        return {"AWS_ACCESS_KEY_ID": self.access_key, "AWS_SECRET_ACCESS_KEY": self.secret_key}

    def create_bucket(self, bucket: str) -> None:
        """Make a bucket; one that exists stays as it is."""
        self._expect(self._send("PUT", f"/{bucket}"), 200, 409)

    def put(self, bucket: str, key: str, content: bytes | Path) -> str:
        """Store an object, also in place of another one; return its ETag."""
        body = content if isinstance(content, bytes) else content.read_bytes()
        return self._expect(self._send("PUT", _path(bucket, key), body), 200)[1]["ETag"]

    def put_folder(self, bucket: str, prefix: str, folder: Path) -> None:
        """Store all files below a folder; like every object store, this one cannot hold an empty folder."""
        for file in sorted(path for path in folder.rglob("*") if path.is_file()):
            self.put(bucket, f"{prefix.rstrip('/')}/{file.relative_to(folder)}", file)

    def get(self, bucket: str, key: str) -> bytes:
        """Return an object's content."""
        return self._expect(self._send("GET", _path(bucket, key)), 200)[2]

    def delete(self, bucket: str, key: str) -> None:
        """Remove an object, whether it exists or not."""
        self._expect(self._send("DELETE", _path(bucket, key)), 204)

    def deny_all(self, *, denied: bool = True) -> None:
        """Refuse every request with 403 as S3 does (InvalidAccessKeyId), because no key is known; or accept all again."""
        body = b"0" if denied else b"inf"
        self._expect(http("POST", f"{self.endpoint}/moto-api/reset-auth", body, {"Content-Type": "text/plain"}), 200)

    def _send(self, method: str, path: str, body: bytes | None = None) -> Answer:
        """Send a signed request: objects are private, and only their owner may replace or remove them."""
        now = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        signed = {"host": f"127.0.0.1:{self.port}", "x-amz-content-sha256": "UNSIGNED-PAYLOAD", "x-amz-date": now}
        headers = {name: value for name, value in signed.items() if name != "host"}  # urllib sends that by itself
        headers["Authorization"] = self._authorization(method, path, signed, now)
        return http(method, self.endpoint + path, body, headers | {"Content-Type": "application/octet-stream"})

    def _authorization(self, method: str, path: str, signed: dict[str, str], now: str) -> str:
        """Sign as the S3 API Reference says, "Authenticating Requests: Using the Authorization Header (SigV4)"."""
        names = ";".join(signed)
        lines = "".join(f"{name}:{value}\n" for name, value in signed.items())
        request = f"{method}\n{path}\n\n{lines}\n{names}\nUNSIGNED-PAYLOAD"
        scope = f"{now[:8]}/{self.region}/s3/aws4_request"
        text = f"AWS4-HMAC-SHA256\n{now}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
        key = f"AWS4{self.secret_key}".encode()
        for part in (*scope.split("/"), text):
            key = hmac.digest(key, part.encode(), "sha256")
        credential = f"{self.access_key}/{scope}"
        return f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={names}, Signature={key.hex()}"

    def _expect(self, answer: Answer, *statuses: int) -> Answer:
        if answer[0] not in statuses:
            raise AssertionError(f"S3 answered {answer[0]}: {answer[2][:500]!r}")
        return answer


def _path(bucket: str, key: str) -> str:
    return f"/{bucket}/{urllib.parse.quote(key)}"
