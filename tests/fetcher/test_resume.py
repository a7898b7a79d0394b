"""Killed anywhere, the next run continues and ends with the right bytes."""

import hashlib
import os
import re
import signal
import threading
import time
from pathlib import Path

import pytest

from tests.cluster.addons.s3 import S3Server
from tests.fetcher.tools import MIB, Proxy, fetch, start, started, tree, wait_until

CONTENT = os.urandom(81 * MIB + 5)
FILES = {"config.pbtxt": b'name: "old"\n', "1/weights.bin": CONTENT, "1/labels.txt": b"cat\n", "2/empty": b""}
CHUNK = 8 * MIB
"""What the journal notes at once; the big file has 11 (one for the rest), and a request of its fetch has two."""


def lines(to: Path) -> int:
    """Chunks that the journal names."""
    return sum(len(journal.read_text().splitlines()) - 1 for journal in (to / ".pantala").glob("*/journal"))


@pytest.mark.parametrize("after", [6, 8, 10])
def test_a_killed_download_goes_on_where_it_was(s3: S3Server, bucket: str, proxy: Proxy, to: Path, after: int) -> None:
    """SIGKILL after some chunks were written; what was written is not read again."""
    s3.put(bucket, "w", CONTENT)
    to.mkdir()
    args = ["--uri", f"s3://{bucket}/w", "--to", str(to), "--endpoint", proxy.url, "--metrics-port", "0"]
    process = start(*args, kill_at=f"pantala.fetcher.resume:Journal.add:{after + 1}")
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    assert tree(to) == {}
    noted = lines(to)
    # a chunk that another thread had written when the kill came may lack its line; never the other way round
    assert 0 < noted <= after
    proxy.reset()
    digest = "sha256:" + hashlib.sha256(CONTENT).hexdigest()
    result = fetch(to, f"s3://{bucket}/w", "--endpoint", proxy.url, "--digest", digest)
    assert result.code == 0, result.log
    assert tree(to) == {"w": CONTENT}
    assert result.bytes["cache"] in (noted * CHUNK, (noted - 1) * CHUNK + 81 * MIB % CHUNK + 5)
    assert proxy.counts.body == result.bytes["origin"] == len(CONTENT) - result.bytes["cache"]


POINTS = {
    "before the journal": "pantala.fetcher.resume:Journal.__init__:1",
    "before the first write": "pantala.fetcher.job:Job.write:1",
    "before a line of the journal": "pantala.fetcher.resume:Journal.add:6",
    "before the configuration is changed": "pantala.fetcher.place:Workplace.adjust:1",
    "before the marker": "pantala.fetcher.marker:write:1",
    "before the marker is renamed": "pathlib:Path.replace:2",
    "before the first move": "pathlib:Path.rename:1",
    "before the last marker": "pantala.fetcher.marker:write:2",
    "before the cleaning": "pantala.fetcher.place:Workplace.clean:1",
}


@pytest.mark.parametrize("point", POINTS)
def test_killed_at_named_points(s3: S3Server, bucket: str, proxy: Proxy, to: Path, point: str) -> None:
    """After a kill in front of each step the next run succeeds, and the one after it reads nothing."""
    for name, content in FILES.items():
        s3.put(bucket, f"m/{name}", content)
    args = (f"s3://{bucket}/m", "--endpoint", proxy.url, "--layout", "triton", "--model-name", "net")
    killed = fetch(to, *args, kill_at=POINTS[point])
    assert killed.code == -signal.SIGKILL, killed.log
    result = fetch(to, *args)
    assert result.code == 0, result.log
    expected = {f"net/{name}": content for name, content in FILES.items()}
    expected["net/config.pbtxt"] = b'name: "net"\n'
    assert tree(to) == expected
    proxy.reset()
    again = fetch(to, *args)
    assert (again.code, proxy.counts.reads) == (0, 0)
    leftovers = {path.name for path in (to / ".pantala").rglob("*")} - {"lock", "marker.json"}
    assert all(re.fullmatch("[0-9a-f]{16}", name) for name in leftovers)


@pytest.mark.parametrize("point", ["before the first move", "before the last marker"])
def test_killed_while_replacing_an_older_model(s3: S3Server, bucket: str, to: Path, point: str) -> None:
    """The old folder is never mixed with the new one."""
    s3.put(bucket, "m1/1/a", b"old")
    s3.put(bucket, "m1/1/only-old", b"old")
    s3.put(bucket, "m2/1/a", b"new")
    args = ("--endpoint", s3.endpoint, "--layout", "triton", "--model-name", "net")
    assert fetch(to, f"s3://{bucket}/m1", *args).code == 0
    assert fetch(to, f"s3://{bucket}/m2", *args, kill_at=POINTS[point]).code == -signal.SIGKILL
    assert tree(to) in ({"net/1/a": b"old", "net/1/only-old": b"old"}, {"net/1/a": b"new"})
    assert fetch(to, f"s3://{bucket}/m2", *args).code == 0
    assert tree(to) == {"net/1/a": b"new"}


