"""One file on its way: which chunks are on disk, how far it is hashed."""

import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

from pantala.fetcher.listing import RemoteFile

CHUNK = 8 * 1024 * 1024
"""Bytes of one range request."""


@dataclass(frozen=True)
class Fetched:
    """A file that is complete on disk."""

    file: RemoteFile
    path: Path
    sha256: str | None
    """Of the bytes as they were in the store; None if nobody asked."""


@dataclass
class Job:
    """State of one file; only `write` and `hash_from_disk` run outside the event loop."""

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
    streamed: bool = False
    """Whether it comes in one request, because the server knows no ranges."""
    result: Fetched | None = None
    digest: "hashlib._Hash" = field(default_factory=hashlib.sha256)
    _descriptor: int = -1
    _lock: Lock = field(default_factory=Lock)

    @property
    def chunks(self) -> int:
        """Number of chunks."""
        return -(-self.file.size // CHUNK)

    @property
    def present(self) -> int:
        """Bytes on disk."""
        return sum(self.span(index)[1] for index in self.done)

    def span(self, index: int) -> tuple[int, int]:
        """Offset and length of a chunk."""
        offset = index * CHUNK
        return offset, min(CHUNK, self.file.size - offset)

    def open(self) -> int:
        """Open the file once, at its full size, and give its descriptor."""
        with self._lock:
            if self._descriptor < 0:
                self.target.parent.mkdir(parents=True, exist_ok=True)
                self._descriptor = os.open(self.target, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
                os.ftruncate(self._descriptor, self.file.size)
            return self._descriptor

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self._descriptor >= 0:
                os.close(self._descriptor)
                self._descriptor = -1

    def write(self, index: int, data: bytes) -> None:
        """Write a chunk."""
        descriptor = self.open()
        view, offset = memoryview(data), index * CHUNK
        while view:
            written = os.pwrite(descriptor, view, offset)
            view, offset = view[written:], offset + written

    def hash_from_disk(self, index: int) -> None:
        """Hash a chunk that was written out of turn."""
        offset, length = self.span(index)
        self.digest.update(os.pread(self.open(), length, offset))
