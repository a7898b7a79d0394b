"""Bytes from the store to the disk: parallel ranges, bounded memory, hashed on the way.

Workers take chunks in order from one stream over all files, so a big file and a thousand small ones use the same number
of requests, and at most `workers` chunks are in memory. sha256 needs the bytes in order: a chunk that arrives when it is
next is hashed from memory, one that came early is read back from the page cache when its turn comes. Reading, writing
and hashing release the GIL; only their bookkeeping runs in the event loop.
"""

import asyncio
import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

from pantala.errors import FetchFailure
from pantala.fetcher import resume
from pantala.fetcher.errors import FetchError, ShortRead, changed, classify, from_os
from pantala.fetcher.listing import RemoteFile, stat
from pantala.fetcher.retry import Retry
from pantala.fetcher.stores import Store

CHUNK = 8 * 1024 * 1024
"""Bytes of one range request."""
WORKERS = 6
"""Range requests at a time; times CHUNK is what is in memory, twice while opendal hands it over."""


@dataclass(frozen=True)
class Fetched:
    """A file that is complete on disk."""

    file: RemoteFile
    path: Path
    sha256: str
    """Of the bytes as they were in the store."""


@dataclass
class _Job:
    file: RemoteFile
    target: Path
    sidecar: Path
    done: set[int]
    descriptor: int = -1
    log: int = -1
    hashed: int = 0
    hashing: bool = False
    digest: "hashlib._Hash" = field(default_factory=hashlib.sha256)
    result: Fetched | None = None
    lock: Lock = field(default_factory=Lock)

    @property
    def chunks(self) -> int:
        return -(-self.file.size // CHUNK)

    def span(self, index: int) -> tuple[int, int]:
        offset = index * CHUNK
        return offset, min(CHUNK, self.file.size - offset)

    def open(self) -> None:
        with self.lock:
            if self.descriptor < 0:
                self._open()

    def _open(self) -> None:
        self.target.parent.mkdir(parents=True, exist_ok=True)
        fresh = not self.done
        self.descriptor = os.open(self.target, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
        os.ftruncate(self.descriptor, self.file.size)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | (os.O_TRUNC if fresh else 0)
        self.log = os.open(self.sidecar, flags, 0o644)
        # the newline in front ends a line that a kill may have torn
        _write_all(self.log, f"{resume.header(self.file, CHUNK)}\n" if fresh else "\n")

    def close(self) -> None:
        for descriptor in (self.descriptor, self.log):
            if descriptor >= 0:
                os.close(descriptor)
        self.descriptor = self.log = -1

    def write(self, index: int, data: bytes) -> None:
        self.open()
        view, offset = memoryview(data), index * CHUNK
        while view:
            written = os.pwrite(self.descriptor, view, offset)
            view, offset = view[written:], offset + written
        _write_all(self.log, resume.line(index, data))

    def hash(self, index: int, data: bytes | None) -> None:
        if data is None:
            offset, length = self.span(index)
            data = os.pread(self.descriptor, length, offset)
        self.digest.update(data)


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

    def prepare(self, files: tuple[RemoteFile, ...], targets: dict[str, Path], state: Path) -> "list[_Job]":
        """Look at what is on disk already (bytes are checked, so this reads what it finds)."""
        state.mkdir(parents=True, exist_ok=True)
        jobs = []
        for file in files:
            sidecar = state / (hashlib.sha256(file.path.encode()).hexdigest()[:32] + ".part")
            target = targets[file.path]
            done = set(resume.finished_chunks(target, sidecar, file, CHUNK))
            jobs.append(_Job(file, target, sidecar, done))
        return jobs

    @staticmethod
    def missing(jobs: "list[_Job]") -> int:
        """Bytes that are still to be read."""
        return sum(job.file.size - sum(job.span(index)[1] for index in job.done) for job in jobs)

    async def run(self, jobs: "list[_Job]") -> list[Fetched]:
        """Read what is missing, hash everything.

        Raises:
            FetchError: with the file that could not be fetched; what is on disk stays for the next run.
        """
        chunks = self._chunks(jobs)
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(WORKERS):
                    group.create_task(self._work(chunks))
        except* FetchError as failed:
            raise failed.exceptions[0] from None
        finally:
            for job in jobs:
                job.close()
        return [job.result for job in jobs if job.result is not None]

    def _chunks(self, jobs: "list[_Job]") -> "Iterator[tuple[_Job, int | None]]":
        for job in jobs:
            if job.done or job.chunks == 0:
                yield job, None  # hash what is there, or make the empty file
            for index in range(job.chunks):
                if index not in job.done:
                    yield job, index

    async def _work(self, chunks: "Iterator[tuple[_Job, int | None]]") -> None:
        for job, index in chunks:
            try:
                await self._one(job, index)
            except OSError as error:
                raise from_os(error, str(job.target)) from None

    async def _one(self, job: _Job, index: int | None) -> None:
        data = None
        if index is None:
            await asyncio.to_thread(job.open)
            self._on_bytes("cache", sum(job.span(done)[1] for done in job.done))
        elif index in job.done:
            return  # came with a whole file, see _read_whole
        else:
            data = await self._read(job, index)
            if data is None:
                return
            await asyncio.to_thread(job.write, index, data)
            job.done.add(index)
        await self._hash(job, index, data)

    async def _hash(self, job: _Job, index: int | None, data: bytes | None) -> None:
        if job.hashing:
            return
        job.hashing = True
        while job.hashed in job.done:
            await asyncio.to_thread(job.hash, job.hashed, data if job.hashed == index else None)
            job.hashed += 1
        job.hashing = False
        if job.hashed == job.chunks and job.result is None:
            await self._finish(job)

    async def _finish(self, job: _Job) -> None:
        file = job.file
        actual = job.digest.hexdigest()
        job.result = Fetched(file, job.target, actual)
        job.close()
        subject = self._store.subject(file.key)
        if not (self._store.trusts_if_match and file.if_match):
            after = await stat(self._store, file.key, file.path, self._retry)
            if (after.size, after.if_match) != (file.size, file.if_match) or (
                not file.sha256 and after.etag != file.etag
            ):
                job.sidecar.unlink(missing_ok=True)
                raise changed(subject)
        if file.sha256 and actual != file.sha256:
            job.sidecar.unlink(missing_ok=True)  # none of it is worth keeping
            message = (
                f"{subject}: the index promises sha256:{file.sha256} but the bytes have sha256:{actual}; upload again"
            )
            raise FetchError(FetchFailure.DIGEST_MISMATCH, message)
        self._on_file()

    async def _read(self, job: _Job, index: int) -> bytes | None:
        offset, length = job.span(index)
        file, subject = job.file, self._store.subject(job.file.key)
        short = 0

        async def attempt() -> bytes:
            nonlocal short
            try:
                data = await self._store.operator.read(file.key, offset=offset, size=length, if_match=file.if_match)
            except Exception as error:
                verdict = classify(error, subject)
                if isinstance(verdict, FetchError) and verdict.failure is FetchFailure.NOT_FOUND:
                    raise changed(subject) from None  # it was there when it was listed
                if isinstance(verdict, ShortRead):
                    short += 1
                    await self._explain_short(file, subject)
                raise verdict from None
            if len(data) != length:
                raise ShortRead("the answer was longer or shorter than asked for")
            return data

        data: bytes = await self._retry.call(subject, attempt)
        self._on_bytes("origin", len(data))
        return data

    async def _explain_short(self, file: RemoteFile, subject: str) -> None:
        """Tell an object that shrank from a connection that broke."""
        now = await stat(self._store, file.key, file.path, self._retry)
        if now.size != file.size or now.if_match != file.if_match:
            raise changed(subject)


def _write_all(descriptor: int, text: str) -> None:
    os.write(descriptor, text.encode())
