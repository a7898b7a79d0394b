"""Fetchers of one node take turns at a file.

When two ask dfdaemon for the same file at once, each piece is loaded once, but both are told that it came from where the
first one had it loaded from (dragonfly-client 1.5.10, resource/task.rs), and their ledgers would name more bytes than the
store gave. So the second waits for the first, and has everything from the node.

All that they share is the folder of the socket, mounted read-only. The kernel lets a reader put a shared lock on a range of
it, and tells who asks whether one is there: the file's name decides about the range. The lock of a fetcher that is killed
is gone with it.
"""

import asyncio
import fcntl
import os
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic

LONGEST = 1800.0
"""Seconds after which a turn is taken all the same: who is merely stopped must not stop others for ever."""
_POLL = 0.2
_NAME_DIGITS = 15
"""Hexadecimal digits of a name that become an offset; 16 would not fit into one."""


@asynccontextmanager
async def turn(folder: Path, name: str, longest: float = LONGEST) -> AsyncIterator[None]:
    """Wait until no other fetcher has the turn, and have it.

    Args:
        folder: what all fetchers of the node see; without it, or where it cannot be locked, nobody waits.
        name: of the file, hexadecimal.
        longest: seconds to wait at most.
    """
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        yield
        return
    try:
        until = monotonic() + longest
        while monotonic() < until and not _take(descriptor, int(name[:_NAME_DIGITS], 16)):  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(_POLL)
        yield
    finally:
        os.close(descriptor)


def _take(descriptor: int, offset: int) -> bool:
    """Lock one byte, unless it is locked; looking and locking are one step for all who do both here."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True  # a file system without locks
    try:
        found = fcntl.fcntl(descriptor, fcntl.F_OFD_GETLK, _range(fcntl.F_WRLCK, offset))
        if struct.unpack_from("h", found)[0] != fcntl.F_UNLCK:
            return False
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, _range(fcntl.F_RDLCK, offset))
    except OSError:
        return True
    finally:
        fcntl.flock(descriptor, fcntl.LOCK_UN)
    return True


def _range(kind: int, offset: int) -> bytes:
    """`struct flock` of 64-bit Linux: kind, whence, start, length, pid."""
    return struct.pack("hhqqi4x", kind, os.SEEK_SET, offset, 1, 0)
