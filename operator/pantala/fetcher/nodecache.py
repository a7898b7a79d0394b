"""A folder of the node that outlives pods: who uses a version's folder in it, and which folders may go.

Below the cache's root each version has a folder, three names deep (namespace/model/version), that is ours if it holds
`.pantala/used`. Whoever uses it has a shared lock (flock) on the folder itself: the fetcher from before it looks at what is
there until it ends, the pod's container `hold` from about the same time until the pod ends. The kernel releases a lock
however its process ends, and locking a folder needs no right to write. Who removes takes the exclusive lock first, and
removes nothing if that is refused.

A lock has two holes, and both are closed by `used`: `hold` starts a moment after the fetcher began, or again after it was
killed; so what was used in the last minutes stays (GRACE), and `hold` renews the file's time every minute. A folder that was
removed while its lock was waited for has no links any more, which the one who gets the lock sees: the kubelet then starts
the container again, on a new folder.
"""

import fcntl
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import time

from pantala.errors import FetchFailure
from pantala.fetcher.errors import FetchError
from pantala.fetcher.nodefolders import FOLDER, USED, Entry, entries, identity, remove
from pantala.fetcher.place import STATE

GRACE = 180.0
"""Seconds after the last sign of a use in which nothing is removed."""
MAX_AGE = 7 * 24 * 3600.0
"""Seconds that weights stay unused."""
_FREE_SHARE = 10
"""One part in so many of the file system stays free, as far as unused weights can make it so: the kubelet evicts pods from
a disk that is nine tenths full."""


@dataclass(frozen=True)
class Policy:
    """What may stay in a node's cache."""

    root: Path
    max_bytes: int | None = None
    """Of the folders of all versions; None: whatever leaves a tenth of the file system free."""
    max_age: float = MAX_AGE


@dataclass(frozen=True)
class Kept:
    """What a collection left, and what it removed."""

    bytes: int = 0
    """On disk, in the folders of all versions; a file with several names counts once."""
    removed: tuple[str, ...] = ()
    """Folders below the root."""
    freed: int = 0
    """Bytes of the removed folders that no other version has as well."""
    broken: tuple[str, ...] = ()
    """What could not be looked at or removed, and why."""


def use(folder: Path) -> None:
    """Keep a folder from being removed until this process ends; waits for one who is just removing it.

    Raises:
        FetchError: It was removed; whoever starts next gets a new one.
    """
    descriptor = os.open(folder, FOLDER)  # stays open
    with suppress(OSError):  # where locks do not exist nobody can remove anything either
        fcntl.flock(descriptor, fcntl.LOCK_SH)
    if os.fstat(descriptor).st_nlink == 0:
        message = (
            f"{folder} was just removed from the node's cache for being unused; it is made again at the next start"
        )
        raise FetchError(FetchFailure.UNAVAILABLE, message)
    touch(folder)


def touch(folder: Path) -> None:
    """Note that the folder is in use now."""
    (folder / STATE).mkdir(exist_ok=True)
    used = os.open(folder / STATE / USED, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    try:
        os.utime(used)
        with suppress(PermissionError):  # another user has made it, and opened it to all
            os.fchmod(used, 0o666)  # `hold` renews it as the pod's own user
    finally:
        os.close(used)


def collect(policy: Policy, own: Path, need: int = 0) -> Kept:
    """Remove what nobody uses: what is too old, then the least recently used, until the rest and `need` have room.

    Args:
        policy: what may stay.
        own: folder that stays in any case.
        need: bytes that are about to be written to it.
    """
    now = time()
    broken: list[str] = []
    present = sorted(entries(policy.root, broken), key=lambda entry: entry.used)
    size, removed, freed = _size(present), list[str](), 0
    mine = identity(own)
    for entry in list(present):
        old = now - entry.used > policy.max_age
        if now - entry.used <= GRACE or not (old or _tight(policy, size + need, need)):
            break  # sorted by time: all that follow were used later
        try:
            if identity(policy.root / entry.name) in (mine, None) or not remove(policy.root, entry):
                continue
        except OSError as error:
            broken.append(f"{entry.name}: {os.strerror(error.errno or 0)}")
            continue
        present.remove(entry)
        removed.append(entry.name)
        left = _size(present)
        freed, size = freed + size - left, left
    return Kept(size, tuple(removed), freed, tuple(broken))


def _tight(policy: Policy, wanted: int, need: int) -> bool:
    status = os.statvfs(policy.root)
    available, reserve = status.f_bavail * status.f_frsize, 0
    if policy.max_bytes is None:
        reserve = status.f_blocks * status.f_frsize // _FREE_SHARE
    elif wanted > policy.max_bytes:
        return True
    return available - need < reserve


def _size(present: list[Entry]) -> int:
    blocks: dict[tuple[int, int], int] = {}
    for entry in present:
        blocks |= entry.blocks
    return sum(blocks.values())
