"""Web servers through real dfdaemons, around a stand-in for the scheduler; and wrong bytes in dfdaemon's storage."""

import hashlib
import json
import os
from pathlib import Path

import pytest

from pantala.fetcher.verify import model_digest
from tests.cluster.addons.dragonfly import Dragonfly
from tests.fetcher.through import Bucket, spoil
from tests.fetcher.tools import MIB, fetch, tree

pytestmark = pytest.mark.p2p
SIZE = 21 * MIB + 5


def test_a_web_server(web: tuple[str, Path], dragonfly: Dragonfly, tmp_path: Path) -> None:
    """A file of a web server comes through the peers as one of a bucket does."""
    base, folder = web
    content = os.urandom(SIZE)
    (folder / "w b.bin").write_bytes(content)
    results = [
        fetch(tmp_path / name, f"{base}/w%20b.bin", "--peers", str(dragonfly[name].socket), env={})
        for name in ("n1", "n2")
    ]
    for result in results:
        assert result.code == 0, result.log
    assert [result.bytes["origin"] for result in results] == [SIZE, 0]
    assert results[1].bytes["peer"] == SIZE
    assert tree(tmp_path / "n2") == {"w b.bin": content}


def test_a_server_without_ranges_is_never_asked_by_dfdaemon(
    plain_web: tuple[str, Path], dragonfly: Dragonfly, tmp_path: Path
) -> None:
    """It answers a range with the whole file, of which dfdaemon would take the first bytes for every piece."""
    base, folder = plain_web
    content = os.urandom(SIZE)
    (folder / "w").write_bytes(content)
    peers = ("--peers", str(dragonfly["n1"].socket))
    result = fetch(tmp_path / "a", f"{base}/w", *peers, env={})
    assert (result.code, result.message["direct"]) == (0, SIZE), result.log
    assert result.message["fallback"].startswith("Unsupported: ")
    assert tree(tmp_path / "a") == {"w": content}
    refused = fetch(tmp_path / "b", f"{base}/w", *peers, "--fallback", "fail", env={})
    assert (refused.code, refused.message["reason"]) == (18, "PeersUnsupported")


def test_wrong_bytes_of_a_file_in_an_index(web: tuple[str, Path], dragonfly: Dragonfly, tmp_path: Path) -> None:
    """The one file whose sum is wrong is read from the store; the others stay."""
    base, folder = web
    files = {name: os.urandom(SIZE + number) for number, name in enumerate(("a", "b", "c"))}
    entries = []
    for name, content in files.items():
        (folder / name).write_bytes(content)
        entries.append({"path": name, "size": len(content), "sha256": hashlib.sha256(content).hexdigest()})
    (folder / "index.json").write_text(json.dumps({"files": entries}))
    peers = ("--peers", str(dragonfly["n1"].socket))
    assert fetch(tmp_path / "1", f"{base}/", *peers, env={}).code == 0
    assert spoil(dragonfly["n1"], len(files["b"])) == 1
    result = fetch(tmp_path / "2", f"{base}/", *peers, env={})
    assert result.code == 0, result.log
    assert tree(tmp_path / "2") == files
    assert result.message["direct"] == len(files["b"])
    assert result.message["fallback"].startswith("DaemonFailed: ")
    again = fetch(tmp_path / "3", f"{base}/", *peers, env={})
    assert tree(tmp_path / "3") == files
    assert again.bytes["origin"] == len(files["b"])  # dfdaemon has forgotten the wrong one


def test_wrong_bytes_somewhere_in_a_folder(bucket_p2p: Bucket, dragonfly: Dragonfly) -> None:
    """A digest of a folder does not say which file is wrong: all that the peers gave is read from the store."""
    files = {name: os.urandom(SIZE + number) for number, name in enumerate(("a", "b"), 10)} | {"small": os.urandom(99)}
    for name, content in files.items():
        bucket_p2p.put(f"m/{name}", content)
    digest = model_digest(
        [(name, hashlib.sha256(content).hexdigest()) for name, content in files.items()], single=False
    )
    assert bucket_p2p.fetch(dragonfly["n1"], "m", "--digest", digest).code == 0
    assert spoil(dragonfly["n1"], len(files["a"])) == 1
    other = bucket_p2p.fetch(dragonfly["n2"], "m")
    assert other.code == 0, other.log
    assert tree(bucket_p2p.newest()) == files  # a piece has a sum on the way from peer to peer
    result = bucket_p2p.fetch(dragonfly["n1"], "m", "--digest", digest)
    assert (result.code, result.message["digest"]) == (0, digest), result.log
    assert tree(bucket_p2p.newest()) == files
    assert result.message["direct"] == sum(map(len, files.values()))
