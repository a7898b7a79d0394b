"""One file on its way: which chunks are on disk, how far it is hashed."""

import errno
import hashlib
import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

from pantala.fetcher.listing import RemoteFile

CHUNK = 8 * 1024 * 1024
"""Bytes that are noted in the journal at once; what is read again after a kill, at most, for each request."""
PIECE = 512 * 1024
"""Bytes of a buffer: what is read, written or hashed at once, so that it is still in the processor's cache."""


@dataclass(frozen=True)
class Fetched:
    """A file that is complete on disk."""

    file: RemoteFile
    path: Path
    sha256: str | None
    """Of the bytes as they were in the store; None if nobody asked."""


@dataclass
class Job:
    """State of one file, which only the event loop changes; `opened`, `write` and `hash_from_disk` run in threads."""

    file: RemoteFile
    name: str
    """In the journal."""
    target: Path
    wants_hash: bool
    done: set[int] = field(default_factory=set)
    """Chunks on disk."""
    hashed: int = 0
    """Chunks that went into the digest."""
    hashing: bool = False
    finishing: bool = False
    begun: bool = False
    """Whether what was there is counted."""
    disown: Callable[[], Awaitable[None]] | None = None
    """Keeps what the peers gave from being given to anybody else; set where they were asked."""
    linked: bool = False
    """Whether the file is dfdaemon's as well: it is complete, and only read."""
    streamed: bool = False
    """Whether it comes in one request, because the server knows no ranges."""
    before: "Job | None" = None
    """The same file in an earlier attempt of this process: what came then is counted already."""
    result: Fetched | None = None
    digest: "hashlib._Hash" = field(default_factory=hashlib.sha256)
    _made: bool = False
    _lock: Lock = field(default_factory=Lock)

    @property
    def chunks(self) -> int:
        """Number of chunks."""
        return -(-self.file.size // CHUNK)

    @property
    def present(self) -> int:
        """Bytes on disk."""
        return sum(self.span(index)[1] for index in self.done)

    @property
    def cached(self) -> int:
        """Bytes on disk that this process has not brought."""
        brought = self.before.done if self.before else set()
        return sum(self.span(index)[1] for index in self.done - brought)

    def span(self, index: int) -> tuple[int, int]:
        """Offset and length of a chunk."""
        offset = index * CHUNK
        return offset, min(CHUNK, self.file.size - offset)

    def runs(self, longest: int) -> Iterator[tuple[int, int]]:
        """What is missing, as (first, behind the last) of at most `longest` neighbouring chunks."""
        first = 0
        for index in range(self.chunks + 1):
            if index < self.chunks and index not in self.done:
                if index - first == longest:
                    yield first, index
                    first = index
                continue
            if first < index:
                yield first, index
            first = index + 1

    @contextmanager
    def opened(self) -> Iterator[int]:
        """Open the file, which has its full size from the first time on.

        Everybody has a descriptor of his own: a thread that was told to stop may still be about to write, and must not
        find another file under the number.
        """
        with self._lock:
            if not self._made:
                self.target.parent.mkdir(parents=True, exist_ok=True)
                self._look_for_links()
            access = os.O_RDONLY if self.linked else os.O_RDWR
            descriptor = os.open(self.target, access | os.O_NOFOLLOW | (0 if self._made else os.O_CREAT), 0o644)
            if not self._made and not self.linked:
                os.ftruncate(descriptor, self.file.size)
            self._made = True
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def _look_for_links(self) -> None:
        """Never write into a file that has another name (see `links`): it is complete, or another one takes its place."""
        if not self.linked and self.target.exists() and self.target.lstat().st_nlink > 1:
            self.linked = 0 < self.chunks == len(self.done)
            if not self.linked:
                self.target.unlink()

    @staticmethod
    def write(descriptor: int, data: bytes | memoryview, offset: int) -> None:
        """Write all of the data."""
        view = memoryview(data)
        while view:
            written = os.pwrite(descriptor, view, offset)
            view, offset = view[written:], offset + written

    def hash_from_disk(self, index: int) -> None:
        """Hash the next chunk."""
        offset, missing = self.span(index)
        buffer = memoryview(bytearray(min(PIECE, missing)))
        with self.opened() as descriptor:
            while missing:
                number = os.preadv(descriptor, [buffer[: min(len(buffer), missing)]], offset)
                if number == 0:
                    raise OSError(errno.EIO, "the file was cut by somebody else")
                self.digest.update(buffer[:number])
                offset, missing = offset + number, missing - number
