"""A stand-in for ModelScope: the listing and the content, at the addresses that dragonfly-client-backend 1.5.10 knows.

Large files come from a host of their own. It says nothing about ModelScope.
"""

import hashlib
import json
from typing import Any
from urllib.parse import quote

from tests.fetcher.standin_http import Answer, Request, StandinServer, ranged

LARGE = 1024 * 1024
"""Bytes from which the content is elsewhere."""


class StandinModelScope(StandinServer):
    """The hub; `token` is asked for where it is set."""

    def __init__(self, token: str = "") -> None:
        """Start it."""
        self.token = token
        self.repos: dict[tuple[str, str], dict[str, bytes]] = {}
        """Files by repository and revision."""
        super().__init__()

    def answer(self, request: Request) -> Answer:
        """Route as model_scope.rs asks."""
        if request.path.startswith("/cdn/"):
            if "authorization" in request.headers:
                return Answer(400, b"only one way to be authorized")
            return ranged(request, self.repos[request.query["repo"], request.query["revision"]][request.path[5:]])
        if self.token and request.headers.get("authorization") != f"Bearer {self.token}":
            return Answer(401, b'{"Code":401,"Message":"login required"}')
        if request.path.startswith("/api/v1/models/") and request.path.endswith("/repo/files"):
            return self._list(request, "/".join(request.path.split("/")[4:6]))
        return self._resolve(request)

    def _resolve(self, request: Request) -> Answer:
        parts = request.path[1:].split("/")
        owner, name, _, revision = parts[1:5]
        path = "/".join(parts[5:])
        content = self.repos.get((f"{owner}/{name}", revision), {}).get(path)
        if parts[0] != "models" or content is None:
            return Answer(404, b'{"Code":10010205001,"Message":"not found"}')
        if len(content) >= LARGE:
            other = self.url.replace("127.0.0.1", "localhost")
            query = f"repo={owner}/{name}&revision={revision}&Signature=s1gn3d"
            return Answer(302, b"", (("Location", f"{other}/cdn/{quote(path)}?{query}"),))
        return ranged(request, content)

    def _list(self, request: Request, repo: str) -> Answer:
        files = self.repos.get((repo, request.query.get("Revision", "master")))
        if files is None:
            return Answer(404, b'{"Code":10010205001,"Message":"not found"}')
        assert request.query.get("Recursive") == "true"
        folders = {path.rsplit("/", 1)[0] for path in files if "/" in path}
        entries: list[dict[str, Any]] = [{"Path": folder, "Type": "tree", "Size": 0} for folder in sorted(folders)]
        for path, content in files.items():
            sha256 = hashlib.sha256(content).hexdigest()
            entries.append({"Path": path, "Type": "blob", "Size": len(content), "Sha256": sha256, "Revision": "c0ffee"})
        body = {"Code": 200, "Data": {"Files": entries}, "Message": "success", "Success": True}
        return Answer(200, json.dumps(body).encode(), (("Content-Type", "application/json"),))
