"""Bytes from the store to the disk: parallel ranges, bounded memory, hashed on the way.

Workers take chunks in order from one stream over all files, so a big file and a thousand small ones use the same number
of requests, and at most `WORKERS` chunks are in memory. sha256 needs the bytes in order: a chunk that arrives when it is
next is hashed from memory, one that came early is read back from the page cache when its turn comes. Hashing costs as
much as all the rest together, so it is done only where somebody promised a digest.
"""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

from pantala.errors import FetchFailure
from pantala.fetcher import resume
from pantala.fetcher.errors import FetchError, changed, from_os
from pantala.fetcher.job import CHUNK, Fetched, Job
from pantala.fetcher.listing import RemoteFile, stat
from pantala.fetcher.marker import boot_id
from pantala.fetcher.ranges import knows_ranges, read_range, stream
from pantala.fetcher.retry import Retry
from pantala.fetcher.stores import Store

WORKERS = 4
"""Range requests at a time; times CHUNK is what is in memory, twice while opendal hands it over."""
_INLINE = 256 * 1024
"""Bytes up to which going to another thread costs more than writing here."""


class Transfer:
    """Brings the files of one listing to one folder."""

    def __init__(
        self, store: Store, retry: Retry, on_bytes: Callable[[str, int], None], on_file: Callable[[], None]
    ) -> None:
        """Prepare.

        Args:
            store: where to read.
            retry: how long to try.
            on_bytes: called with the source (`origin` or `cache`) and the number of bytes that came from it.
            on_file: called for each complete file.
        """
        self._store = store
        self._retry = retry
        self._on_bytes = on_bytes
        self._on_file = on_file
        self._journal: resume.Journal | None = None

    def prepare(
        self, files: tuple[RemoteFile, ...], targets: dict[str, Path], journal: Path, *, hashed: bool
    ) -> list[Job]:
        """Look at what is on disk already.

        Args:
            files: what to bring.
            targets: where each path goes.
            journal: file that survives this process.
            hashed: whether sha256 of every file is wanted; else only of those that have a promised one.
        """
        boot = boot_id()
        known = resume.read(journal, boot, CHUNK)
        jobs = []
        for file in files:
            name, target = resume.identity(file), targets[file.path]
            done = known.get(name, set()) if _has_size(target, file.size) else set()
            job = Job(file, name, target, wants_hash=hashed or file.sha256 is not None)
            job.done = {index for index in done if 0 <= index < job.chunks}
            jobs.append(job)
        self._journal = resume.Journal(journal, boot, CHUNK, {job.name: job.done for job in jobs})
        return jobs

    @staticmethod
    def missing(jobs: list[Job]) -> int:
        """Bytes that are still to be read."""
        return sum(job.file.size - job.present for job in jobs)

    async def run(self, jobs: list[Job]) -> list[Fetched]:
        """Read what is missing.

        Raises:
            FetchError: with the file that could not be fetched; what is on disk stays for the next run.
        """
        failure: FetchError | None = None
        try:
            chunks = self._chunks(jobs, ranged=await self._ranged(jobs))
            async with asyncio.TaskGroup() as group:
                for _ in range(WORKERS):
                    group.create_task(self._work(chunks))
        except* FetchError as failed:
            # Not raised here: Python before 3.11.4 (gh-103590; Debian 12 has 3.11.2) wraps what an except* raises.
            failure = _first(failed)
        finally:
            for job in jobs:
                job.close()
            if self._journal:
                self._journal.close()
        if failure is not None:
            raise failure
        return [job.result for job in jobs if job.result is not None]

    async def _ranged(self, jobs: list[Job]) -> bool:
        big = next((job for job in jobs if job.chunks > max(1, len(job.done))), None)
        return big is None or await knows_ranges(self._store, self._retry, big.file)

    def _chunks(self, jobs: list[Job], *, ranged: bool) -> Iterator[tuple[Job, int | None]]:
        for job in jobs:
            job.streamed = not ranged and job.chunks > max(1, len(job.done))
            if job.done or job.chunks == 0 or job.streamed:
                yield job, None  # hash what is there, make the empty file, or take it in one go
            if not job.streamed:
                yield from ((job, index) for index in range(job.chunks) if index not in job.done)

    async def _work(self, chunks: Iterator[tuple[Job, int | None]]) -> None:
        for job, index in chunks:
            try:
                if job.streamed:
                    await self._stream(job)
                elif index is None:
                    job.open()
                    self._on_bytes("cache", job.present)
                    await self._advance(job)
                else:
                    offset, length = job.span(index)
                    data = await read_range(self._store, self._retry, job.file, offset, length)
                    await self._keep(job, index, data)
            except OSError as error:
                raise from_os(error, str(job.target)) from None

    async def _stream(self, job: Job) -> None:
        job.done.clear()  # it comes from the beginning in any case
        await stream(self._store, self._retry, job.file, lambda index, data: self._keep(job, index, data))

    async def _keep(self, job: Job, index: int, data: bytes) -> None:
        self._on_bytes("origin", len(data))
        in_turn = job.wants_hash and index == job.hashed and not job.hashing
        job.hashing |= in_turn
        if len(data) <= _INLINE:
            self._write(job, index, data, in_turn)
        else:
            await asyncio.to_thread(self._write, job, index, data, in_turn)
        if in_turn:
            job.hashing = False
            job.hashed += 1
        job.done.add(index)
        await self._advance(job)

    def _write(self, job: Job, index: int, data: bytes, in_turn: bool) -> None:  # noqa: FBT001 - for to_thread
        job.write(index, data)
        assert self._journal is not None
        self._journal.add(job.name, index)
        if in_turn:
            job.digest.update(data)

    async def _advance(self, job: Job) -> None:
        """Hash what has become next, and finish a file that is complete."""
        if job.hashing:
            return
        if job.wants_hash:
            job.hashing = True
            while job.hashed in job.done:
                await asyncio.to_thread(job.hash_from_disk, job.hashed)
                job.hashed += 1
            job.hashing = False
        complete = job.hashed == job.chunks if job.wants_hash else len(job.done) == job.chunks
        if complete and not job.finishing:
            job.finishing = True
            await self._finish(job)

    async def _finish(self, job: Job) -> None:
        file = job.file
        job.close()
        actual = job.digest.hexdigest() if job.wants_hash else None
        subject = self._store.subject(file.key)
        if not (self._store.trusts_if_match and file.if_match):
            after = await stat(self._store, file.key, file.path, self._retry)
            if after.version != file.version:
                job.target.unlink(missing_ok=True)
                raise changed(subject)
        if file.sha256 and actual != file.sha256:
            job.target.unlink(missing_ok=True)  # so the journal's word about it is void
            message = (
                f"{subject}: the index promises sha256:{file.sha256} but the bytes have sha256:{actual}; upload again"
            )
            raise FetchError(FetchFailure.DIGEST_MISMATCH, message)
        job.result = Fetched(file, job.target, actual)
        self._on_file()


def _has_size(path: Path, size: int) -> bool:
    try:
        status = path.lstat()
    except OSError:
        return False
    return status.st_size == size and not path.is_symlink()


def _first(group: BaseExceptionGroup[FetchError]) -> FetchError:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, FetchError)
    return error
