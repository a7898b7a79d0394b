"""Whatever happens to dfdaemon, the scheduler or the origin: the right file, or a clear reason; never half of one."""

import hashlib
import os
import re
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.addons.dragonfly import Dragonfly, Peer
from tests.cluster.addons.faults import Rule
from tests.fetcher.through import PIECE, Bucket, Meter, by_dfdaemon, spoil
from tests.fetcher.tools import MIB, Result, tree, wait_until

pytestmark = pytest.mark.p2p
SIZE = 61 * MIB + 5
SOON = ("--fallback-after", "2")
FAIL = ("--fallback", "fail", "--retry-seconds", "2")


@pytest.fixture
def n1(dragonfly: Dragonfly) -> Iterator[Peer]:
    """A peer, and the scheduler, that a test may hurt; both run again afterwards."""
    peer = dragonfly["n1"]
    yield peer
    if not peer.accepts():
        peer.kill()
        peer.start()


@pytest.fixture
def content(bucket_p2p: Bucket) -> bytes:
    """A file in the bucket."""
    content = os.urandom(SIZE)
    bucket_p2p.put("w", content)
    return content


def fell_back(result: Result, word: str) -> None:
    """The file is complete, and the message says with this word why the store was read."""
    assert result.code == 0, result.log
    assert result.message["fallback"].startswith(f"{word}: "), result.message["fallback"]
    assert len(result.raw.encode()) <= 1024


def test_no_socket(bucket_p2p: Bucket, content: bytes, tmp_path: Path) -> None:
    """A node without dfdaemon: the store is read, and the message says why."""
    result = bucket_p2p.fetch(tmp_path / "none.sock", "w", *SOON)
    fell_back(result, "NoSocket")
    assert tree(bucket_p2p.newest()) == {"w": content}
    assert result.message["direct"] == result.bytes["origin"] == SIZE
    refused = bucket_p2p.fetch(tmp_path / "none.sock", "w", *FAIL)
    assert (refused.code, refused.message["reason"]) == (17, "PeersUnavailable")
    assert "NoSocket" in refused.message["message"]


def test_killed_in_the_middle(bucket_p2p: Bucket, n1: Peer, content: bytes) -> None:
    """A dfdaemon dies by SIGKILL when some pieces are there: only the missing chunks are read from the store."""
    bucket_p2p.origin.limit = 30 * MIB
    process = bucket_p2p.start(n1, "w", "killed", *SOON, "--termination-log", str(bucket_p2p.to / "log"))
    journal = bucket_p2p.to / "killed/.pantala"
    wait_until(lambda: any(len(path.read_text().splitlines()) > 3 for path in journal.glob("*/journal")))
    n1.kill()
    bucket_p2p.origin.limit = None
    _, log = process.communicate(timeout=60)
    result = Result.of(process.returncode, log, bucket_p2p.to / "log")
    assert re.match("(DaemonUnavailable|NoSocket): ", result.message["fallback"])
    assert tree(bucket_p2p.to / "killed") == {"w": content}
    assert 0 < result.message["direct"] <= SIZE - 2 * 8 * MIB
    assert result.bytes["origin"] <= SIZE + 8 * MIB


def test_a_daemon_that_comes_back_is_asked_again(bucket_p2p: Bucket, n1: Peer, content: bytes) -> None:
    """Within the time that a fallback takes, a restarted dfdaemon delivers the rest: nothing is read directly."""
    bucket_p2p.origin.limit = 30 * MIB
    process = bucket_p2p.start(n1, "w", "again", "--termination-log", str(bucket_p2p.to / "log"))
    journal = bucket_p2p.to / "again/.pantala"
    wait_until(lambda: any(len(path.read_text().splitlines()) > 2 for path in journal.glob("*/journal")))
    n1.kill()
    n1.start()
    bucket_p2p.origin.limit = None
    _, log = process.communicate(timeout=90)
    result = Result.of(process.returncode, log, bucket_p2p.to / "log")
    assert result.code == 0, log
    assert result.message["direct"] == 0
    assert result.message["retries"] > 0
    assert tree(bucket_p2p.to / "again") == {"w": content}


