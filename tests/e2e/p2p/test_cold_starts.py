"""From applied to ready on TorchServe: direct, cold with and without a seed, from another node, from the node itself.

    pytest -m bench tests/e2e/p2p/test_cold_starts.py -s

The store's link is limited to PANTALA_BENCH_ORIGIN_MB megabytes a second (default 10), or everything would be as fast as
memory; nodes have no such limit between them, being namespaces of one machine. So the times are told as ratios to
`direct` under that limit. PANTALA_BENCH_MB names the sizes (default 500 and 2000).
"""

import os
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.addons import models
from tests.e2e.p2p.space import PeerSpace
from tests.e2e.support import BUCKET

pytestmark = [pytest.mark.bench, pytest.mark.e2e, pytest.mark.p2p, pytest.mark.timeout(3600)]
MB = 1_000_000
LIMIT = float(os.environ.get("PANTALA_BENCH_ORIGIN_MB", "10")) * MB
SIZES = [int(size) for size in os.environ.get("PANTALA_BENCH_MB", "500 2000").split()]
CASES = (
    ("direct", "Direct", 0),
    ("cold", "Dragonfly", 0),
    ("remote", "Dragonfly", 1),
    ("local", "Dragonfly", 1),
    ("seeded", "Dragonfly", 2),
)
"""What is measured, the mode, and the node. `seeded` is cold, of an archive that nobody has, with a seed peer."""
READ = {"direct", "cold", "seeded"}
"""Cases that read the store, once."""


@pytest.fixture
def slow(peer_space: PeerSpace) -> Iterator[PeerSpace]:
    """The store behind a slow link."""
    peer_space.origin.limit = LIMIT
    yield peer_space
    peer_space.origin.limit = None


@pytest.mark.parametrize("size", SIZES)
def test_ways_to_start(slow: PeerSpace, tmp_path: Path, size: int) -> None:
    """Each start is of a new model, with the same archive; the archive is read once directly and once for all peers."""
    archive = models.torchserve_sum(tmp_path, "sum")
    with zipfile.ZipFile(archive, "a") as content, content.open("weights.bin", "w") as file:
        for _ in range(size):
            file.write(os.urandom(MB))
    key, whole = f"{size}.mar", archive.stat().st_size
    slow.s3.put(BUCKET, key, archive)
    slow.s3.link(BUCKET, key, f"seeded-{key}")
    archive.unlink()
    base = 0.0
    print(f"\n{size} MB, store at {LIMIT / MB:g} MB/s:")
    for case, mode, node in CASES:
        if case == "seeded":
            with slow.peers.seed():
                seconds, given = _start(slow, f"{case}-{size}", f"seeded-{key}", mode, node)
        else:
            seconds, given = _start(slow, f"{case}-{size}", key, mode, node)
        base = base or seconds
        print(f"{case:<8} {seconds:7.1f} s  {seconds / base:5.2f}  origin {given / whole:6.4f}")
        assert (given > 0.99 * whole) == (case in READ)


def _start(space: PeerSpace, name: str, key: str, mode: str, node: int) -> tuple[float, int]:
    """Seconds from applied to ready, and bytes that the store gave."""
    before = space.origin.given()
    block = {"distribution": {"mode": mode}, "template": space.on(node)}
    begun = time.monotonic()
    space.apply(name, space.spec("torchserve", key, **block))
    space.wait_condition(name, "Ready", seconds=1200)
    seconds = time.monotonic() - begun
    space.wait_ready(name)
    assert space.ask_torchserve(name, [1, 2, 3]) == {"sum": 6}
    space.delete("inferencemodel", name)
    return seconds, space.origin.given() - before
