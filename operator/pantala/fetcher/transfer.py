"""Which way each file comes: through the node's dfdaemon, or straight from the store."""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pantala.distribution.identity import PIECE_LENGTH
from pantala.errors import FetchFailure
from pantala.fetcher import resume
from pantala.fetcher.dfdaemon import Daemon
from pantala.fetcher.errors import FetchError
from pantala.fetcher.job import CHUNK, Fetched, Job
from pantala.fetcher.landing import Landing, WrongBytes
from pantala.fetcher.links import Links
from pantala.fetcher.listing import RemoteFile
from pantala.fetcher.marker import boot_id
from pantala.fetcher.origin import Origin
from pantala.fetcher.peers import Peers, Terms
from pantala.fetcher.proxied import Proxied, Proxy
from pantala.fetcher.ranges import knows_ranges
from pantala.fetcher.retry import Retry
from pantala.fetcher.source import PeerSource
from pantala.fetcher.stores import Store
from pantala.fetcher.way import Trouble, Way, Word


@dataclass(frozen=True)
class Route:
    """The way to the node's dfdaemon, if it is to be asked."""

    target: Path | Proxy
    """The socket of dfdaemon, or its HTTP proxy."""
    terms: Terms
    links: Links | None = None
    """Where dfdaemon may link files to; None has it send their content."""


class WrongPeers(FetchError):  # noqa: N818 - its base is called so
    """The peers gave other bytes than were promised; they are gone, and the store may be asked."""


class Transfer:
    """Brings the files of one listing to one folder."""

    def __init__(
        self,
        store: Store,
        retry: Retry,
        on_bytes: Callable[[str, int], None],
        on_file: Callable[[], None],
        route: Route | None = None,
        on_wait: Callable[[str], None] = lambda _subject: None,
    ) -> None:
        """Prepare.

        Args:
            store: where to read.
            retry: how long to try.
            on_bytes: called with a source of `progress.SOURCES`, or `direct`, and the number of bytes that came from it.
            on_file: called for each complete file.
            route: how the peers are asked; None reads the store alone.
            on_wait: called with a file that another fetcher of the node is bringing.
        """
        self._store = store
        self._retry = retry
        self._on_bytes = on_bytes
        self._on_file = on_file
        self._route = route
        self._on_wait = on_wait
        self._distrusted: set[str] = set()
        self._journal: resume.Journal | None = None
        self.parents: Counter[str] = Counter()
        """Bytes by the host that gave them."""
        self.trouble: Trouble | None = None
        """Why the store was read though the peers were to be asked."""

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

        Args:
            jobs: what `prepare` gave.

        Raises:
            WrongPeers: after `prepare` it can be run once more, and reads what was wrong from the store.
            FetchError: with the file that could not be fetched; what is on disk stays for the next run.
        """
        failure: FetchError | None = None
        assert self._journal is not None
        try:
            shared = await self._shared(jobs)
            async with asyncio.TaskGroup() as group:
                landing = Landing(self._store, self._retry, self._journal, self._on_bytes, self._on_file, group)
                await self._bring(jobs, shared, landing)
        except* FetchError as failed:
            # Not raised here: Python before 3.11.4 (gh-103590; Debian 12 has 3.11.2) wraps what an except* raises.
            failure = _first(failed)
        finally:
            self._journal.close()
        if isinstance(failure, WrongBytes):
            self._distrust({failure.path} - self._distrusted, failure)
        if failure is not None:
            raise failure
        return [job.result for job in jobs if job.result is not None]

    async def refuse(self, jobs: list[Job], error: FetchError) -> None:
        """Throw away what the peers gave, because the model as a whole is not what was promised.

        Raises:
            WrongPeers: as `run`; if nothing came from the peers it does nothing.
        """
        wrong = [job for job in jobs if job.disown is not None]
        for job in wrong:
            await Landing.refuse(job)
        self._distrust({job.file.path for job in wrong}, error)

    def _distrust(self, paths: set[str], error: FetchError) -> None:
        if not paths or self._route is None or not self._route.terms.to_origin:
            return
        self._distrusted |= paths
        self.trouble = Trouble(Word.FAILED, "the peers gave wrong bytes, which were thrown away")
        raise WrongPeers(error.failure, error.message) from None

    async def _bring(self, jobs: list[Job], shared: list[Job], landing: Landing) -> None:
        """The peers and the store at once; then the store for what the peers have left."""
        origin = Origin(landing)
        peers: Peers | None = None
        names = {job.name for job in shared}
        try:
            async with asyncio.TaskGroup() as group:
                if self._route and shared:
                    peers = Peers(self._way(self._route), self._route.terms, landing, self._route.links)
                    group.create_task(peers.run(shared))
                group.create_task(origin.run([job for job in jobs if job.name not in names]))
            if left := [job for job in shared if len(job.done) < job.chunks]:
                await origin.run(left)
        finally:
            landing.stop.set()
            origin.close()
            if peers is not None:
                peers.close()
                self.parents.update(peers.parents)
                self.trouble = self.trouble or peers.trouble

    def _way(self, route: Route) -> Way:
        source = self._store.peer_source
        assert isinstance(source, PeerSource)
        if isinstance(route.target, Proxy):
            return Proxied(self._store, source, route.target)
        return Daemon(source, route.target, self._store.subject, self._on_wait, only_peers=not route.terms.to_origin)

    async def _shared(self, jobs: list[Job]) -> list[Job]:
        """The files that the peers are asked for, and why others are not.

        Small ones cost more to schedule than to read, so dfdaemon itself would read them from the origin. Where the
        origin may not be read they go through the peers too; an empty one has nothing to read.
        """
        if self._route is None:
            return []
        least = PIECE_LENGTH if self._route.terms.to_origin else 0
        wanted = [job for job in jobs if job.file.size > least and len(job.done) < job.chunks]
        shared = [job for job in wanted if job.file.path not in self._distrusted]
        reason = await self._unsupported(shared)
        if reason:
            shared = []
        elif odd := [job for job in shared if not _has_plain_name(job.file) or not job.file.etag]:
            name = self._store.subject(odd[0].file.key)
            reason = f"{name} has a name that dfdaemon would read as another one, or no etag"
            shared = [job for job in shared if job not in odd]
        if reason:
            self.trouble = Trouble(Word.UNSUPPORTED, reason)
        if reason and not self._route.terms.to_origin:
            raise FetchError(FetchFailure.PEERS_UNSUPPORTED, reason)
        return shared

    async def _unsupported(self, jobs: list[Job]) -> str:
        if not jobs:
            return ""
        if isinstance(self._store.peer_source, str):
            return self._store.peer_source
        if not self._store.lists and not await knows_ranges(self._store, self._retry, jobs[0].file):
            # dfdaemon takes the first bytes of whatever comes for those of the piece (backend/http.rs: no look at the status)
            return "the server answers a range with the whole file, which dfdaemon would take for the range"
        return ""


def _has_plain_name(file: RemoteFile) -> bool:
    """Whether a URL keeps the name as it is: `.` and `..` are taken out of a path."""
    return not {".", ".."} & set(file.key.split("/"))


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