def test_the_scheduler_is_down(bucket_p2p: Bucket, dragonfly: Dragonfly, n1: Peer, content: bytes) -> None:
    """A dfdaemon reads the origin without a word then: the ledger shows it. Where it may not, the reason is named."""
    dragonfly.scheduler.kill()
    try:
        meter = Meter(dragonfly, bucket_p2p.origin)
        result = bucket_p2p.fetch(n1, "w")
        assert (result.code, result.bytes["origin"], result.message["direct"]) == (0, SIZE, 0), result.log
        assert tree(bucket_p2p.newest()) == {"w": content}
        meter.agrees(result)
        bucket_p2p.put("v", content[1:])
        refused = bucket_p2p.fetch(n1, "v", *FAIL)
        assert (refused.code, refused.message["reason"]) == (17, "PeersUnavailable")
    finally:
        dragonfly.scheduler.start()
        for peer in dragonfly.peers.values():
            peer.wait_known()


@pytest.mark.parametrize(("status", "reason", "code"), [(403, "Denied", 11), (404, "NotFound", 10)])
def test_the_origin_refuses_dfdaemon(
    bucket_p2p: Bucket, n1: Peer, content: bytes, status: int, reason: str, code: int
) -> None:
    """What the origin says to dfdaemon is no loss of time: the store is asked at once, or the precise reason is given."""
    bucket_p2p.origin.add(
        Rule("/w", when=by_dfdaemon, status=status, code="AccessDenied" if status == 403 else "NoSuchKey")
    )
    result = bucket_p2p.fetch(n1, "w", "--fallback-after", "50")
    fell_back(result, "DaemonFailed")
    assert tree(bucket_p2p.newest()) == {"w": content}
    assert result.message["seconds"] < 20, result.log
    bucket_p2p.origin.clear()
    bucket_p2p.put("v", content[1:])
    bucket_p2p.origin.add(Rule("/v", method="HEAD", skip=1, status=status))
    refused = bucket_p2p.fetch(n1, "v", *FAIL)
    assert (refused.code, refused.message["reason"]) == (code, reason), refused.log


def test_the_origin_is_busy(bucket_p2p: Bucket, n1: Peer, content: bytes) -> None:
    """429 to dfdaemon is tried again, and passes."""
    rule = bucket_p2p.origin.add(Rule("/w", when=by_dfdaemon, status=429, code="SlowDown", times=2))
    result = bucket_p2p.fetch(n1, "w", "--fallback-after", "20")
    assert result.code == 0, result.log
    assert tree(bucket_p2p.newest()) == {"w": content}
    assert rule.hits == 2


def test_stalled(bucket_p2p: Bucket, n1: Peer, content: bytes) -> None:
    """No piece for `--fallback-after`: the rest is read from the store, and what came stays."""
    wait = threading.Event()
    bucket_p2p.origin.add(Rule("/w", when=by_dfdaemon, skip=6, wait=wait))
    try:
        result = bucket_p2p.fetch(n1, "w", *SOON)
    finally:
        wait.set()
    fell_back(result, "Stalled")
    assert tree(bucket_p2p.newest()) == {"w": content}
    assert 0 < result.message["direct"] < SIZE


def test_a_daemon_that_hangs(bucket_p2p: Bucket, n1: Peer, content: bytes) -> None:
    """A stopped process (SIGSTOP) takes connections and answers nothing: the store is read after `--fallback-after`."""
    assert n1._service is not None
    pid = n1._service.pid
    os.kill(pid, signal.SIGSTOP)
    try:
        result = bucket_p2p.fetch(n1, "w", *SOON)
    finally:
        os.kill(pid, signal.SIGCONT)
    fell_back(result, "Stalled")
    assert tree(bucket_p2p.newest()) == {"w": content}
    assert result.message["seconds"] < 15