def test_another_boot_believes_nothing(s3: S3Server, bucket: str, proxy: Proxy, to: Path) -> None:
    """After a power cut lines may have survived whose bytes did not: the journal of another boot is void."""
    s3.put(bucket, "w", CONTENT)
    args = (f"s3://{bucket}/w", "--endpoint", proxy.url)
    assert fetch(to, *args, kill_at="pantala.fetcher.resume:Journal.add:6").code == -signal.SIGKILL
    (journal,) = (to / ".pantala").glob("*/journal")
    text = journal.read_text()
    journal.write_text(re.sub(r'"boot": "[^"]*"', '"boot": "another"', text))
    proxy.reset()
    result = fetch(to, *args)
    assert (result.code, result.bytes["cache"]) == (0, 0)
    assert tree(to) == {"w": CONTENT}


def test_an_object_replaced_between_two_runs(s3: S3Server, bucket: str, to: Path) -> None:
    """What is on disk of the old object is not mixed into the new one."""
    s3.put(bucket, "w", CONTENT)
    args = (f"s3://{bucket}/w", "--endpoint", s3.endpoint)
    assert fetch(to, *args, kill_at="pantala.fetcher.resume:Journal.add:6").code == -signal.SIGKILL
    new = os.urandom(len(CONTENT))
    s3.put(bucket, "w", new)
    assert fetch(to, *args).code == 0
    assert tree(to) == {"w": new}


def test_sigterm_stops_cleanly_and_resumes(s3: S3Server, bucket: str, proxy: Proxy, to: Path) -> None:
    """A pod that is deleted during the download ends within its grace period, and what it had stays."""
    s3.put(bucket, "w", CONTENT)
    to.mkdir()
    proxy.fault = lambda method, _path, number: 503 if method == "GET" and number > 4 else None
    args = ["--uri", f"s3://{bucket}/w", "--to", str(to), "--endpoint", proxy.url, "--metrics-port", "0"]
    with started(*args) as process:
        wait_until(lambda: lines(to) >= 5)
        process.send_signal(signal.SIGTERM)
        _, log = process.communicate(timeout=10)
    assert process.returncode == 143
    assert "stopped by SIGTERM" in log
    proxy.reset()
    result = fetch(to, f"s3://{bucket}/w", "--endpoint", proxy.url)
    assert result.code == 0
    assert result.bytes["cache"] >= 4 * CHUNK
    assert proxy.counts.body == len(CONTENT) - result.bytes["cache"]
    assert tree(to) == {"w": CONTENT}


def test_sigterm_does_not_wait_for_a_store_that_hangs(s3: S3Server, bucket: str, proxy: Proxy, to: Path) -> None:
    """Threads that wait for a byte do not hold up the end of the process."""
    s3.put(bucket, "w", CONTENT)
    to.mkdir()
    hanging = threading.Event()
    proxy.fault = lambda method, _path, number: hanging.wait(30) and None if method == "GET" and number > 4 else None
    args = ["--uri", f"s3://{bucket}/w", "--to", str(to), "--endpoint", proxy.url, "--metrics-port", "0"]
    with started(*args) as process:
        wait_until(lambda: lines(to) >= 6)
        begun = time.monotonic()
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)
        seconds = time.monotonic() - begun
    hanging.set()
    assert process.returncode == 143
    assert seconds < 10


def test_a_second_fetcher_waits(s3: S3Server, bucket: str, proxy: Proxy, to: Path) -> None:
    """Two containers on one volume: the later one waits, then finds everything there."""
    s3.put(bucket, "w", CONTENT)
    to.mkdir()
    proxy.fault = lambda method, _path, number: 503 if method == "GET" and number > 3 else None
    args = ["--uri", f"s3://{bucket}/w", "--to", str(to), "--endpoint", proxy.url, "--metrics-port", "0"]
    with started(*args) as first, started(*args, after=lambda: proxy.counts.reads > 4) as second:
        assert second.stderr is not None
        wait_until(lambda: "waiting" in second.stderr.readline())
        proxy.reset()
        first.communicate(timeout=60)
        _, log = second.communicate(timeout=60)
    assert (first.returncode, second.returncode) == (0, 0)
    assert "unchanged=True" in log
