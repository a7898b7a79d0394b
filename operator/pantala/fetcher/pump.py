"""One range from the store to the disk, in a thread of its own.

The blocking reader fills a buffer of ours that is written at once, while it is still in the processor's cache: no bytes
object per chunk, no event loop per piece, and a memory that does not depend on the length of a range. So a range can be
long, and a store is asked a few times only. (The asynchronous reader hands over whole ranges, which are in memory twice.)
"""

from collections.abc import Callable
from dataclasses import dataclass
from threading import Event

from opendal.file import File

from pantala.fetcher.errors import ShortRead, from_os
from pantala.fetcher.job import PIECE, Job
from pantala.fetcher.landing import Stopped
from pantala.fetcher.resume import Journal
from pantala.fetcher.stores import Store

_WRONG_LENGTH = "the answer was longer or shorter than asked for"


class ReadFailed(Exception):  # noqa: N818 - it wraps one
    """What the store's reader raised: its OSError must not be taken for one of the disk."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(str(cause))
        self.cause = cause


@dataclass(frozen=True)
class Pump:
    """Brings ranges of one store; callable from any thread."""

    store: Store
    journal: Journal
    """Gets a line for each chunk that is written."""
    stop: Event
    """Ends every thread at its next piece."""

    def bring(self, job: Job, first: int, behind: int, on_chunk: Callable[[int], None]) -> None:
        """Read neighbouring chunks in one request.

        Args:
            job: the file.
            first: first chunk.
            behind: the chunk behind the last one.
            on_chunk: called in this thread with each chunk that is on disk.

        Raises:
            FetchError: the disk does not take it.
            ReadFailed: the store does not give it; the chunks that were told are on disk.
            Stopped: it was asked to.
        """
        start = job.span(first)[0]
        size = sum(job.span(behind - 1)) - start
        buffer = memoryview(bytearray(min(PIECE, size)))
        try:
            with job.opened() as descriptor, self._reader(job, start, size) as reader:
                for index in range(first, behind):
                    offset, missing = job.span(index)
                    while missing:
                        piece = buffer[: self._read(reader, buffer[: min(len(buffer), missing)])]
                        if not piece:
                            raise ReadFailed(ShortRead(_WRONG_LENGTH))
                        job.write(descriptor, piece, offset)
                        offset, missing = offset + len(piece), missing - len(piece)
                    self.journal.add(job.name, index)
                    on_chunk(index)
                if self._read(reader, buffer[:1]):
                    raise ReadFailed(ShortRead(_WRONG_LENGTH))
        except OSError as error:
            raise from_os(error, str(job.target)) from None

    def _reader(self, job: Job, offset: int, size: int) -> File:
        """Nothing is asked before the first read."""
        file, blocking = job.file, self.store.blocking
        try:
            if file.if_match is None:
                return blocking.open(file.key, "rb", offset=offset, size=size)
            return blocking.open(file.key, "rb", offset=offset, size=size, if_match=file.if_match)
        except Exception as error:  # noqa: BLE001 - opendal's exceptions share no base class
            raise ReadFailed(error) from None

    def _read(self, reader: File, buffer: memoryview) -> int:
        try:
            number: int = reader.readinto(buffer)
        except Exception as error:  # noqa: BLE001 - opendal's exceptions share no base class
            raise ReadFailed(error) from None
        if self.stop.is_set():
            raise Stopped
        return number
