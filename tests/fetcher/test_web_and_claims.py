"""Web servers (one file, an index), servers without ranges, and mounted claims."""

import hashlib
import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tests.fetcher.tools import MIB, environment, fetch, tree

CONTENT = os.urandom(21 * MIB)


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_one_file(web: tuple[str, Path], to: Path) -> None:
    """A file with an awkward name, in ranges; the second run reads nothing."""
    url, root = web
    (root / "a b+ü.bin").write_bytes(CONTENT)
    result = fetch(to, f"{url}/a%20b+%C3%BC.bin")
    assert (result.code, result.bytes["origin"]) == (0, len(CONTENT)), result.log
    assert tree(to) == {"a b+ü.bin": CONTENT}
    assert fetch(to, f"{url}/a%20b+%C3%BC.bin").bytes["origin"] == 0


def test_an_index_lists_a_folder(web: tuple[str, Path], to: Path) -> None:
    """Sizes and checksums of the index hold; the folder's digest is that of any other store."""
    url, root = web
    files = {"config.json": b"{}", "sub/weights.bin": CONTENT, "empty": b""}
    (root / "sub").mkdir()
    for name, content in files.items():
        (root / name).write_bytes(content)
    entries = [{"path": name, "size": len(content), "sha256": sha(content)} for name, content in files.items()]
    (root / "index.json").write_text(json.dumps({"files": entries}))
    lines = "".join(sorted(f"{sha(content)}  {name}\n" for name, content in files.items()))
    digest = "sha256:" + sha(lines.encode())
    result = fetch(to, f"{url}/", "--digest", digest)
    assert result.code == 0, result.log
    assert tree(to) == files


@pytest.mark.parametrize("wrong", ["size", "sha256"])
def test_an_index_that_is_wrong(web: tuple[str, Path], to: Path, wrong: str) -> None:
    """What the index promises and the server does not keep is a DigestMismatch."""
    url, root = web
    (root / "w").write_bytes(b"weights")
    entry = {"path": "w", "size": 7, "sha256": sha(b"weights"), wrong: 8 if wrong == "size" else sha(b"other")}
    (root / "index.json").write_text(json.dumps({"files": [entry]}))
    result = fetch(to, f"{url}/index.json")
    assert (result.code, result.message["reason"]) == (13, "DigestMismatch")
    assert tree(to) == {}


@pytest.mark.parametrize("text", ["[]", "{", '{"files": [{"path": 1}]}', '{"files": [{"path": "a", "size": -1}]}'])
def test_an_index_that_is_none(web: tuple[str, Path], to: Path, text: str) -> None:
    """The message shows what an index looks like."""
    url, root = web
    (root / "index.json").write_text(text)
    result = fetch(to, f"{url}/")
    assert result.code == 15
    assert "is no index; write {" in result.message["message"]


def test_a_server_without_ranges(plain_web: tuple[str, Path], to: Path) -> None:
    """It is found out with one small request, and the file comes in one stream."""
    url, root = plain_web
    (root / "w.bin").write_bytes(CONTENT)
    result = fetch(to, f"{url}/w.bin", "--digest", f"sha256:{sha(CONTENT)}")
    assert (result.code, result.bytes["origin"]) == (0, len(CONTENT)), result.log
    assert tree(to) == {"w.bin": CONTENT}


def test_a_server_that_announces_no_length(to: Path) -> None:
    """A page that is made while it is sent looks empty to HEAD; it is refused, and a really empty file is not."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            if self.path == "/empty":
                self.send_header("Content-Length", "0")
            self.end_headers()
            if self.command == "GET" and self.path != "/empty":
                self.wfile.write(b"page")

        do_HEAD = do_GET  # noqa: N815

        def log_message(self, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}"
        page, empty = fetch(to, f"{url}/page"), fetch(to, f"{url}/empty")
        server.shutdown()
    assert (page.code, empty.code) == (15, 0), page.log + empty.log
    assert "announces no length" in page.message["message"]
    assert tree(to) == {"empty": b""}


def test_missing(web: tuple[str, Path], to: Path) -> None:
    """A web server's 404."""
    result = fetch(to, f"{web[0]}/nope.bin")
    assert (result.code, result.message["reason"]) == (10, "NotFound")


def test_a_local_folder(tmp_path: Path, to: Path) -> None:
    """What a mounted claim is to the fetcher: files on a disk."""
    source = tmp_path / "source"
    (source / "sub").mkdir(parents=True)
    (source / "sub/w").write_bytes(CONTENT)
    (source / "empty folder").mkdir()
    result = fetch(to, str(source))
    assert result.code == 0, result.log
    assert tree(to) == {"sub/w": CONTENT}
    assert (to / "empty folder").is_dir()
    assert fetch(to, str(source)).bytes == {"origin": 0, "peer": 0, "local": 0, "cache": len(CONTENT)}


def test_a_claim_that_is_not_mounted(to: Path) -> None:
    """Outside of a pod there is no claim."""
    result = fetch(to, "pvc://claim/path")
    assert (result.code, result.message["reason"]) == (10, "NotFound")
    assert "claim claim is not mounted" in result.message["message"]


@pytest.mark.e2e
def test_a_mounted_claim(tmp_path: Path, to: Path) -> None:
    """`pvc://claim/path` reads below /source; in a mount namespace of its own, so that the machine keeps its root."""
    source = tmp_path / "claim"
    (source / "resnet").mkdir(parents=True)
    (source / "resnet/w").write_bytes(b"weights")
    to.mkdir()
    script = 'mount -t tmpfs x /mnt && mkdir /mnt/source /mnt/old && exec "$@"'
    made = not Path("/source").exists()
    if made:
        Path("/source").mkdir()
    try:
        script = f'mount --bind {source} /source && exec "$@"'
        code = "from pantala.cli.fetch import fetch; fetch()"
        args = ["--uri", "pvc://claim/resnet", "--to", str(to), "--metrics-port", "0"]
        command = ["unshare", "--mount", "sh", "-c", script, "sh", sys.executable, "-c", code, *args]
        subprocess.run(command, check=True, env=environment({}))
    finally:
        if made:
            Path("/source").rmdir()
    assert tree(to) == {"w": b"weights"}
