"""The way straight from the store: parallel ranges, bounded memory.

Workers take ranges in order from one stream over all files, so a big file and a thousand small ones use the same number
of requests, and `WORKERS` buffers are in memory (see `pump`).
"""

import asyncio
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from pantala.fetcher.errors import FetchError, from_os
from pantala.fetcher.job import Job
from pantala.fetcher.landing import INLINE, Landing
from pantala.fetcher.progress import DIRECT
from pantala.fetcher.pump import Pump, ReadFailed
from pantala.fetcher.ranges import explain, knows_ranges, read_range, stream

WORKERS = 4
"""Range requests at a time, as many as rclone's: more gain little, and cost a store that handles whole objects a lot."""
_LONGEST = 16
"""Chunks of one request: so few that all workers end at about the same time, so many that requests cost nothing."""
_LONGEST_HASHED = 4
"""The same for what is hashed: at the end at most `WORKERS` times as many wait for their turn."""


class Origin:
    """Reads what is missing of files."""

    def __init__(self, landing: Landing) -> None:
        self._landing = landing
        self._pump = Pump(landing.store, landing.journal, landing.stop)
        self._threads = ThreadPoolExecutor(WORKERS, "range")

    def close(self) -> None:
        """Let go; a thread that waits for a byte does so for 30 s at most."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def run(self, jobs: Sequence[Job]) -> None:
        """Bring the files.

        Raises:
            FetchError: with the file that could not be fetched; what is on disk stays for the next run.
        """
        ranges = self._ranges(jobs, ranged=await self._ranged(jobs))
        async with asyncio.TaskGroup() as group:
            for _ in range(WORKERS):
                group.create_task(self._work(ranges))

    async def _ranged(self, jobs: Sequence[Job]) -> bool:
        big = next((job for job in jobs if job.chunks > max(1, len(job.done))), None)
        return big is None or await knows_ranges(self._landing.store, self._landing.retry, big.file)

    @staticmethod
    def _ranges(jobs: Sequence[Job], *, ranged: bool) -> Iterator[tuple[Job, int, int]]:
        for job in jobs:
            job.streamed = not ranged and job.chunks > max(1, len(job.done))
            if job.done or job.chunks == 0 or job.streamed:
                yield job, 0, 0  # hash what is there, make the empty file, or take it in one go
            if not job.streamed:
                longest = min(-(-job.chunks // WORKERS), _LONGEST_HASHED if job.wants_hash else _LONGEST)
                yield from ((job, first, behind) for first, behind in job.runs(longest))

    async def _work(self, ranges: Iterator[tuple[Job, int, int]]) -> None:
        try:
            for job, first, behind in ranges:
                try:
                    await self._bring(job, first, behind)
                except OSError as error:
                    raise from_os(error, str(job.target)) from None
        except BaseException:
            self._landing.stop.set()
            raise

    async def _bring(self, job: Job, first: int, behind: int) -> None:
        landing = self._landing
        if job.streamed:
            job.done.clear()  # it comes from the beginning in any case
            await stream(landing.store, landing.retry, job.file, lambda index, data: self._keep(job, index, data))
        elif first == behind:
            await landing.begin(job)
        elif job.file.size <= INLINE:
            await self._keep(job, 0, await read_range(landing.store, landing.retry, job.file, 0, job.file.size))
        else:
            subject = landing.store.subject(job.file.key)
            while first < behind:
                first = await landing.retry.call(subject, partial(self._attempt, job, first, behind))

    async def _attempt(self, job: Job, first: int, behind: int) -> int:
        """Give the first chunk that is still missing; an interruption after some gain is no failure."""
        landing = self._landing

        def tell(index: int) -> None:
            landing.tell(landing.came, DIRECT, job.span(index)[1])
            landing.tell(landing.arrived, job, index)

        try:
            await landing.loop.run_in_executor(self._threads, self._pump.bring, job, first, behind, tell)
        except ReadFailed as failed:
            verdict = await explain(failed.cause, landing.store, landing.retry, job.file)
            have = next((index for index in range(first, behind) if index not in job.done), first)
            if isinstance(verdict, FetchError) or have == first:
                raise verdict from None
            landing.retry.again(landing.store.subject(job.file.key), str(verdict), 0)
            return have
        return behind

    async def _keep(self, job: Job, index: int, data: bytes) -> None:
        self._landing.came(DIRECT, len(data))
        if len(data) <= INLINE:
            self._write(job, index, data)
        else:
            await asyncio.to_thread(self._write, job, index, data)
        job.done.add(index)
        await self._landing.advance(job)

    def _write(self, job: Job, index: int, data: bytes) -> None:
        with job.opened() as descriptor:
            job.write(descriptor, data, job.span(index)[0])
        self._landing.journal.add(job.name, index)
