"""Bytes from the store to the disk: parallel ranges, bounded memory, hashed on the way.

Workers take ranges in order from one stream over all files, so a big file and a thousand small ones use the same number
of requests, and `WORKERS` buffers are in memory (see `pump`). sha256 needs the bytes in order, so they are read back from
the page cache when their turn comes. Both together cost two thirds of what all the rest does, so it is done only where
somebody promised a digest.
"""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path

from pantala.errors import FetchFailure
from pantala.fetcher import resume
from pantala.fetcher.errors import FetchError, changed, from_os
from pantala.fetcher.job import CHUNK, Fetched, Job
from pantala.fetcher.listing import RemoteFile, stat
from pantala.fetcher.marker import boot_id
from pantala.fetcher.pump import Pump, ReadFailed
from pantala.fetcher.ranges import explain, knows_ranges, read_range, stream
from pantala.fetcher.retry import Retry
from pantala.fetcher.stores import Store

WORKERS = 4
"""Range requests at a time, as many as rclone's: more gain little, and cost a store that handles whole objects a lot."""
_INLINE = 256 * 1024
"""Bytes up to which going to another thread costs more than reading and writing here."""
_LONGEST = 16
"""Chunks of one request: so few that all workers end at about the same time, so many that requests cost nothing."""
_LONGEST_HASHED = 4
"""The same for what is hashed: at the end at most `WORKERS` times as many wait for their turn."""


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
        self._pump: Pump | None = None
        self._group = asyncio.TaskGroup()
        self._threads = ThreadPoolExecutor(WORKERS, "range")

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
        self._pump = Pump(self._store, resume.Journal(journal, boot, CHUNK, {job.name: job.done for job in jobs}))
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
        assert self._pump is not None
        try:
            ranges = self._ranges(jobs, ranged=await self._ranged(jobs))
            async with self._group:
                for _ in range(WORKERS):
                    self._group.create_task(self._work(ranges))
        except* FetchError as failed:
            # Not raised here: Python before 3.11.4 (gh-103590; Debian 12 has 3.11.2) wraps what an except* raises.
            failure = _first(failed)
        finally:
            self._pump.stop.set()
            self._threads.shutdown(wait=False, cancel_futures=True)  # who waits for a byte does so for 30 s at most
            self._pump.journal.close()
        if failure is not None:
            raise failure
        return [job.result for job in jobs if job.result is not None]

    async def _ranged(self, jobs: list[Job]) -> bool:
        big = next((job for job in jobs if job.chunks > max(1, len(job.done))), None)
        return big is None or await knows_ranges(self._store, self._retry, big.file)

    def _ranges(self, jobs: list[Job], *, ranged: bool) -> Iterator[tuple[Job, int, int]]:
        for job in jobs:
            job.streamed = not ranged and job.chunks > max(1, len(job.done))
            if job.done or job.chunks == 0 or job.streamed:
                yield job, 0, 0  # hash what is there, make the empty file, or take it in one go
            if not job.streamed:
                longest = min(-(-job.chunks // WORKERS), _LONGEST_HASHED if job.wants_hash else _LONGEST)
                yield from ((job, first, behind) for first, behind in job.runs(longest))

    async def _work(self, ranges: Iterator[tuple[Job, int, int]]) -> None:
        assert self._pump is not None
        try:
            for job, first, behind in ranges:
                try:
                    await self._bring(job, first, behind)
                except OSError as error:
                    raise from_os(error, str(job.target)) from None
        except BaseException:
            self._pump.stop.set()
            raise

    async def _bring(self, job: Job, first: int, behind: int) -> None:
        if job.streamed:
            job.done.clear()  # it comes from the beginning in any case
            await stream(self._store, self._retry, job.file, lambda index, data: self._keep(job, index, data))
        elif first == behind:
            with job.opened():
                self._on_bytes("cache", job.present)
            await self._advance(job)
        elif job.file.size <= _INLINE:
            await self._keep(job, 0, await read_range(self._store, self._retry, job.file, 0, job.file.size))
        else:
            subject = self._store.subject(job.file.key)
            while first < behind:
                first = await self._retry.call(subject, partial(self._attempt, job, first, behind))

    async def _attempt(self, job: Job, first: int, behind: int) -> int:
        """Give the first chunk that is still missing; an interruption after some gain is no failure."""
        assert self._pump is not None
        loop = asyncio.get_running_loop()

        def tell(index: int) -> None:
            with suppress(RuntimeError):  # the loop may be gone when the process is about to end
                loop.call_soon_threadsafe(self._arrived, job, index)

        try:
            await loop.run_in_executor(self._threads, self._pump.bring, job, first, behind, tell)
        except ReadFailed as failed:
            verdict = await explain(failed.cause, self._store, self._retry, job.file)
            have = next((index for index in range(first, behind) if index not in job.done), first)
            if isinstance(verdict, FetchError) or have == first:
                raise verdict from None
            self._retry.again(self._store.subject(job.file.key), str(verdict), 0)
            return have
        return behind

    def _arrived(self, job: Job, index: int) -> None:
        """Note a chunk that is on disk; what a stopped run gets beyond its end is for the next one."""
        if self._pump is None or self._pump.stop.is_set():
            return
        self._retry.succeeded()
        self._on_bytes("origin", job.span(index)[1])
        job.done.add(index)
        if not job.hashing:
            self._group.create_task(self._advance(job))

    async def _keep(self, job: Job, index: int, data: bytes) -> None:
        self._on_bytes("origin", len(data))
        if len(data) <= _INLINE:
            self._write(job, index, data)
        else:
            await asyncio.to_thread(self._write, job, index, data)
        job.done.add(index)
        await self._advance(job)

    def _write(self, job: Job, index: int, data: bytes) -> None:
        assert self._pump is not None
        with job.opened() as descriptor:
            job.write(descriptor, data, job.span(index)[0])
        self._pump.journal.add(job.name, index)

    async def _advance(self, job: Job) -> None:
        """Hash what has become next, and finish a file that is complete."""
        if job.hashing:
            return
        if job.wants_hash:
            await self._hash(job)
        complete = job.hashed == job.chunks if job.wants_hash else len(job.done) == job.chunks
        if complete and not job.finishing:
            job.finishing = True
            await self._finish(job)

    @staticmethod
    async def _hash(job: Job) -> None:
        job.hashing = True
        try:
            while job.hashed in job.done:
                if job.span(job.hashed)[1] <= _INLINE:
                    job.hash_from_disk(job.hashed)
                else:
                    await asyncio.to_thread(job.hash_from_disk, job.hashed)
                job.hashed += 1
        except OSError as error:
            raise from_os(error, str(job.target)) from None
        job.hashing = False

    async def _finish(self, job: Job) -> None:
        file = job.file
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
