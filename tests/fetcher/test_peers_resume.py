"""Killed while pieces come through dfdaemon, the next run asks for what is missing only."""

import os
import signal
import threading
import time

import pytest

from tests.cluster.addons.dragonfly import Dragonfly
from tests.cluster.addons.faults import Rule
from tests.fetcher.through import Bucket, Meter, by_dfdaemon
from tests.fetcher.tools import MIB, tree, wait_until

pytestmark = pytest.mark.p2p
SIZE = 81 * MIB + 5
CHUNK = 8 * MIB


def test_sigterm_does_not_wait_for_a_peer(bucket_p2p: Bucket, dragonfly: Dragonfly) -> None:
    """A pod that is deleted while dfdaemon has nothing to give ends at once, and what it had stays."""
    content = os.urandom(SIZE)
    bucket_p2p.put("w", content)
    wait = threading.Event()
    bucket_p2p.origin.add(Rule("/w", when=by_dfdaemon, skip=10, wait=wait))
    process = bucket_p2p.start(dragonfly["n1"], "w", "stopped")
    journal = bucket_p2p.to / "stopped/.pantala"
    wait_until(lambda: any(len(path.read_text().splitlines()) > 2 for path in journal.glob("*/journal")))
    begun = time.monotonic()
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=20)
    seconds = time.monotonic() - begun
    wait.set()
    assert process.returncode == 143
    assert seconds < 5
    bucket_p2p.origin.clear()
    result = bucket_p2p.fetch(dragonfly["n1"], "w", to="stopped")
    assert (result.code, tree(bucket_p2p.to / "stopped")) == (0, {"w": content})
    assert result.bytes["cache"] >= CHUNK


@pytest.mark.parametrize("forgotten", [False, True])
def test_a_killed_fetch_asks_for_the_missing_part(bucket_p2p: Bucket, dragonfly: Dragonfly, *, forgotten: bool) -> None:
    """After SIGKILL the journal's chunks are not asked for again, whether dfdaemon still has them or is another one."""
    content = os.urandom(SIZE)
    bucket_p2p.put("w", content)
    process = bucket_p2p.start(dragonfly["n1"], "w", "killed", kill_at="pantala.fetcher.resume:Journal.add:6")
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    (journal,) = (bucket_p2p.to / "killed/.pantala").glob("*/journal")
    noted = len(journal.read_text().splitlines()) - 1
    assert noted == 5
    meter = Meter(dragonfly, bucket_p2p.origin)
    result = bucket_p2p.fetch(dragonfly["n2" if forgotten else "n1"], "w", to="killed")
    assert result.code == 0, result.log
    assert tree(bucket_p2p.to / "killed") == {"w": content}
    had = result.bytes["cache"]
    assert had in (noted * CHUNK, (noted - 1) * CHUNK + SIZE % CHUNK)
    assert result.bytes["origin"] + result.bytes["peer"] + result.bytes["local"] == SIZE - had
    assert result.message["direct"] == 0
    if not forgotten:
        return
    meter.agrees(result)
    # n2 has a part; who asks it for all of the file gets the rest from elsewhere, and the right bytes
    whole = bucket_p2p.fetch(dragonfly["n2"], "w")
    assert whole.code == 0
    assert 0 < whole.bytes["local"] < SIZE
    assert tree(bucket_p2p.newest()) == {"w": content}
