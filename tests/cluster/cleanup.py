"""Removing what a dead cluster left: processes, links, cgroups, folders. Everything it touches was recorded by name."""

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.cluster import cache
from tests.cluster.process import start_time
from tests.cluster.spec import Paths, clusters_root

_PATIENCE = 10.0
"""Seconds that killed processes may take to leave their cgroups."""


@contextmanager
def registry_lock() -> Iterator[None]:
    """Held while clusters appear and disappear, so that nobody collects what is just being made."""
    with cache.locked(clusters_root() / ".locks" / ".registry"):
        yield


def is_alive(paths: Paths) -> bool:
    """Whether a supervisor holds the cluster; the kernel takes the lock from a dead one."""
    if not paths.lock.exists():
        return False
    with paths.lock.open("a") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def names() -> list[str]:
    """Names of all clusters that have a state folder, alive or not."""
    root = clusters_root()
    return sorted(it.name for it in root.iterdir() if not it.name.startswith(".")) if root.is_dir() else []


def collect() -> list[str]:
    """Remove the remains of every cluster whose supervisor is dead; return their names. Call with the registry lock."""
    stale = [name for name in names() if not is_alive(Paths.of(name))]
    for name in stale:
        remove(Paths.of(name))
    return stale


def remove(paths: Paths) -> None:
    """Kill the recorded processes and remove everything else that was recorded, the state folder last."""
    _kill(paths)
    for line in _lines(paths.remains):
        kind, _, name = line.partition(" ")
        if kind == "link":
            subprocess.run(["ip", "link", "del", name], capture_output=True, check=False)
        elif kind == "cgroup":
            _remove_cgroup(name)
        elif kind == "folder":
            shutil.rmtree(name, ignore_errors=True)
    shutil.rmtree(paths.root, ignore_errors=True)
    with contextlib.suppress(FileNotFoundError):
        paths.lock.unlink()


def record(paths: Paths, kind: str, name: str) -> None:
    """Note something outside the state folder before it is made."""
    with paths.remains.open("a") as remains:
        remains.write(f"{kind} {name}\n")


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def _kill(paths: Paths) -> None:
    mine = []
    for line in _lines(paths.pids):
        pid, started, _name = line.split(" ", 2)
        # a supervisor that cleans up after itself is on the list too
        if (
            int(pid) != os.getpid() and start_time(int(pid)) == started
        ):  # not another process that was given the number since
            mine.append((int(pid), started))
    for pid, _started in mine:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + _PATIENCE
    while any(start_time(pid) == started for pid, started in mine) and time.monotonic() < deadline:
        time.sleep(0.05)


def cgroup_roots() -> list[Path]:
    """Mounted cgroup hierarchies that can hold containers: all of version 1, or the one of version 2."""
    first, second = [], []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        kind, where = after.split()[0], Path(before.split()[4])
        if kind == "cgroup":
            first.append(where)
        elif kind == "cgroup2":
            second.append(where)
    return first or second


def _remove_cgroup(name: str) -> None:
    deadline = time.monotonic() + _PATIENCE
    for root in cgroup_roots():
        top = root / name
        while top.is_dir():
            for folder, _folders, _files in os.walk(top, topdown=False):
                with contextlib.suppress(OSError):  # busy until the last process is gone
                    Path(folder).rmdir()
            if top.is_dir() and time.monotonic() > deadline:
                break
            if top.is_dir():
                time.sleep(0.05)
