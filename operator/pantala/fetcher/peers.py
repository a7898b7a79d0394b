"""The way through the node's dfdaemon: pieces from the node itself, from other nodes, or from the origin, and which.

A thread reads a piece, writes it, and only then asks for the next one; so what is in memory is one message for each
stream, and a slow disk slows dfdaemon down.
"""

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from random import uniform
from threading import Lock
from time import monotonic

from pantala.errors import FetchFailure
from pantala.fetcher.errors import FetchError, changed, from_os
from pantala.fetcher.job import Job
from pantala.fetcher.landing import Landing
from pantala.fetcher.links import Links, own
from pantala.fetcher.listing import stat
from pantala.fetcher.parts import Parts
from pantala.fetcher.way import Delivery, Piece, Trouble, Undelivered, Way, Word

STREAMS = 2
"""Files at a time. Four local files of 256 MiB took 2.5 s, 2.3 s and 2.3 s with one, two and three (two cores), and 1.7 s of
dfdaemon's processor in each case: the second stream fills the gaps in which a file is scheduled, a third gains nothing and
would only take from the other pods of the node (and 16 MiB of memory)."""
NO_SOCKET_SECONDS = 10.0
"""Patience where nobody listens, if that is less than `Terms.after`: time for a dfdaemon that restarts; a node without one
should not cost more."""
_FIRST, _LONGEST = 0.2, 5.0
_WATCH = 0.5
_NOT_LINKED = Trouble(Word.FAILED, "dfdaemon cannot link the file")


@dataclass(frozen=True)
class Terms:
    """When to give the peers up, and what then."""

    to_origin: bool
    """Whether what the peers do not deliver is read from the origin."""
    after: float
    """Seconds without a piece after which a request is given up."""
    patience: float
    """Seconds without a piece after which a file is given up where nobody else may deliver it."""


