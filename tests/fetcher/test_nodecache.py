"""Replicas of one node share one copy, and only what nobody uses is removed: real processes on a real file system."""

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from pantala.fetcher import nodecache, nodefolders
from pantala.fetcher.nodecache import GRACE, Policy, collect, touch
from pantala.planner import volumes
from tests.cluster.addons.s3 import S3Server
from tests.fetcher.tools import MIB, Proxy, Result, environment, fetch, start, tree, wait_until

CONTENT = os.urandom(24 * MIB + 3)
HOUR = 3600.0
_KILLED_AT = """
import os, signal, sys
from pathlib import Path
from pantala.fetcher import nodecache, nodefolders
original, calls = os.unlink, 0
def killing(*args, **kwargs):
    global calls
    calls += 1
    if calls == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
    return original(*args, **kwargs)
os.unlink = killing
root = Path(sys.argv[1])
nodecache.collect(nodecache.Policy(root, max_age=60), root / "ns/m/own")
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The cache's folder on the node."""
    folder = tmp_path / "cache"
    folder.mkdir()
    return folder


def version(root: Path, name: str, size: int = MIB, unused: float = 0.0) -> Path:
    """The folder of a version, as a fetcher leaves it, last used so many seconds ago."""
    folder = root / "ns" / "m" / name
    (folder / ".pantala/0123456789abcdef").mkdir(parents=True)
    (folder / ".pantala/0123456789abcdef/marker.json").write_text("{}")
    (folder / "net/1").mkdir(parents=True)
    (folder / "net/1/weights").write_bytes(os.urandom(size))
    touch(folder)
    rest(folder, unused)
    return folder


def rest(folder: Path, seconds: float) -> None:
    """Let the folder's last use be so many seconds ago."""
    then = time.time() - seconds
    os.utime(folder / ".pantala/used", (then, then))


def left(root: Path) -> set[str]:
    """The versions that are there."""
    return {path.name for path in (root / "ns/m").iterdir() if path.is_dir()}


def run(root: Path, folder: Path, uri: str, *args: str, **options: str) -> Result:
    """One fetch into a folder of the cache."""
    folder.mkdir(parents=True, exist_ok=True)
    return fetch(folder, uri, "--cache-root", str(root), *args, **options)


@contextmanager
def held(folder: Path | str, **options: Any) -> Iterator["subprocess.Popen[bytes]"]:
    """The pod's container `hold`, its command as the planner writes it but for the folder."""
    command = [word.replace("/models", str(folder)) for word in volumes.hold_command()]
    process = subprocess.Popen(command, start_new_session=True, **options)
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)


