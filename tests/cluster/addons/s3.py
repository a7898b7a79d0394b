"""Two real S3 servers: moto for small objects, a gateway to files for large ones and for keys that are checked.

moto lives in a virtual environment of its own in the cache (it needs other versions than Pantala does).
"""

import hashlib
import hmac
import os
import subprocess
import sys
import tempfile
import urllib.parse
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from tests.cluster import build
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
        super().__init__(*self._how())

    def _how(self) -> tuple[list[str], str, dict[str, str] | None]:
        """Command, address that answers when it is ready, and environment."""
        command = [str(moto_python()), "-m", "moto.server", "-H", "0.0.0.0", "-p", str(self.port)]
        return command, f"{self.endpoint}/moto-api/", None

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
        if isinstance(content, bytes):
            return self._expect(self._send("PUT", _path(bucket, key), content), 200)[1]["ETag"]
        with content.open("rb") as file:
            return self._expect(self._send("PUT", _path(bucket, key), file), 200)[1]["ETag"]

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

    def _send(self, method: str, path: str, body: bytes | BinaryIO | None = None) -> Answer:
        """Send a signed request: objects are private, and only their owner may replace or remove them."""
        now = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        signed = {"host": f"127.0.0.1:{self.port}", "x-amz-content-sha256": "UNSIGNED-PAYLOAD", "x-amz-date": now}
        headers = {name: value for name, value in signed.items() if name != "host"}  # urllib sends that by itself
        headers["Authorization"] = self._authorization(method, path, signed, now)
        if body is not None:
            length = len(body) if isinstance(body, bytes) else os.fstat(body.fileno()).st_size
            headers |= {"Content-Type": "application/octet-stream", "Content-Length": str(length)}
        return http(method, self.endpoint + path, body, headers)

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


class S3Gateway(S3Server):
    """Versity's gateway from S3 to files: objects of GiB are streamed, signatures are checked, keys can be added.

    moto reads a whole object for every range that is asked of it, under a lock, and lets every key pass.
    """

    def __init__(self, port: int = 0) -> None:
        """Start the server, with its objects in a temporary folder, and wait for it."""
        self._folder = tempfile.TemporaryDirectory(prefix="pantala-s3-")
        self._program = str(build.ensure(["versitygw"])["versitygw"])
        for name in ("objects", "keys"):
            (Path(self._folder.name) / name).mkdir()
        super().__init__(port)

    def _how(self) -> tuple[list[str], str, dict[str, str] | None]:
        folder = self._folder.name
        options = ["--port", f"0.0.0.0:{self.port}", "--quiet", "--health", "/healthy"]
        options += ["--iam-dir", f"{folder}/keys", "--iam-cache-disable"]
        env = {"ROOT_ACCESS_KEY": self.access_key, "ROOT_SECRET_KEY": self.secret_key}
        return [self._program, *options, "posix", f"{folder}/objects"], f"{self.endpoint}/healthy", env

    def stop(self) -> None:
        """End it and remove its objects."""
        super().stop()
        self._folder.cleanup()

    def deny_all(self, *, denied: bool = True) -> None:
        """Not possible here: `remove_key`, or a `Rule` of `FaultProxy`."""
        raise NotImplementedError

    def link(self, bucket: str, key: str, to: str) -> None:
        """Give an object a second key, in no time whatever its size: the gateway keeps objects and ETags as files."""
        folder = Path(self._folder.name) / "objects" / bucket
        (folder / to).parent.mkdir(parents=True, exist_ok=True)
        (folder / to).unlink(missing_ok=True)
        os.link(folder / key, folder / to)

    def add_key(self, access_key: str, secret_key: str) -> dict[str, str]:
        """Accept another pair of keys for all buckets; return it as the environment of clients."""
        self._admin("create-user", "-a", access_key, "-s", secret_key, "-r", "admin")
        return {"AWS_ACCESS_KEY_ID": access_key, "AWS_SECRET_ACCESS_KEY": secret_key}

    def remove_key(self, access_key: str) -> None:
        """Refuse a key that `add_key` added, with 403 from now on."""
        self._admin("delete-user", "-a", access_key)

    def _admin(self, *arguments: str) -> None:
        own = ["-a", self.access_key, "-s", self.secret_key, "--endpoint-url", self.endpoint]
        subprocess.run([self._program, "admin", *own, *arguments], check=True, capture_output=True)


def _path(bucket: str, key: str) -> str:
    return f"/{bucket}/{urllib.parse.quote(key)}"
