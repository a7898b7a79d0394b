"""An emulator of Azure Blob Storage (Azurite), in memory. It checks keys and honours If-Match.

It comes from npm into the cache, so it needs Node.js and npm on the machine.
"""

import base64
import hmac
import os
import shutil
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

from tests.cluster.addons.service import Service, http
from tests.cluster.cache import cache_root, entry
from tests.cluster.process import free_port, wait_for
from tests.cluster.progress import run_shown

VERSION = "3.37.0"
_MAIN = "node_modules/azurite/dist/src/blob/main.js"


def lacks() -> str:
    """What the machine lacks to run it; empty if it lacks nothing."""
    programs = [program for program in ("node", "npm") if shutil.which(program) is None]
    return f"the emulator of Azure needs {' and '.join(programs)} (Node.js)" if programs else ""


def _install(folder: Path) -> None:
    options = ["--omit=dev", "--omit=optional", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"]
    command = ["npm", "install", "--prefix", str(folder), *options, f"azurite@{VERSION}"]
    run_shown("emulator of Azure (Azurite)", command, cwd=folder, env=os.environ, log=folder / "log")


class Azurite(Service):
    """The emulator on a free port of this machine."""

    account = "devstoreaccount1"
    key = base64.b64encode(b"the key of the account, which only these tests know.............").decode()

    def __init__(self) -> None:
        """Start it and wait for it."""
        port = free_port()
        self.endpoint = f"http://127.0.0.1:{port}/{self.account}"
        main = entry(f"azurite-{VERSION}", _install, cache_root() / "addons") / _MAIN
        options = ["--blobHost", "127.0.0.1", "--blobPort", str(port), "--inMemoryPersistence", "--skipApiVersionCheck"]
        environment = {**os.environ, "AZURITE_ACCOUNTS": f"{self.account}:{self.key}"}
        command = ["node", str(main), *options, "--disableTelemetry"]
        super().__init__(command, self.endpoint, environment, wait=False)  # nothing is answered without a signature
        wait_for(lambda: "successfully listens" in self.log, "Azurite", 30, self._check)

    @property
    def credentials(self) -> dict[str, str]:
        """The environment of clients, which is the content of a Secret too."""
        return {"AZURE_STORAGE_ACCOUNT": self.account, "AZURE_STORAGE_KEY": self.key}

    def create_container(self, container: str, *, public: bool = False) -> None:
        """Make a container."""
        access = {"x-ms-blob-public-access": "container"} if public else {}
        self._put(f"/{container}", b"", access, "\nrestype:container", "?restype=container")

    def put(self, container: str, name: str, content: bytes) -> None:
        """Store a blob, also in place of another one."""
        self._put(f"/{container}/{quote(name)}", content, {"x-ms-blob-type": "BlockBlob"}, "", "")

    def _put(self, path: str, body: bytes, headers: dict[str, str], resource: str, query: str) -> None:
        """Sign as "Authorize with Shared Key" of the REST API says."""
        now = datetime.now(UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")
        headers |= {"x-ms-date": now, "x-ms-version": "2021-12-02"}
        own = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
        length = str(len(body)) if body else ""
        text = f"PUT\n\n\n{length}\n\napplication/octet-stream\n\n\n\n\n\n\n{own}/{self.account}/{self.account}{path}{resource}"
        signature = base64.b64encode(hmac.digest(base64.b64decode(self.key), text.encode(), "sha256")).decode()
        headers["Authorization"] = f"SharedKey {self.account}:{signature}"
        answer = http("PUT", self.endpoint + path + query, body, headers | {"Content-Type": "application/octet-stream"})
        assert answer[0] == 201, answer
