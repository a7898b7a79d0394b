"""Hard links in place of copies, where the node's dfdaemon sees the target folder on the disk of its own storage.

Asked with `output_path` and `force_hard_link`, dfdaemon links its file of the task to that path before it loads anything, and
fills it in place; the pieces are then announced without their content (dragonfly-client 1.5.10, resource/task.rs,
download_started; dragonfly-client-storage 1.5.10, content_linux.rs, hard_link_task). So the bytes are on the node once. The file
is dfdaemon's too: nobody here may ever write into it.
"""

import os
import stat
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from pantala.fetcher.job import PIECE, Job


@dataclass
class Links:
    """One for a run."""

    root: Path
    """The target folder."""
    host: Path
    """The same folder as the node, and with luck dfdaemon, sees it."""
    possible: bool = True
    """Whether it has not failed yet: then it would fail for the other files too."""

    def path(self, job: Job) -> str:
        """Where dfdaemon is to link a file to."""
        return str(self.host / job.target.relative_to(self.root))

    @staticmethod
    def prepare(job: Job) -> None:
        """Make way for the link."""
        job.target.parent.mkdir(parents=True, exist_ok=True)
        job.target.unlink(missing_ok=True)

    @staticmethod
    def holds(job: Job) -> bool:
        """Whether the file is the one that dfdaemon writes, and the server may read it.

        With a single name it is not dfdaemon's any more (its task was deleted), and may lack what came since.
        """
        try:
            status = job.target.lstat()
        except OSError:
            return False
        readable = bool(status.st_mode & stat.S_IROTH)
        return stat.S_ISREG(status.st_mode) and readable and status.st_nlink > 1 and status.st_size == job.file.size


def own(job: Job, offsets: Iterable[int], length: Callable[[int], int]) -> None:
    """Put a file of our own, with the parts that have come, in the place of a link.

    Args:
        job: the file.
        offsets: of the parts.
        length: of the part at an offset.
    """
    copy = job.target.with_name(f"{job.target.name}.own")
    wanted = sorted(offsets)
    if wanted:
        source = os.open(job.target, os.O_RDONLY | os.O_NOFOLLOW)
        target = os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o644)
        try:
            os.ftruncate(target, job.file.size)
            for offset in wanted:
                for at in range(offset, offset + length(offset), PIECE):
                    data = os.pread(source, min(PIECE, offset + length(offset) - at), at)
                    job.write(target, data, at)
        finally:
            os.close(source)
            os.close(target)
        copy.replace(job.target)
    else:
        job.target.unlink(missing_ok=True)