def is_held(folder: Path) -> bool:
    """Whether somebody has a lock on the folder."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def is_noted(folder: Path) -> bool:
    """Whether the folder was used a moment ago."""
    return time.time() - (folder / ".pantala/used").stat().st_mtime < HOUR


def test_two_replicas_read_the_origin_once(s3: S3Server, bucket: str, proxy: Proxy, root: Path) -> None:
    """Two fetchers that start together: one reads the store, the other waits and counts the same bytes as `cache`."""
    s3.put(bucket, "w", CONTENT)
    folder = root / "ns/m/v1"
    folder.mkdir(parents=True)
    logs = [root.parent / f"{number}.json" for number in range(2)]
    args = ["--uri", f"s3://{bucket}/w", "--to", str(folder), "--endpoint", proxy.url, "--metrics-port", "0"]
    pair = [start(*args, "--cache-root", str(root), "--termination-log", str(log)) for log in logs]
    for process in pair:
        _, log = process.communicate(timeout=60)
        assert process.returncode == 0, log
    counts = [json.loads(log.read_text())["bytes"] for log in logs]
    assert sorted((each["origin"], each["cache"]) for each in counts) == [(0, len(CONTENT)), (len(CONTENT), 0)]
    assert proxy.counts.body == len(CONTENT)
    assert tree(folder) == {"w": CONTENT}


def test_a_killed_fetcher_leaves_its_part_to_the_next(s3: S3Server, bucket: str, proxy: Proxy, root: Path) -> None:
    """SIGKILL in mid-download: the lock is free, and the next one continues with what is there."""
    s3.put(bucket, "w", CONTENT)
    folder = root / "ns/m/v1"
    args = (f"s3://{bucket}/w", "--endpoint", proxy.url)
    killed = run(root, folder, *args, kill_at="pantala.fetcher.resume:Journal.add:3")
    assert killed.code == -signal.SIGKILL
    assert not is_held(folder)
    proxy.reset()
    result = run(root, folder, *args)
    assert result.code == 0, result.log
    assert 0 < proxy.counts.body < len(CONTENT)
    assert tree(folder) == {"w": CONTENT}


def test_others_may_read_and_nobody_write(s3: S3Server, bucket: str, root: Path) -> None:
    """The server runs as another user: it can read every file and change none but the note of the last use."""
    s3.put(bucket, "m/1/w", CONTENT)
    folder = root / "ns/m/v1"
    run(root, folder, f"s3://{bucket}/m", "--endpoint", s3.endpoint, "--layout", "triton", "--model-name", "net")
    modes = {path.relative_to(folder): path.stat().st_mode & 0o777 for path in (folder / "net").rglob("*")}
    assert set(modes.values()) == {0o755, 0o644}
    assert (folder / ".pantala/used").stat().st_mode & 0o777 == 0o666


def test_what_is_unused_goes_by_age(s3: S3Server, bucket: str, root: Path) -> None:
    """A fetch removes what nobody used for longer than the age, and logs it; its own folder stays however old."""
    s3.put(bucket, "w", CONTENT)
    old, young = version(root, "old", unused=3 * HOUR), version(root, "young", unused=HOUR)
    own = root / "ns/m/own"
    args = (f"s3://{bucket}/w", "--endpoint", s3.endpoint, "--cache-max-age", str(2 * HOUR))
    assert run(root, own, *args).code == 0
    assert not old.exists()
    assert young.exists()
    rest(own, 9 * HOUR)
    rest(young, 9 * HOUR)
    result = run(root, own, *args)
    assert result.bytes["cache"] == len(CONTENT)
    assert left(root) == {"own"}
    assert "ns/m/young" in result.log


def test_the_least_recently_used_go_for_room(s3: S3Server, bucket: str, root: Path) -> None:
    """Before a download the oldest go until the limit holds with what is to come, and no more than that."""
    s3.put(bucket, "w", CONTENT)
    for age, name in enumerate(("c", "b", "a"), 1):
        version(root, name, 10 * MIB, unused=age * HOUR)
    limit = len(CONTENT) + 11 * MIB
    args = (f"s3://{bucket}/w", "--endpoint", s3.endpoint, "--cache-max-bytes", str(limit))
    assert run(root, root / "ns/m/own", *args).code == 0
    assert left(root) == {"own", "c"}


def test_a_limit_that_cannot_be_kept_is_told(s3: S3Server, bucket: str, root: Path) -> None:
    """Used weights are never removed: the fetch goes over the limit, with a warning."""
    s3.put(bucket, "w", CONTENT)
    used = version(root, "used", unused=HOUR)
    with held(used) as hold:
        wait_until(lambda: is_held(used) and is_noted(used))
        rest(used, 9 * HOUR)
        result = run(root, root / "ns/m/own", f"s3://{bucket}/w", "--endpoint", s3.endpoint, "--cache-max-bytes", "1")
        assert hold.poll() is None
    assert result.code == 0
    assert left(root) == {"own", "used"}
    assert "over its limit" in result.log


def test_never_while_held(root: Path) -> None:
    """What `hold` has stays at any age and size, also when nothing of the fetcher runs; with its end it may go."""
    folder = version(root, "v1", unused=9 * HOUR)
    everything = Policy(root, max_bytes=0, max_age=0)
    with held(folder):
        wait_until(lambda: is_held(folder) and is_noted(folder))
        rest(folder, 9 * HOUR)
        assert collect(everything, root).removed == ()
    wait_until(lambda: not is_held(folder))  # all its processes are gone
    assert collect(everything, root).removed == ("ns/m/v1",)


def test_hold_notes_the_use_and_obeys(root: Path) -> None:
    """The time of the last use is renewed when the hold begins and when it ends; SIGTERM ends it at once, with 0."""
    folder = version(root, "v1", unused=9 * HOUR)
    with held(folder) as hold:
        wait_until(lambda: is_noted(folder))
        rest(folder, 9 * HOUR)
        begun = time.monotonic()
        hold.terminate()
        assert hold.wait(10) == 0
        assert time.monotonic() - begun < 1
    wait_until(lambda: not is_held(folder))
    assert collect(Policy(root, max_bytes=0, max_age=0), root).removed == ()  # it was used a moment ago
    rest(folder, GRACE + 1)
    assert collect(Policy(root, max_bytes=0, max_age=0), root).removed == ("ns/m/v1",)


def test_hold_works_without_any_right_to_write() -> None:
    """As another user, whose folder this is not: the lock needs the right to read, the note is open to all."""
    if os.geteuid() != 0:
        pytest.skip("only root can run a program as another user")
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)  # pytest's own folders are closed to others
        folder = version(Path(name), "v1", unused=9 * HOUR)
        with held(folder, user=1000, group=1000, extra_groups=[]):
            wait_until(lambda: is_noted(folder))
            assert is_held(folder)


def test_who_waited_for_a_removal_starts_again(root: Path) -> None:
    """A folder that is removed while its lock is waited for is of no use: `hold` and the fetcher end, not as done."""
    folder = version(root, "v1")
    lock = os.open(folder, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    waiting = f"from pathlib import Path; from pantala.fetcher.nodecache import use; use(Path({str(folder)!r}))"
    fetcher = subprocess.Popen([sys.executable, "-c", waiting], stderr=subprocess.PIPE, env=environment({}))
    mounted = f"/proc/{os.getpid()}/fd/{lock}/."  # leads to the folder after its removal, as a mount does
    with held(mounted) as hold:
        wait_until(lambda: _waits(hold.pid) and _waits(fetcher.pid))
        shutil.rmtree(folder)
        fcntl.flock(lock, fcntl.LOCK_UN)
        assert hold.wait(10) == 1
        os.close(lock)
        _, log = fetcher.communicate(timeout=10)
        assert fetcher.returncode == 1
        assert b"made again at the next start" in log
    folder.mkdir(parents=True)
    nodecache.use(folder)


def _waits(pid: int) -> bool:
    """Whether a process waits for a lock."""
    lines = Path("/proc/locks").read_text().splitlines()
    return any("->" in line and f" {pid} " in line for line in lines)


@pytest.mark.parametrize("call", range(1, 6))
def test_a_killed_collector(root: Path, call: int) -> None:
    """SIGKILL at each of its removals: what is left is never taken for whole weights, and the next one finishes."""
    folder = version(root, "v1", unused=9 * HOUR)
    (folder / "top").write_bytes(b"x")
    (folder / ".pantala/lock").touch()
    killed = subprocess.run(
        [sys.executable, "-c", _KILLED_AT, str(root), str(call)], env=environment({}), check=False, timeout=60
    )
    assert killed.returncode == -signal.SIGKILL
    assert not is_held(folder)
    marked = list(folder.glob(".pantala/*/marker.json"))
    whole = (folder / "net/1/weights").exists() and (folder / "top").exists()
    assert whole or not marked
    assert collect(Policy(root, max_age=60), root).removed == ("ns/m/v1",)
    assert list(root.iterdir()) == []


def test_foreign_files_are_left_alone(root: Path) -> None:
    """Only folders of the right depth with the fetcher's note are looked at; links are followed nowhere."""
    outside = root.parent / "outside"
    version(outside, "theirs", unused=99 * HOUR)
    kept = ["README", "content/tasks/abc/file", "ns/m/notes/file", "ns/m/x/deeper/.pantala/used", ".pantala/a/b/c"]
    for name in kept:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("mine")
    (root / "link").symlink_to(outside)
    (root / "ns/link").symlink_to(outside / "ns/m")
    (root / "ns/m/link").symlink_to(outside / "ns/m/theirs")
    within = version(root, "with-a-link", unused=99 * HOUR)
    (within / "away").symlink_to(outside)
    (within / "net/away").symlink_to(outside / "ns/m/theirs/net")
    odd = root / "ns/m/odd"
    odd.mkdir()
    (odd / ".pantala").symlink_to(outside / "ns/m/theirs/.pantala")
    nested = version(root, "nested", unused=99 * HOUR)
    version(nested, "inner", unused=99 * HOUR)
    kept_now = collect(Policy(root, max_bytes=0, max_age=0), root)
    assert kept_now.removed == ("ns/m/with-a-link",)
    assert kept_now.broken == ()
    assert all((root / name).read_text() == "mine" for name in kept)
    assert (outside / "ns/m/theirs/net/1/weights").exists()
    assert (nested / "ns/m/inner/net/1/weights").exists()


