"""A stand-in for Hugging Face Hub: the four addresses of its API that readers use, and large files at a host of their own.

It shows that Pantala, opendal and dfdaemon ask for what the Hub's documentation says. It shows nothing about the Hub.
"""

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, parse_qsl, quote

from tests.fetcher.standin_http import Answer, Request, StandinServer, ranged

LARGE = 1024 * 1024
"""Bytes from which a file is in Git LFS, and its content elsewhere."""
PAGE = 3
"""Entries of a listing in one answer; the next ones are behind the `Link` header, as the Hub does it."""


@dataclass
class Repo:
    """One repository."""

    files: dict[str, bytes] = field(default_factory=dict)
    revisions: tuple[str, ...] = ("main",)


class StandinHub(StandinServer):
    """The hub; `token` is asked for where it is set."""

    def __init__(self, token: str = "") -> None:
        """Start it."""
        self.token = token
        self.repos: dict[str, Repo] = {}
        super().__init__()

    def answer(self, request: Request) -> Answer:
        """Route as the Hub does."""
        if request.path.startswith("/cdn/"):
            if "authorization" in request.headers:
                return Answer(400, b"only one way to be authorized")
            return self._content(request, request.query["repo"], request.path.removeprefix("/cdn/"))
        if self.token and request.headers.get("authorization") != f"Bearer {self.token}":
            return Answer(401, b'{"error":"Invalid username or password."}')
        if request.path.startswith("/api/models/"):
            owner, name, rest = request.path.removeprefix("/api/models/").split("/", 2)
            return self._api(request, f"{owner}/{name}", rest)
        owner, name, verb, rest = request.path[1:].split("/", 3)
        return self._resolve(request, f"{owner}/{name}", verb, rest)

    def _api(self, request: Request, name: str, rest: str) -> Answer:
        repo = self.repos.get(name)
        verb, _, rest = rest.partition("/")
        revision = (
            next((known for known in repo.revisions if f"{rest}/".startswith(f"{known}/")), None) if repo else None
        )
        if repo is None or revision is None:
            return Answer(404, b'{"error":"Repository not found"}', (("X-Error-Code", "RepoNotFound"),))
        if verb == "paths-info":
            form = dict(parse_qsl(request.body.decode())) if b"{" not in request.body else json.loads(request.body)
            paths = form["paths"] if isinstance(form["paths"], list) else parse_qs(request.body.decode())["paths"]
            return _json([self._entry(repo, path) for path in paths if self._exists(repo, path)])
        folder = rest.removeprefix(revision).strip("/")
        inside = [path for path in repo.files if not folder or path.startswith(f"{folder}/")]
        if not inside:
            return Answer(404, b'{"error":"not found"}', (("X-Error-Code", "EntryNotFound"),))
        if request.query.get("recursive", "").lower() in ("1", "true"):
            folders = {path.rsplit("/", 1)[0] for path in inside if "/" in path[len(folder) :].strip("/")}
            return self._page(request, repo, sorted({*inside, *folders}))
        start = len(folder) + 1 if folder else 0
        return self._page(request, repo, sorted({path[:start] + path[start:].split("/")[0] for path in inside}))

    def _page(self, request: Request, repo: Repo, paths: list[str]) -> Answer:
        first = int(request.query.get("cursor", "0"))
        answer = _json([self._entry(repo, path) for path in paths[first : first + PAGE]])
        if first + PAGE >= len(paths):
            return answer
        here = request.raw.split("&cursor=")[0]
        link = f'<{self.url}{here}&cursor={first + PAGE}>; rel="next"'
        return Answer(answer.status, answer.body, (*answer.headers, ("Link", link)))

    def _resolve(self, request: Request, name: str, verb: str, rest: str) -> Answer:
        repo = self.repos.get(name)
        revision = next((known for known in repo.revisions if rest.startswith(f"{known}/")), None) if repo else None
        if repo is None or revision is None or verb != "resolve":
            return Answer(404, b"", (("X-Error-Code", "RepoNotFound"),))
        path = rest.removeprefix(f"{revision}/")
        if path not in repo.files:
            return Answer(404, b"Entry not found", (("X-Error-Code", "EntryNotFound"),))
        if len(repo.files[path]) >= LARGE:
            other = self.url.replace("127.0.0.1", "localhost")
            return Answer(302, b"", (("Location", f"{other}/cdn/{quote(path)}?repo={name}&Signature=s1gn3d"),))
        return self._content(request, name, path)

    def _content(self, request: Request, name: str, path: str) -> Answer:
        content = self.repos[name].files[path]
        return ranged(request, content, ("ETag", f'"{_oid(content)}"'))

    @staticmethod
    def _exists(repo: Repo, path: str) -> bool:
        return path in repo.files or any(known.startswith(f"{path}/") for known in repo.files)

    @staticmethod
    def _entry(repo: Repo, path: str) -> dict[str, Any]:
        content = repo.files.get(path)
        if content is None:
            return {"type": "directory", "oid": hashlib.sha1(path.encode()).hexdigest(), "size": 0, "path": path}
        entry = {"type": "file", "oid": _oid(content), "size": len(content), "path": path}
        if len(content) >= LARGE:
            entry["lfs"] = {"oid": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 134}
        return entry | {"lastCommit": {"id": "c0ffee", "title": "add", "date": "2026-01-01T00:00:00.000Z"}}


def _oid(content: bytes) -> str:
    return hashlib.sha1(content).hexdigest()


def _json(value: Any) -> Answer:
    return Answer(200, json.dumps(value).encode(), (("Content-Type", "application/json"),))