class Peers:
    """Brings files through one dfdaemon."""

    def __init__(self, way: Way, terms: Terms, landing: Landing, links: Links | None = None) -> None:
        self._way = way
        self._terms = terms
        self._landing = landing
        self._links = links
        self._threads = ThreadPoolExecutor(STREAMS, "peers")
        self._lock = Lock()
        self._deliveries: set[Delivery] = set()
        self.parents: Counter[str] = Counter()
        """Bytes by the host that gave them."""
        self.trouble: Trouble | None = None
        """Why something was not delivered: the first of it."""
        self._gave_up = False

    def close(self) -> None:
        """End what is on its way."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        with self._lock:
            for delivery in self._deliveries:
                delivery.cancel()

    async def run(self, jobs: Sequence[Job]) -> None:
        """Bring what can be brought; what is still missing afterwards is the origin's, if the terms allow that.

        Raises:
            FetchError: the disk does not take it, or the peers do not deliver and nobody else may.
        """
        queue = iter(jobs)
        async with asyncio.TaskGroup() as group:
            for _ in range(STREAMS):
                group.create_task(self._work(queue))

    async def _work(self, queue: Iterator[Job]) -> None:
        try:
            for job in queue:
                if not self._gave_up:
                    await self._bring(job)
        except BaseException:
            self._landing.stop.set()
            raise

    async def _bring(self, job: Job) -> None:
        job.disown = partial(self._disown, job)
        self._landing.group.create_task(self._landing.begin(job))  # which may hash for long
        async with self._way.turn(job.file, self._terms.after) as turn:
            parts = Parts(job, turn)
            if self._links and self._links.possible and not job.done:
                parts.linking = True
                try:
                    self._links.prepare(job)
                except OSError as error:
                    raise from_os(error, str(job.target)) from None
            await self._ask(parts)
            if parts.linking and parts.missing() is not None and not self._landing.stop.is_set():
                await self._own(parts)  # for the origin to complete

    async def _ask(self, parts: Parts) -> None:
        """Ask for what is missing until it is there, or the peers are given up."""
        job, landing, number = parts.job, self._landing, 0
        subject = landing.store.subject(job.file.key)
        while (span := parts.missing()) is not None and not (self._gave_up or landing.stop.is_set()):
            before = len(parts.pieces)
            trouble = await self._attempt(parts, span)
            if trouble is None:
                continue
            if trouble is _NOT_LINKED and self._links:
                self._links.possible = False
                await self._own(parts)
                continue
            if len(parts.pieces) > before:
                number = 0
            if trouble.suspect:
                await self._disown(job)
                if (await stat(landing.store, job.file.key, job.file.path, landing.retry)).version != job.file.version:
                    raise changed(subject)
            if self._is_over(trouble, monotonic() - parts.moved):
                self._give_up(trouble, subject)
                break
            delay = uniform(0.5, 1) * min(_LONGEST, _FIRST * 2**number)  # noqa: S311 - jitter
            number += 1
            landing.retry.again(subject, str(trouble), delay)
            await asyncio.sleep(delay)

    async def _own(self, parts: Parts) -> None:
        """Go on with a file of our own in place of a link."""
        job, landing = parts.job, self._landing
        parts.linking = False
        try:
            await asyncio.to_thread(own, job, parts.pieces, parts.length)
        except OSError as error:
            raise from_os(error, str(job.target)) from None
        for index in range(job.chunks):
            if parts.has(job.span(index)):
                landing.journal.add(job.name, index)
                landing.arrived(job, index)

    def _is_over(self, trouble: Trouble, quiet: float) -> bool:
        if trouble.final:
            return True
        if not self._terms.to_origin:
            return quiet >= self._terms.patience
        patience = self._terms.after
        if trouble.word is Word.NO_SOCKET:
            patience = min(patience, NO_SOCKET_SECONDS)
        return quiet >= patience

    def _give_up(self, trouble: Trouble, subject: str) -> None:
        self.trouble = self.trouble or trouble
        if not self._terms.to_origin:
            if trouble.verdict is not None:
                raise trouble.verdict
            message = f"{subject}: the peers did not deliver it. {trouble}; the origin may not be read (fallback: Fail)"
            raise FetchError(FetchFailure.PEERS_UNAVAILABLE, message)
        if not trouble.alone:
            self._gave_up = True  # the same would cost every file the same time

    async def _attempt(self, parts: Parts, span: tuple[int, int]) -> Trouble | None:
        """Ask once for a part; None if all of it came."""
        file = parts.job.file
        asked = None if parts.linking or span == (0, file.size) else span
        link = self._links.path(parts.job) if parts.linking and self._links else ""
        try:
            delivery = await self._way.ask(file, asked, link)
        except Undelivered as error:
            return error.trouble
        with self._lock:
            self._deliveries.add(delivery)
        begun = monotonic()
        future = self._landing.loop.run_in_executor(self._threads, self._receive, parts, span, delivery)
        try:
            while not (await asyncio.wait({future}, timeout=_WATCH))[0]:
                if parts.waiting and monotonic() - max(begun, parts.moved) >= self._terms.after:
                    delivery.cancel()
                    await asyncio.wait({future})
                    return Trouble(Word.STALLED, f"no piece came for {self._terms.after:g} s")
            return future.result()
        finally:
            with self._lock:
                self._deliveries.discard(delivery)

    def _receive(self, parts: Parts, span: tuple[int, int], delivery: Delivery) -> Trouble | None:
        """Read one request to its end; in a thread."""
        job, stop = parts.job, self._landing.stop
        try:
            with nullcontext() if parts.linking else job.opened() as descriptor:
                parts.waiting = True
                for piece in delivery.pieces():
                    parts.waiting = False
                    if stop.is_set():
                        return None
                    if wrong := _wrong(parts, piece, delivery):
                        return wrong
                    if piece.offset not in parts.pieces:  # after an error dfdaemon may send what it has sent before
                        if descriptor is not None:
                            job.write(descriptor, piece.content, piece.offset)
                        elif not parts.pieces and not Links.holds(job):
                            return _NOT_LINKED
                        self._note(parts, piece)
                    del piece
                    parts.waiting = True
        except Undelivered as error:
            trouble = error.trouble
            plain = trouble.word is Word.FAILED and trouble.verdict is None and not trouble.busy
            return _NOT_LINKED if parts.linking and delivery.size is None and plain else trouble
        except OSError as error:
            raise from_os(error, str(job.target)) from None
        finally:
            parts.waiting = False
            delivery.close()
        if not parts.has(span):
            return Trouble(Word.FAILED, "dfdaemon ended before the last piece")
        return self._take_link(parts) if parts.linking else None

    def _take_link(self, parts: Parts) -> Trouble | None:
        """A linked file is complete, which is noted as a whole: parts of it are of no use to the next run."""
        job, landing = parts.job, self._landing
        if not Links.holds(job):
            parts.pieces.clear()
            return _NOT_LINKED
        job.linked = True
        for index in range(job.chunks):
            landing.journal.add(job.name, index)
            landing.tell(landing.arrived, job, index)
        return None

    def _note(self, parts: Parts, piece: Piece) -> None:
        landing, job = self._landing, parts.job
        parts.moved = monotonic()
        if parts.turn:
            parts.turn.goes_on()
        if piece.offset not in parts.counted:
            parts.counted.add(piece.offset)
            landing.tell(self._count, piece.source, parts.length(piece.offset), piece.parent)
        index = parts.completes(piece.offset)
        if index is not None and not parts.linking:
            landing.journal.add(job.name, index)
            landing.tell(landing.arrived, job, index)

    def _count(self, source: str, number: int, parent: str) -> None:
        self._landing.came(source, number)
        if parent:
            self.parents[parent] += number

    async def _disown(self, job: Job) -> None:
        """Have the task deleted, so that nobody is given these bytes under this etag again."""
        await asyncio.to_thread(self._way.forget, job.file)


def _wrong(parts: Parts, piece: Piece, delivery: Delivery) -> Trouble | None:
    if delivery.size != parts.job.file.size:
        sentence = f"dfdaemon announces {delivery.size} bytes and the store has {parts.job.file.size}"
    elif (piece.length if parts.linking else len(piece.content)) != parts.length(piece.offset):
        sentence = "a piece has another place or length than was asked for"
    else:
        return None
    return Trouble(Word.FAILED, sentence, final=True, alone=True, suspect=True)