def test_a_file_with_several_names_counts_once(root: Path) -> None:
    """Links to one file, in two versions or in dfdaemon's own store, take their place once."""
    first, second = version(root, "a", 8 * MIB, unused=2 * HOUR), version(root, "b", 4096, unused=HOUR)
    os.link(first / "net/1/weights", second / "net/1/linked")
    os.link(first / "net/1/weights", root.parent / "daemon")
    both = collect(Policy(root, max_bytes=2**40), root)
    assert 8 * MIB <= both.bytes < 9 * MIB
    after = collect(Policy(root, max_bytes=9 * MIB, max_age=1.5 * HOUR), root)
    assert after.removed == ("ns/m/a",)
    assert after.freed < MIB
    assert (second / "net/1/linked").stat().st_size == 8 * MIB


def test_a_sparse_file_counts_what_it_takes(root: Path) -> None:
    """An unfinished file has its full length at once, but takes only what was written."""
    folder = version(root, "a", 4096)
    os.truncate(folder / "net/1/weights", 10 * MIB)
    assert collect(Policy(root, max_bytes=2**40), root).bytes < MIB


def test_the_file_system_keeps_a_tenth_free(root: Path) -> None:
    """Without a limit, unused weights go while the disk would be more than nine tenths full with what is to come."""
    version(root, "a", MIB, unused=2 * HOUR)
    status = os.statvfs(root)
    free = status.f_bavail * status.f_frsize
    spare = free - status.f_blocks * status.f_frsize // 10
    if spare < 64 * MIB:
        pytest.skip("the disk of this machine is nine tenths full")
    assert collect(Policy(root), root, spare - 32 * MIB).removed == ()
    assert collect(Policy(root), root, free).removed == ("ns/m/a",)


def test_a_collector_that_comes_second(root: Path) -> None:
    """Where another one has the folder, or somebody used it since it was looked at, it stays."""
    folder = version(root, "a", unused=9 * HOUR)
    broken: list[str] = []
    (entry,) = nodefolders.entries(root, broken)
    touch(folder)
    assert not nodefolders.remove(root, entry)
    rest(folder, 9 * HOUR)
    (entry,) = nodefolders.entries(root, broken)
    with (folder / ".pantala/used").open() as stream:
        assert nodefolders.remove(root, entry)
        stream.read()
    assert broken == []
