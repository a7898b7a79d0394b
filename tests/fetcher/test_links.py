"""Hard links in place of copies, with real dfdaemons around a stand-in for the scheduler."""

import hashlib
import json
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pantala.fetcher.job import CHUNK, Job
from pantala.fetcher.links import Links, own
from pantala.fetcher.listing import RemoteFile
from tests.cluster.addons.dragonfly import Dragonfly, Peer
from tests.fetcher.through import PIECE, Bucket, Meter
from tests.fetcher.tools import MIB, Result, tree, wait_until

SIZE = 21 * MIB + 5
LIMIT = 40 * MIB
"""Bytes per second of an origin that gives a test time to interfere."""


@pytest.fixture
def content() -> bytes:
    """A file's."""
    return os.urandom(SIZE)


@pytest.fixture
def elsewhere() -> Iterator[Path]:
    """A folder on another file system."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK) or memory.stat().st_dev == Path(tempfile.gettempdir()).stat().st_dev:
        pytest.skip("there is no second file system")
    folder = Path(tempfile.mkdtemp(prefix="pantala-", dir=memory))
    yield folder
    shutil.rmtree(folder)


def linked(bucket: Bucket, peer: Peer, key: str, to: str, *more: str, **options: str) -> Result:
    """Fetch to a folder that dfdaemon sees under the same name."""
    return bucket.fetch(peer, key, "--host-path", str(bucket.to / to), *more, to=to, **options)


def stored(peer: Peer, file: Path) -> list[Path]:
    """The daemon's own names of a file."""
    wanted = file.stat().st_ino
    return [path for path in (peer.storage / "content/tasks").glob("*/*") if path.stat().st_ino == wanted]


@pytest.mark.p2p
def test_one_file_for_all(bucket_p2p: Bucket, dragonfly: Dragonfly, content: bytes) -> None:
    """A cold file is linked before it is loaded, the next version's folder gets the same; each byte is accounted for."""
    bucket_p2p.put("w", content)
    meter = Meter(dragonfly, bucket_p2p.origin)
    digest = "sha256:" + hashlib.sha256(content).hexdigest()
    results = [
        linked(bucket_p2p, dragonfly["n1"], "w", "a", "--digest", digest),
        linked(bucket_p2p, dragonfly["n1"], "w", "b"),
        linked(bucket_p2p, dragonfly["n2"], "w", "c"),
    ]
    assert [result.code for result in results] == [0, 0, 0], results[0].log
    nothing = {"origin": 0, "peer": 0, "local": 0, "cache": 0}
    assert [result.bytes for result in results] == [
        {**nothing, "origin": SIZE},
        {**nothing, "local": SIZE},
        {**nothing, "peer": SIZE},
    ]
    assert results[2].message["parents"] == {"n1": SIZE}
    meter.agrees(*results)
    files = [bucket_p2p.to / name / "w" for name in "abc"]
    assert all(file.read_bytes() == content for file in files)
    assert [len(stored(dragonfly[name], file)) for name, file in zip(("n1", "n1", "n2"), files, strict=True)] == [1] * 3
    assert files[0].stat().st_ino == files[1].stat().st_ino != files[2].stat().st_ino
    again = linked(bucket_p2p, dragonfly["n1"], "w", "b")
    assert again.bytes == {**nothing, "cache": SIZE}


