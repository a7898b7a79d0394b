"""What a hard link saves: a file that the node's dfdaemon has, linked, and sent through its socket.

    pytest -m bench tests/bench/test_links.py -s

Real dfdaemon, around a stand-in for the scheduler, on one disk with the target. The two take turns.
PANTALA_BENCH_MIB sets the size (default 1024), PANTALA_BENCH_ROUNDS the number of turns.
"""

import os
import shutil
import statistics
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.addons.dragonfly import Dragonfly
from tests.cluster.addons.faults import FaultProxy
from tests.cluster.addons.s3 import S3Gateway
from tests.fetcher.through import MEASURED, Bucket
from tests.fetcher.tools import Result

pytestmark = [pytest.mark.bench, pytest.mark.p2p]
SIZE = int(os.environ.get("PANTALA_BENCH_MIB", "1024")) << 20
ROUNDS = int(os.environ.get("PANTALA_BENCH_ROUNDS", "5"))
BUCKET = "bench-links"


@pytest.fixture
def loaded(dragonfly: Dragonfly, s3_gateway: S3Gateway, origin: FaultProxy, tmp_path: Path) -> Iterator[Bucket]:
    """A bucket with a file that the daemon n1 has."""
    content = tmp_path / "w"
    with content.open("wb") as stream:
        subprocess.run(["head", "-c", str(SIZE), "/dev/urandom"], stdout=stream, check=True)
    s3_gateway.create_bucket(BUCKET)
    s3_gateway.put(BUCKET, "w", content)
    to = tmp_path / "fetched"
    to.mkdir()
    bucket = Bucket(s3_gateway, origin, BUCKET, to)
    assert bucket.fetch(dragonfly["n1"], "w", to="first").code == 0
    yield bucket
    shutil.rmtree(to)
    content.unlink()


def told(results: list[Result]) -> str:
    """Seconds that the fetcher tells, from its start to its end, and its peak memory."""
    seconds = [result.message["seconds"] for result in results]
    peak = max(int(result.out.partition("peak ")[2].split()[0]) for result in results)
    return f"{min(seconds):.2f} s at best, {statistics.median(seconds):.2f} s in the median, peak {peak >> 10} MiB"


def test_a_link_beside_the_socket(loaded: Bucket, dragonfly: Dragonfly) -> None:
    """A link takes a small part of the time, and both count the file as the node's own."""
    links: list[Result] = []
    streams: list[Result] = []
    for number in range(ROUNDS):
        to = f"link-{number}"
        path = ("--host-path", str(loaded.to / to))
        links.append(loaded.fetch(dragonfly["n1"], "w", *path, to=to, prefix=MEASURED))
        streams.append(loaded.fetch(dragonfly["n1"], "w", to=f"stream-{number}", prefix=MEASURED))
        for name, result in (("link", links[-1]), ("stream", streams[-1])):
            assert result.code == 0, result.log
            assert result.bytes["local"] == SIZE
            assert ((loaded.to / f"{name}-{number}/w").stat().st_nlink > 1) == (name == "link")
        shutil.rmtree(loaded.to / f"stream-{number}")
    print(f"\n{SIZE >> 20} MiB by a link: {told(links)}\nthrough the socket: {told(streams)}")
    assert statistics.median(each.message["seconds"] for each in links) * 3 < statistics.median(
        each.message["seconds"] for each in streams
    )
