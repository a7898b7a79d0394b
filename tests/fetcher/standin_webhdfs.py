"""A stand-in for HDFS: a name node and a data node of WebHDFS, as Hadoop's documentation has them. It says nothing of Hadoop."""

import json
from typing import Any

from tests.fetcher.standin_http import Answer, Request, StandinServer

PAGE = 3
"""Entries of a folder in one answer."""
_PREFIX = "/webhdfs/v1"


class StandinWebHdfs(StandinServer):
    """Both nodes at one address; `token` is asked for where it is set."""

    def __init__(self, token: str = "") -> None:
        """Start it."""
        self.token = token
        self.files: dict[str, bytes] = {}
        """Absolute paths and contents."""
        self.modified = 1767225600000
        """Milliseconds; a test that replaces a file raises it."""
        super().__init__()

    def answer(self, request: Request) -> Answer:
        """Do one operation."""
        operation = request.query.get("op", "").upper()
        path = request.path.removeprefix(_PREFIX).rstrip("/") or "/"
        if self.token and request.query.get("delegation") != self.token:
            return _refuse(401, "SecurityException", "Failed to obtain user group information")
        if not self._exists(path):
            return _refuse(404, "FileNotFoundException", f"File does not exist: {path}")
        if operation == "OPEN":
            return self._open(request, path)
        if operation == "GETFILESTATUS":
            return _json({"FileStatus": self._status(path, "")})
        children = self._children(path)
        if operation == "LISTSTATUS_BATCH":
            rest = [child for child in children if child["pathSuffix"] > request.query.get("startAfter", "")]
            part = {"FileStatuses": {"FileStatus": rest[:PAGE]}}
            remaining = max(0, len(rest) - PAGE)
            return _json({"DirectoryListing": {"partialListing": part, "remainingEntries": remaining}})
        assert operation == "LISTSTATUS", operation
        return _json({"FileStatuses": {"FileStatus": children}})

    def _open(self, request: Request, path: str) -> Answer:
        if "datanode" not in request.query:
            return Answer(307, b"", (("Location", f"{self.url}{request.raw}&datanode=1"),))
        rest = self.files[path][int(request.query.get("offset", "0")) :]
        return Answer(200, rest[: int(request.query.get("length", len(rest)))])

    def _exists(self, path: str) -> bool:
        return path == "/" or path in self.files or any(known.startswith(f"{path}/") for known in self.files)

    def _children(self, path: str) -> list[dict[str, Any]]:
        if path in self.files:
            return [self._status(path, "")]
        base = f"{path.rstrip('/')}/"
        names = {known.removeprefix(base).split("/", 1)[0] for known in self.files if known.startswith(base)}
        return [self._status(base + name, name) for name in sorted(names)]

    def _status(self, path: str, suffix: str) -> dict[str, Any]:
        content = self.files.get(path)
        return {
            "accessTime": self.modified,
            "blockSize": 134217728,
            "group": "supergroup",
            "length": len(content or b""),
            "modificationTime": self.modified,
            "owner": "models",
            "pathSuffix": suffix,
            "permission": "644",
            "replication": 1,
            "type": "DIRECTORY" if content is None else "FILE",
        }


def _refuse(status: int, exception: str, message: str) -> Answer:
    body = {"RemoteException": {"exception": exception, "javaClassName": f"java.io.{exception}", "message": message}}
    return Answer(status, json.dumps(body).encode(), (("Content-Type", "application/json"),))


def _json(value: Any) -> Answer:
    return Answer(200, json.dumps(value).encode(), (("Content-Type", "application/json"),))
