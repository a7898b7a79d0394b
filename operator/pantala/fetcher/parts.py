"""What of a file has come from the peers."""

from dataclasses import dataclass, field
from time import monotonic

from pantala.distribution.identity import PIECE_LENGTH
from pantala.fetcher.job import CHUNK, Job
from pantala.fetcher.turns import Turn

assert CHUNK % PIECE_LENGTH == 0  # a piece belongs to one chunk


@dataclass
class Parts:
    """What of a file has come in this process, in pieces."""

    job: Job
    turn: Turn | None = None
    """Tells other fetchers of the node that there is progress."""
    pieces: set[int] = field(default_factory=set)
    """Offsets."""
    moved: float = field(default_factory=monotonic)
    """When a piece came last, or the file's turn came."""
    waiting: bool = False
    """Whether a thread waits for dfdaemon, and not for the disk."""
    linking: bool = False
    """Whether dfdaemon writes the file itself (see `links`)."""
    counted: set[int] = field(default_factory=set)
    """Offsets of pieces whose bytes were told."""

    def missing(self) -> tuple[int, int] | None:
        """Offset and length of the first part that is missing."""
        for first, behind in self.job.runs(max(1, self.job.chunks)):
            end = sum(self.job.span(behind - 1))
            offsets = range(self.job.span(first)[0], end, PIECE_LENGTH)
            start = next((at for at in offsets if at not in self.pieces), None)
            if start is not None:
                stop = next((at for at in offsets if at > start and at in self.pieces), end)
                return start, stop - start
        return None

    def has(self, span: tuple[int, int]) -> bool:
        """Whether all of a part has come."""
        return all(at in self.pieces for at in range(span[0], sum(span), PIECE_LENGTH))

    def length(self, offset: int) -> int:
        """Bytes of the piece at an offset; 0 if there can be none."""
        fits = offset % PIECE_LENGTH == 0 and offset < self.job.file.size
        return min(PIECE_LENGTH, self.job.file.size - offset) if fits else 0

    def completes(self, offset: int) -> int | None:
        """Note a piece, and give the chunk that it completes."""
        self.pieces.add(offset)
        index = offset // CHUNK
        return index if self.has(self.job.span(index)) else None