@pytest.mark.p2p
def test_what_must_be_changed_is_no_link(bucket_p2p: Bucket, dragonfly: Dragonfly, content: bytes) -> None:
    """A Triton model: the weights are a link, the configuration that gets another name is a file of its own."""
    bucket_p2p.put("m/1/w", content)
    padding = b"# so long that it comes through the peers\n" * (5 * MIB // 40)
    bucket_p2p.put("m/config.pbtxt", b'name: "old"\n' + padding)
    args = ("--layout", "triton", "--model-name", "net")
    result = linked(bucket_p2p, dragonfly["n1"], "m", "a", *args)
    assert result.code == 0, result.log
    config, weights = bucket_p2p.to / "a/net/config.pbtxt", bucket_p2p.to / "a/net/1/w"
    assert config.read_bytes() == b'name: "net"\n' + padding
    assert (config.stat().st_nlink, weights.stat().st_nlink) == (1, 2)
    assert linked(bucket_p2p, dragonfly["n1"], "m", "b", *args).code == 0
    assert tree(bucket_p2p.to / "b") == tree(bucket_p2p.to / "a")


@pytest.mark.p2p
def test_another_file_system_gets_the_content(
    bucket_p2p: Bucket, dragonfly: Dragonfly, elsewhere: Path, content: bytes
) -> None:
    """Where no link is possible, the content comes through the socket, and nothing is counted twice."""
    for key in ("m/a", "m/b", "m/c"):
        bucket_p2p.put(key, content)
    meter = Meter(dragonfly, bucket_p2p.origin)
    folder = elsewhere / "a"
    other = Bucket(bucket_p2p.store, bucket_p2p.origin, bucket_p2p.name, elsewhere)
    result = other.fetch(dragonfly["n1"], "m", "--host-path", str(folder), to="a")
    assert result.code == 0, result.log
    assert tree(folder) == dict.fromkeys("abc", content)
    assert result.bytes["origin"] == 3 * SIZE
    assert "fallback" not in result.message
    meter.agrees(result)


@pytest.mark.p2p
def test_a_name_that_leads_elsewhere(bucket_p2p: Bucket, dragonfly: Dragonfly, content: bytes) -> None:
    """Where dfdaemon knows another folder by that name, the link is not where it should be: the content is sent."""
    bucket_p2p.put("w", content)
    assert bucket_p2p.fetch(dragonfly["n1"], "w", to="first").code == 0
    (key,) = [path.name for path in (bucket_p2p.to / "first/.pantala").iterdir() if path.is_dir()]
    wrong = bucket_p2p.to.parent / "wrong"
    (wrong / ".pantala" / key / "out").mkdir(parents=True)
    result = bucket_p2p.fetch(dragonfly["n1"], "w", "--host-path", str(wrong), to="second")
    assert result.code == 0, result.log
    assert result.bytes["local"] == SIZE
    file = bucket_p2p.to / "second/w"
    assert (file.read_bytes(), file.stat().st_nlink) == (content, 1)


POINTS = {
    "before anything is asked": "pantala.fetcher.links:Links.prepare:1",
    "after some pieces": "pantala.fetcher.peers:Peers._note:3",
    "before it is noted as complete": "pantala.fetcher.peers:Peers._take_link:1",
    "after it is noted": "pantala.fetcher.place:Workplace.forget_journal:1",
    "before it is placed": "pantala.fetcher.place:Workplace.adjust:1",
}


@pytest.mark.p2p
@pytest.mark.parametrize("point", POINTS)
def test_a_killed_fetcher(bucket_p2p: Bucket, dragonfly: Dragonfly, content: bytes, point: str) -> None:
    """SIGKILL at each step: the next one links again or has it all, and the daemon's file is as it was."""
    bucket_p2p.put("w", content)
    killed = linked(bucket_p2p, dragonfly["n1"], "w", "a", kill_at=POINTS[point])
    assert killed.code == -signal.SIGKILL, killed.log
    result = linked(bucket_p2p, dragonfly["n1"], "w", "a")
    assert result.code == 0, result.log
    assert sum(result.bytes.values()) == SIZE
    assert (result.bytes["cache"] == SIZE) == (point == "after it is noted")
    file = bucket_p2p.to / "a/w"
    assert file.read_bytes() == content
    assert len(stored(dragonfly["n1"], file)) == 1


@pytest.mark.p2p
def test_a_killed_fetcher_without_dfdaemon_afterwards(bucket_p2p: Bucket, dragonfly: Dragonfly, content: bytes) -> None:
    """What a link left unfinished is not written into by who reads the origin: the daemon's file stays the daemon's."""
    bucket_p2p.put("w", content)
    killed = linked(bucket_p2p, dragonfly["n1"], "w", "a", kill_at=POINTS["before it is noted as complete"])
    assert killed.code == -signal.SIGKILL
    (left,) = (bucket_p2p.to / "a/.pantala").glob("*/out/w")
    (theirs,) = stored(dragonfly["n1"], left)
    before = theirs.stat()
    (folder,) = {path.parent.parent for path in [left]}
    result = bucket_p2p.fetch(folder / "no.sock", "w", "--fallback-after", "1", to="a")
    assert result.code == 0, result.log
    assert result.message["direct"] == SIZE
    file = bucket_p2p.to / "a/w"
    assert (file.read_bytes(), file.stat().st_nlink) == (content, 1)
    after = theirs.stat()
    assert (after.st_ino, after.st_nlink, after.st_mtime_ns) == (before.st_ino, 1, before.st_mtime_ns)


@pytest.mark.p2p
def test_a_daemon_killed_in_the_middle(bucket_p2p: Bucket, dragonfly: Dragonfly, content: bytes) -> None:
    """The origin completes a file of our own with the pieces that had come: none is wrong, none is lost."""
    content *= 8  # dfdaemon loads several pieces at a time
    bucket_p2p.put("w", content)
    peer = dragonfly["n1"]
    bucket_p2p.origin.limit = LIMIT
    log = bucket_p2p.to.parent / "log.json"
    more = ("--host-path", str(bucket_p2p.to / "a"), "--fallback-after", "1", "--termination-log", str(log))
    process = bucket_p2p.start(peer, "w", "a", *more)
    try:
        wait_until(lambda: bucket_p2p.origin.given("/w$") > len(content) // 2)
        peer.kill()
        bucket_p2p.origin.limit = None
        _, output = process.communicate(timeout=60)
    finally:
        process.kill()
        peer.start()
    assert process.returncode == 0, output
    message = json.loads(log.read_text())
    file = bucket_p2p.to / "a/w"
    assert file.read_bytes() == content
    assert file.stat().st_nlink == 1
    # of a chunk that was half there the origin gave the whole
    assert len(content) <= sum(message["bytes"].values()) <= len(content) + PIECE
    assert 0 < message["direct"] < len(content)
    assert message["fallback"]


def job(folder: Path, size: int = SIZE) -> Job:
    """A file on its way into a folder."""
    return Job(RemoteFile("w", "w", size, '"e"', None), "n", folder / "w", wants_hash=False)


def test_a_file_with_two_names_is_never_written(tmp_path: Path) -> None:
    """Whoever opens it for writing gets a new file in its place; a complete one is only read."""
    (tmp_path / "theirs").write_bytes(b"x" * SIZE)
    os.link(tmp_path / "theirs", tmp_path / "w")
    unfinished = job(tmp_path)
    with unfinished.opened() as descriptor:
        unfinished.write(descriptor, b"y", 0)
    assert (tmp_path / "theirs").read_bytes() == b"x" * SIZE
    assert (tmp_path / "w").stat().st_nlink == 1
    (tmp_path / "w").unlink()
    os.link(tmp_path / "theirs", tmp_path / "w")
    complete = job(tmp_path)
    complete.done = set(range(complete.chunks))
    with complete.opened() as descriptor, pytest.raises(OSError, match="Bad file descriptor"):
        complete.write(descriptor, b"y", 0)
    complete.hash_from_disk(0)
    assert complete.digest.hexdigest() == hashlib.sha256(b"x" * CHUNK).hexdigest()


def test_own_keeps_the_parts_that_came(tmp_path: Path) -> None:
    """The file of our own has the parts that are named, zeros elsewhere, and the other name keeps its file."""
    whole = os.urandom(SIZE)
    (tmp_path / "theirs").write_bytes(whole)
    os.link(tmp_path / "theirs", tmp_path / "w")
    own(job(tmp_path), {4 * MIB, 20 * MIB}, lambda offset: min(4 * MIB, SIZE - offset))
    made = (tmp_path / "w").read_bytes()
    assert made[4 * MIB : 8 * MIB] == whole[4 * MIB : 8 * MIB]
    assert made[20 * MIB :] == whole[20 * MIB :]
    assert set(made[: 4 * MIB]) == {0}
    assert len(made) == SIZE
    assert (tmp_path / "w").stat().st_nlink == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["theirs", "w"]


def test_what_is_no_link(tmp_path: Path) -> None:
    """Another size, one name only, no right to read, a symbolic link, nothing at all: not what dfdaemon should have made."""
    theirs, target = tmp_path / "theirs", tmp_path / "w"
    assert not Links.holds(job(tmp_path))
    theirs.write_bytes(b"x" * 9)
    os.link(theirs, target)
    assert Links.holds(job(tmp_path, 9))
    assert not Links.holds(job(tmp_path, 8))
    theirs.chmod(0o600)
    assert not Links.holds(job(tmp_path, 9))
    theirs.chmod(0o644)
    theirs.unlink()
    assert not Links.holds(job(tmp_path, 9))
    target.rename(theirs)
    target.symlink_to(theirs)
    assert not Links.holds(job(tmp_path, 9))
