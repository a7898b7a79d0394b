"""The fetcher beside `dfget --transfer-from-dfdaemon`: the same local task of the same dfdaemon, to the same file system.

    pytest -m bench tests/bench/test_peers.py -s

Both take every byte through the socket. The two take turns; machines that run tests are shared, so the median of the pairs'
ratios is told, and the processor's time. PANTALA_BENCH_MIB sets the size of the file (default 1024), PANTALA_BENCH_ROUNDS the
number of turns.
"""

import os
import re
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pantala.distribution.identity import APPLICATION, PIECE_LENGTH
from pantala.fetcher.listing import RemoteFile
from pantala.fetcher.source import PeerSource
from tests.cluster.addons.dragonfly import Dragonfly, dfget, s3_options
from tests.cluster.addons.s3 import S3Gateway
from tests.fetcher.through import MEASURED
from tests.fetcher.tools import environment

pytestmark = [pytest.mark.bench, pytest.mark.p2p]
ROUNDS = int(os.environ.get("PANTALA_BENCH_ROUNDS", "7"))
SIZE = int(os.environ.get("PANTALA_BENCH_MIB", "1024")) << 20
BUCKET = "bench-peers"


@pytest.fixture(scope="module")
def weights(s3_gateway: S3Gateway, room: Path) -> str:
    """Keys of two files in a bucket; the first is measured alone."""
    s3_gateway.create_bucket(BUCKET)
    for name in ("one/w", "two/v", "two/w"):
        with (room / "w").open("wb") as stream:
            for _ in range(SIZE >> 20):
                stream.write(os.urandom(1 << 20))
        s3_gateway.put(BUCKET, name, room / "w")
    (room / "w").unlink()
    return BUCKET


class Ours:
    """The command, and what it takes."""

    def __init__(self, store: S3Gateway, dragonfly: Dragonfly, room: Path) -> None:
        self.store, self.dragonfly, self.room = store, dragonfly, room

    def __call__(self, key: str, *more: str) -> tuple[float, float, int]:
        """Seconds, seconds of the processor and peak memory (KiB) of a fetch."""
        to = self.room / "ours"
        to.mkdir()
        command = [sys.executable, "-c", "from pantala.cli.fetch import fetch; fetch()"]
        command += ["--uri", f"s3://{BUCKET}/{key}", "--to", str(to), "--endpoint", self.store.endpoint, *more]
        command += ["--metrics-port", "0", "--peers", str(self.dragonfly["n1"].socket)]
        begun = time.monotonic()
        done = subprocess.run(
            [*MEASURED, *command], env=environment(self.store.credentials), capture_output=True, text=True, check=False
        )
        seconds = time.monotonic() - begun
        assert done.returncode == 0, done.stderr
        shutil.rmtree(to)
        return seconds, *figures(done.stdout)


def figures(out: str) -> tuple[float, int]:
    """Processor's time and peak memory out of what MEASURED prints."""
    found = re.search(r"cpu ([\d.]+) s, peak (\d+) KiB", out)
    assert found, out
    return float(found[1]), int(found[2])


def theirs(store: S3Gateway, dragonfly: Dragonfly, room: Path, key: str) -> Callable[[], tuple[float, float]]:
    """A dfget of the very task that the fetcher has."""
    etag = _etag(store, key)
    keys = store.credentials
    source = PeerSource(f"s3://{BUCKET}/", secret=keys["AWS_SECRET_ACCESS_KEY"], endpoint=store.endpoint)
    file = RemoteFile(key, key, SIZE, etag, None)
    options = ["--transfer-from-dfdaemon", "--tag", source.tag(file.etag), "--application", APPLICATION]
    options += ["--piece-length", f"{PIECE_LENGTH >> 20}mib", "--disable-back-to-source"]

    def run() -> tuple[float, float]:
        before = os.times()
        begun = time.monotonic()
        dfget(dragonfly["n1"], source.url(key), room / "theirs", *options, *s3_options(store.endpoint, keys))
        seconds = time.monotonic() - begun
        after = os.times()
        (room / "theirs").unlink()
        cpu = after.children_user + after.children_system - before.children_user - before.children_system
        return seconds, cpu

    return run


def _etag(store: S3Gateway, key: str) -> str:
    import asyncio

    import opendal

    keys = store.credentials
    operator = opendal.AsyncOperator(
        "s3",
        bucket=BUCKET,
        endpoint=store.endpoint,
        region="us-east-1",
        access_key_id=keys["AWS_ACCESS_KEY_ID"],
        secret_access_key=keys["AWS_SECRET_ACCESS_KEY"],
        disable_config_load="true",
    )

    async def ask() -> str:
        return str((await operator.stat(key)).etag)

    return asyncio.run(ask())


def test_local_task_beside_dfget(s3_gateway: S3Gateway, dragonfly: Dragonfly, room: Path, weights: str) -> None:
    """At least 0.9 of dfget's throughput."""
    ours = Ours(s3_gateway, dragonfly, room)
    ours("one/w")
    dfget_run = theirs(s3_gateway, dragonfly, room, "one/w")
    before = dragonfly.traffic()["LOCAL_PEER"]
    pairs = [(ours("one/w"), dfget_run()) for _ in range(ROUNDS)]
    assert dragonfly.traffic()["LOCAL_PEER"] - before == 2 * ROUNDS * SIZE
    ratios = [dfgets[0] / mine[0] for mine, dfgets in pairs]
    print(f"\n{SIZE >> 20} MiB, local task, {ROUNDS} pairs: ours / dfget --transfer-from-dfdaemon")
    seconds = [sorted(round(pair[side][0], 2) for pair in pairs) for side in (0, 1)]
    print(f"  seconds {seconds[0]} / {seconds[1]}")
    cpu = [statistics.median(pair[side][1] for pair in pairs) for side in (0, 1)]
    print(f"  throughput as a ratio: median {statistics.median(ratios):.2f}, {min(ratios):.2f} to {max(ratios):.2f}")
    print(f"  processor {cpu[0]:.2f} s / {cpu[1]:.2f} s")
    print(f"  peak memory {max(mine[0][2] for mine in pairs) / 1024:.0f} MiB")
    assert statistics.median(ratios) >= 0.9


def test_two_files_at_once(s3_gateway: S3Gateway, dragonfly: Dragonfly, room: Path, weights: str) -> None:
    """Peak memory with both streams busy."""
    ours = Ours(s3_gateway, dragonfly, room)
    for _ in range(2):
        seconds, cpu, peak = ours("two")
        print(
            f"\ntwo files of {SIZE >> 20} MiB: {seconds:.2f} s, processor {cpu:.2f} s, peak memory {peak / 1024:.0f} MiB"
        )
        assert peak < 128 * 1024
