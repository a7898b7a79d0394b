"""What happens to a chunk once it is on disk, whichever way it came: counted, hashed in order, and the file finished.

sha256 needs the bytes in order, so they are read back from the page cache when their turn comes. Reading and hashing cost
two thirds of what all the rest does, so it is done only where somebody promised a digest.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from threading import Event

from pantala.errors import FetchFailure
from pantala.fetcher.errors import FetchError, changed, from_os
from pantala.fetcher.job import Fetched, Job
from pantala.fetcher.listing import stat
from pantala.fetcher.resume import Journal
from pantala.fetcher.retry import Retry
from pantala.fetcher.stores import Store

INLINE = 256 * 1024
"""Bytes up to which going to another thread costs more than reading and writing here."""


class Stopped(Exception):  # noqa: N818 - the one who hears it has asked for it
    """The run has ended for another reason."""


@dataclass
class Landing:
    """Shared by all ways of one run; methods belong to the event loop unless they say otherwise."""

    store: Store
    retry: Retry
    journal: Journal
    """Gets a line for each chunk that is written."""
    on_bytes: Callable[[str, int], None]
    """Called with a source of `progress.SOURCES`, or DIRECT."""
    on_file: Callable[[], None]
    group: asyncio.TaskGroup
    stop: Event = field(default_factory=Event)
    """Ends every thread at its next piece."""
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)

    async def begin(self, job: Job) -> None:
        """Make the file, count what is there and hash it; the second call does nothing."""
        if job.begun:
            return
        job.begun = True
        if job.done or job.chunks == 0:
            with job.opened():
                self.on_bytes("cache", job.cached)
            await self.advance(job)

    def tell(self, callback: Callable[..., None], *args: object) -> None:
        """Call something in the event loop; callable from any thread."""
        with suppress(RuntimeError):  # the loop may be gone when the process is about to end
            self.loop.call_soon_threadsafe(callback, *args)

    def came(self, source: str, number: int) -> None:
        """Count bytes that are on disk; what a stopped run gets beyond its end is for the next one."""
        if not self.stop.is_set():
            self.retry.succeeded()
            self.on_bytes(source, number)

    def arrived(self, job: Job, index: int) -> None:
        """Note a chunk that is on disk and in the journal."""
        if self.stop.is_set():
            return
        job.done.add(index)
        if not job.hashing:
            self.group.create_task(self.advance(job))

    async def advance(self, job: Job) -> None:
        """Hash what has become next, and finish a file that is complete."""
        if job.hashing:
            return
        if job.wants_hash:
            await _hash(job)
        complete = job.hashed == job.chunks if job.wants_hash else len(job.done) == job.chunks
        if complete and not job.finishing:
            job.finishing = True
            await self._finish(job)

    async def _finish(self, job: Job) -> None:
        file = job.file
        actual = job.digest.hexdigest() if job.wants_hash else None
        subject = self.store.subject(file.key)
        if job.disown is not None or not (self.store.trusts_if_match and file.if_match):
            after = await stat(self.store, file.key, file.path, self.retry)
            if after.version != file.version:
                await self.refuse(job)
                raise changed(subject)
        if file.sha256 and actual != file.sha256:
            await self.refuse(job)
            message = (
                f"{subject}: the index promises sha256:{file.sha256} but the bytes have sha256:{actual}; upload again"
            )
            raise WrongBytes(FetchFailure.DIGEST_MISMATCH, message, file.path)
        job.result = Fetched(file, job.target, actual)
        if job.before is None or job.before.result is None:
            self.on_file()

    @staticmethod
    async def refuse(job: Job) -> None:
        """Throw wrong bytes away, here and wherever they would be served from."""
        job.target.unlink(missing_ok=True)  # so the journal's word about it is void
        if job.disown is not None:
            await job.disown()


class WrongBytes(FetchError):  # noqa: N818 - its base is called so
    """The bytes of one file are not those that were promised."""

    def __init__(self, failure: FetchFailure, message: str, path: str) -> None:
        super().__init__(failure, message)
        self.path = path
        """Of the file, in the listing."""


async def _hash(job: Job) -> None:
    job.hashing = True
    try:
        while job.hashed in job.done:
            if job.span(job.hashed)[1] <= INLINE:
                job.hash_from_disk(job.hashed)
            else:
                await asyncio.to_thread(job.hash_from_disk, job.hashed)
            job.hashed += 1
    except OSError as error:
        raise from_os(error, str(job.target)) from None
    job.hashing = False