def test_overwritten_while_reading(bucket_p2p: Bucket, n1: Peer, content: bytes) -> None:
    """Half of the old object and half of the new one: the fetch says so, and nobody is ever given that mixture."""
    new = os.urandom(SIZE)
    bucket_p2p.origin.add(Rule("/w", when=by_dfdaemon, skip=5, times=1, call=lambda: bucket_p2p.put("w", new)))
    result = bucket_p2p.fetch(n1, "w")
    assert (result.code, result.message["reason"]) == (14, "ChangedWhileReading"), result.log
    assert tree(bucket_p2p.newest()) == {}
    bucket_p2p.origin.clear()
    again = bucket_p2p.fetch(n1, "w")
    assert again.code == 0
    assert tree(bucket_p2p.newest()) == {"w": new}
    bucket_p2p.put("w", content)  # with the old etag: what dfdaemon had under it is gone
    third = bucket_p2p.fetch(n1, "w")
    assert (third.code, third.bytes["local"]) == (0, 0)
    assert tree(bucket_p2p.newest()) == {"w": content}


def test_the_announced_length_is_wrong(bucket_p2p: Bucket, n1: Peer, content: bytes) -> None:
    """An object that was shortened between the listing and dfdaemon's question is a changed one."""
    bucket_p2p.origin.add(
        Rule("/w", method="HEAD", skip=1, times=1, call=lambda: bucket_p2p.put("w", content[: PIECE * 3]))
    )
    result = bucket_p2p.fetch(n1, "w")
    assert (result.code, result.message["reason"]) == (14, "ChangedWhileReading"), result.log


def test_truncated_on_the_way(bucket_p2p: Bucket, n1: Peer, content: bytes) -> None:
    """A cut answer of the origin to dfdaemon is no piece."""
    bucket_p2p.origin.add(Rule("/w", when=by_dfdaemon, skip=2, times=3, truncate=1000))
    result = bucket_p2p.fetch(n1, "w", *SOON)
    assert result.code == 0, result.log
    assert tree(bucket_p2p.newest()) == {"w": content}


def test_corrupted_in_dfdaemon_s_storage(bucket_p2p: Bucket, n1: Peer, content: bytes) -> None:
    """With a promised digest: dfdaemon forgets the task, and the store is read; where it may not be, the reason is named."""
    digest = ("--digest", "sha256:" + hashlib.sha256(content).hexdigest())
    assert bucket_p2p.fetch(n1, "w").code == 0
    assert spoil(n1, SIZE) > 0
    refused = bucket_p2p.fetch(n1, "w", *digest, *FAIL)
    assert refused.code == 13, refused.log
    assert bucket_p2p.fetch(n1, "w").bytes["origin"] == SIZE  # forgotten
    assert spoil(n1, SIZE) > 0
    result = bucket_p2p.fetch(n1, "w", *digest)
    fell_back(result, "DaemonFailed")
    assert tree(bucket_p2p.newest()) == {"w": content}
    assert (result.bytes["local"], result.message["direct"]) == (SIZE, SIZE)
    assert bucket_p2p.fetch(n1, "w").bytes["local"] == 0


def test_a_full_disk(bucket_p2p: Bucket, n1: Peer, content: bytes) -> None:
    """A volume that takes no more is the volume's fault, and no reason to ask somebody else."""
    result = bucket_p2p.fetch(n1, "w", prefix=["prlimit", f"--fsize={20 * MIB}"])
    assert (result.code, result.message["reason"]) == (12, "DiskFull"), result.log


def test_nothing_secret_is_told(bucket_p2p: Bucket, n1: Peer, content: bytes) -> None:
    """Neither a log nor a message holds a key, whatever dfdaemon says."""
    bucket_p2p.origin.add(Rule("/w", when=by_dfdaemon, status=403, code="AccessDenied"))
    result = bucket_p2p.fetch(n1, "w")
    keys: dict[str, Any] = bucket_p2p.store.credentials
    assert not any(value in result.log + result.out + result.raw for value in keys.values())
