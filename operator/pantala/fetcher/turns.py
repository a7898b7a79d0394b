"""Fetchers of one node take turns at a file.

When two ask dfdaemon for the same file at once, each piece is loaded once, but both are told that it came from where the
first one had it loaded from (dragonfly-client 1.5.10, resource/task.rs), and their ledgers would name more bytes than the
store gave. So the second waits for the first, and has everything from the node.

All that they share is the folder of the socket, mounted read-only. The kernel lets a reader put a shared lock on a range of
it, and tells who asks whether one is there: the file's name decides about the range. The lock of a fetcher that is killed
is gone with it; one that stands still is told by a second range, where its lock moves as its pieces come.
"""

import asyncio
import fcntl
import os
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from time import monotonic

_POLL = 0.2
_NAME_DIGITS = 15
"""Hexadecimal digits of a name that become an offset; 16 would not fit into one."""
_BEATS = (1, 2)
"""Places behind the turn's own of which the one who has it locks one, and now and then the other."""


class Turn:
    """What the one who has the turn does with it."""

    def __init__(self, descriptor: int, offset: int) -> None:
        self._descriptor = descriptor
        self._offset = offset
        self._beats = 0
        self._told = 0.0

    def goes_on(self) -> None:
        """Tell those who wait that there is progress, at most once a second; from one thread at a time."""
        now = monotonic()
        if self._descriptor < 0 or now - self._told < 1:
            return
        self._told, self._beats = now, self._beats + 1
        old, new = (_BEATS[(self._beats + step) % 2] for step in (1, 0))
        with suppress(OSError):
            fcntl.fcntl(self._descriptor, fcntl.F_OFD_SETLK, _range(fcntl.F_RDLCK, self._offset + new))
            fcntl.fcntl(self._descriptor, fcntl.F_OFD_SETLK, _range(fcntl.F_UNLCK, self._offset + old))


@asynccontextmanager
async def turn(
    folder: Path, name: str, patience: float, waits: Callable[[], None] = lambda: None
) -> AsyncIterator[Turn]:
    """Wait until no other fetcher has the turn, and have it.

    Args:
        folder: what all fetchers of the node see; without it, or where it cannot be locked, nobody waits.
        name: of the file, hexadecimal.
        patience: seconds without progress after which nobody waits any longer: who is merely stopped must not stop others.
        waits: called once if there is somebody to wait for.
    """
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        yield Turn(-1, 0)
        return
    try:
        offset = int(name[:_NAME_DIGITS], 16) * (len(_BEATS) + 1)
        await _wait(descriptor, offset, patience, waits)
        yield Turn(descriptor, offset)
    finally:
        os.close(descriptor)


async def _wait(descriptor: int, offset: int, patience: float, waits: Callable[[], None]) -> None:
    seen, since = None, monotonic()
    while not _take(descriptor, offset):
        if seen is None:
            waits()
        beat = tuple(_locked(descriptor, offset + place) for place in _BEATS)
        if beat != seen:
            seen, since = beat, monotonic()
        if monotonic() - since >= patience:
            return
        await asyncio.sleep(_POLL)


def _take(descriptor: int, offset: int) -> bool:
    """Lock one byte, unless it is locked; looking and locking are one step for all who do both here."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True  # a file system without locks
    try:
        if _locked(descriptor, offset):
            return False
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, _range(fcntl.F_RDLCK, offset))
    except OSError:
        return True
    finally:
        fcntl.flock(descriptor, fcntl.LOCK_UN)
    return True


def _locked(descriptor: int, offset: int) -> bool:
    """Whether somebody else has a lock on a byte; a writer's would meet it, and asking needs no right to write."""
    found = fcntl.fcntl(descriptor, fcntl.F_OFD_GETLK, _range(fcntl.F_WRLCK, offset))
    return bool(struct.unpack_from("h", found)[0] != fcntl.F_UNLCK)


def _range(kind: int, offset: int) -> bytes:
    """`struct flock` of 64-bit Linux: kind, whence, start, length, pid."""
    return struct.pack("hhqqi4x", kind, os.SEEK_SET, offset, 1, 0)
