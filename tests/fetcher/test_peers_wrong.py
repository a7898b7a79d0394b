"""Wrong bytes out of dfdaemon's HTTP proxy, played by a stand-in, for one file of several."""

import hashlib
import json
import os
from pathlib import Path

from typing_extensions import override

from pantala.fetcher.verify import folder_digest
from tests.fetcher.standin_http import Answer, Request, StandinServer, ranged
from tests.fetcher.tools import MIB, fetch, tree

SIZE = 5 * MIB


class StandinProxy(StandinServer):
    """Answers as dfdaemon's proxy does, with what it was given for a path."""

    def __init__(self, files: dict[str, bytes]) -> None:
        """Start it."""
        self._files = files
        super().__init__()

    @override
    def answer(self, request: Request) -> Answer:
        return ranged(request, self._files[request.path], ("X-Dragonfly-Task-Id", "0" * 64))


def test_what_was_right_is_counted_once(web: tuple[str, Path], to: Path) -> None:
    """The wrong file alone is read again; the ledger has the others as they came, and nothing of this run as cached."""
    url, root = web
    contents = {name: os.urandom(SIZE) for name in ("a", "b", "c")}
    for name, content in contents.items():
        (root / name).write_bytes(content)
    entries = [
        {"path": name, "size": SIZE, "sha256": hashlib.sha256(content).hexdigest()}
        for name, content in contents.items()
    ]
    (root / "index.json").write_text(json.dumps({"files": entries}))
    given = {f"/files/{name}": content for name, content in contents.items()}
    with StandinProxy(given | {"/files/c": os.urandom(SIZE)}) as proxy:
        result = fetch(to, f"{url}/index.json", "--proxy", proxy.url)
    assert result.code == 0, result.log
    assert tree(to) == contents
    assert result.message["fallback"].startswith("DaemonFailed: the peers gave wrong bytes")
    assert result.message["direct"] == result.bytes["origin"] == SIZE
    assert (result.bytes["proxy"], result.bytes["cache"]) == (3 * SIZE, 0)


def test_wrong_bytes_of_an_earlier_process(web: tuple[str, Path], to: Path) -> None:
    """A fetcher that was killed before it could verify has left wrong files: they are not believed for ever."""
    url, root = web
    contents = {name: os.urandom(SIZE) for name in ("a", "b")}
    for name, content in contents.items():
        (root / name).write_bytes(content)
    (root / "index.json").write_text(json.dumps({"files": [{"path": name, "size": SIZE} for name in contents]}))
    digest = folder_digest((name, hashlib.sha256(content).hexdigest()) for name, content in contents.items())
    with StandinProxy({f"/files/{name}": os.urandom(SIZE) for name in contents}) as proxy:
        arguments = (f"{url}/index.json", "--digest", digest, "--proxy", proxy.url)
        assert fetch(to, *arguments, kill_at="pantala.fetcher.verify:model_digest:1").code < 0
        assert fetch(to, *arguments).message["reason"] == "DigestMismatch"
        result = fetch(to, *arguments)
    assert result.code == 0, result.log
    assert tree(to) == contents
