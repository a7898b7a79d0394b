"""One fetch, from arguments to weights in place."""

import asyncio
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace

from pantala.errors import FetchFailure
from pantala.fetcher import marker as markers
from pantala.fetcher import nodecache, room, verify
from pantala.fetcher.errors import FetchError
from pantala.fetcher.job import Fetched, Job
from pantala.fetcher.layout import Arrangement, arrange
from pantala.fetcher.listing import Listing, list_model
from pantala.fetcher.options import Options, Summary
from pantala.fetcher.place import Workplace
from pantala.fetcher.progress import Progress
from pantala.fetcher.retry import Retry
from pantala.fetcher.secrets import Credentials
from pantala.fetcher.stores import Store, open_store
from pantala.fetcher.transfer import Transfer, WrongPeers
from pantala.storage.uri import check_digest

REPORT_SECONDS = 5.0
"""Between two progress lines."""
_LOCK_POLL = 0.5


@dataclass(frozen=True)
class _Run:
    """What all steps of one run share."""

    options: Options
    store: Store
    retry: Retry
    place: Workplace
    progress: Progress


async def fetch(options: Options, credentials: Credentials, environ: Mapping[str, str], progress: Progress) -> Summary:
    """Bring the weights.

    Args:
        options: what to bring where.
        credentials: for the store.
        environ: where a pod's own identity is announced.
        progress: counts and tells.

    Raises:
        FetchError: why not; what is on disk can be resumed.
    """
    if options.cache is None:
        return await _fetch(options, credentials, environ, progress)
    await asyncio.to_thread(nodecache.use, options.to)
    summary = await _fetch(options, credentials, environ, progress)
    await room.make(options, 0, progress)
    await asyncio.to_thread(nodecache.touch, options.to)
    return summary


async def _fetch(options: Options, credentials: Credentials, environ: Mapping[str, str], progress: Progress) -> Summary:
    store = _open(options, credentials, environ)
    retry = Retry(options.retry_seconds, progress.retried)
    request = options.request()
    key = hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()[:16]
    place = Workplace(options.to, key)
    await _take_lock(place, progress)
    present = await _present(place, progress)
    if present and options.digest is not None and present.digest == options.digest:
        return _unchanged(present, progress)  # content-addressed: the store need not be asked
    progress.phase("listing", uri=options.uri)
    try:
        listing = await list_model(store, retry)
    except FetchError as error:
        if present is None or options.digest is not None or error.failure is not FetchFailure.UNAVAILABLE:
            raise
        progress.log("the store does not answer; the weights on disk are used", level="warning", cause=error.message)
        return _unchanged(present, progress)
    if present and present.fingerprint == listing.fingerprint and options.digest is None:
        return _unchanged(present, progress)
    return await _bring(_Run(options, store, retry, place, progress), listing)


def _open(options: Options, credentials: Credentials, environ: Mapping[str, str]) -> Store:
    if options.digest is not None and (invalid := check_digest(options.digest)):
        raise FetchError(FetchFailure.INVALID, invalid.message)
    return open_store(
        options.uri, endpoint=options.endpoint, region=options.region, credentials=credentials, environ=environ
    )


async def _take_lock(place: Workplace, progress: Progress) -> None:
    waiting = False
    while place.lock() is None:
        if not waiting:
            progress.phase("waiting", reason="another fetcher works on this volume")
            waiting = True
        await asyncio.sleep(_LOCK_POLL)


async def _present(place: Workplace, progress: Progress) -> markers.Marker | None:
    note = markers.read(place.marker)
    if note is None:
        return None
    progress.phase("checking", files=len(note.files))
    note = await asyncio.to_thread(place.finish, note)  # for a run that was killed while it moved or cleaned
    if await asyncio.to_thread(markers.holds, place.root, note):
        return note
    progress.log("files on the volume were changed; fetching again", level="warning")
    return None


def _unchanged(note: markers.Marker, progress: Progress) -> Summary:
    size = sum(entry[0] for entry in note.files.values())
    progress.expect(size)
    progress.add_bytes("cache", size)
    progress.add_files(len(note.files))
    progress.phase("done", fingerprint=note.fingerprint, digest=note.digest, unchanged=True)
    return Summary(note.fingerprint, note.digest, len(note.files), note.config)


async def _bring(run: _Run, listing: Listing) -> Summary:
    options, place, progress = run.options, run.place, run.progress
    arrangement = arrange(options.layout, listing, options.model_name, options.uri)
    # the digest of a folder covers every file in it, also one that the model server does not need
    files = tuple(file for file in listing.files if options.digest or file.path in arrangement.places)
    targets = {
        file.path: place.out / arrangement.places[file.path]
        if file.path in arrangement.places
        else place.extra / file.path
        for file in files
    }
    place.refuse_foreign({path.split("/", 1)[0] for path in [*arrangement.places.values(), *arrangement.folders]})
    place.make()
    place.forget_strangers(set(targets.values()))
    transfer = Transfer(
        run.store,
        run.retry,
        progress.add_bytes,
        lambda: progress.add_files(1),
        options.route,
        lambda subject: progress.log("waiting: another fetcher of this node brings the file", file=subject),
    )

    def prepare(before: list[Job]) -> list[Job]:
        jobs = transfer.prepare(files, targets, place.journal, hashed=options.digest is not None)
        for job, known in zip(jobs, before, strict=False):
            job.before = known
        return jobs

    jobs = await asyncio.to_thread(prepare, [])
    missing = transfer.missing(jobs)
    await room.make(options, missing, progress)
    room.check(options, missing, sum(file.size for file in files))
    progress.expect(sum(file.size for file in files))
    progress.phase("downloading", files=len(files), bytes=progress.expected, on_disk=progress.expected - missing)
    while True:
        try:
            fetched, digest = await _verified(run, listing, transfer, jobs)
            break
        except WrongPeers as wrong:  # at most once for each file
            progress.log(
                "the peers gave wrong bytes; reading them from the store", level="warning", cause=wrong.message
            )
            jobs = await asyncio.to_thread(prepare, jobs)
    place.forget_journal()  # from here on files are changed and moved, or not worth keeping
    progress.phase("placing")
    note = await asyncio.to_thread(_place, run, arrangement, fetched, listing, digest)
    progress.phase("done", fingerprint=note.fingerprint, digest=digest, seconds=round(progress.seconds, 3))
    summary = Summary(note.fingerprint, digest, len(fetched), note.config)
    if options.route is None:
        return replace(summary, retries=run.retry.retries)
    fallback = str(transfer.trouble) if transfer.trouble else None
    return replace(summary, retries=run.retry.retries, parents=transfer.parents, fallback=fallback, asked_peers=True)


async def _verified(
    run: _Run, listing: Listing, transfer: Transfer, jobs: list[Job]
) -> tuple[list[Fetched], str | None]:
    fetched = await _with_reports(transfer, jobs, run.progress)
    digest = run.options.digest
    if digest is None:
        return fetched, None
    run.progress.phase("verifying")
    actual = verify.model_digest([(done.file.path, done.sha256 or "") for done in fetched], single=listing.single)
    try:
        verify.check(run.options.uri, digest, actual)
    except FetchError as error:
        await transfer.refuse(jobs, error)
        if run.options.route is not None:
            run.place.forget_journal()  # what an earlier process had from peers may be wrong too, and nobody knows which
        raise
    return fetched, actual


async def _with_reports(transfer: Transfer, jobs: list[Job], progress: Progress) -> list[Fetched]:
    async def report() -> None:
        while True:
            await asyncio.sleep(REPORT_SECONDS)
            progress.report()

    reports = asyncio.create_task(report())
    try:
        fetched = await transfer.run(jobs)
    finally:
        reports.cancel()
    progress.report()
    return fetched


def _place(
    run: _Run, arrangement: Arrangement, fetched: list[Fetched], listing: Listing, digest: str | None
) -> markers.Marker:
    place, options = run.place, run.options
    changed, config = place.adjust(arrangement, options.model_name, options.overlay)
    sums = {done.path: done.sha256 for done in fetched if place.out in done.path.parents} | changed
    note = markers.Marker(
        request=options.request(),
        fingerprint=listing.fingerprint,
        digest=digest,
        names=tuple(sorted(entry.name for entry in place.out.iterdir())),
        files={str(path.relative_to(place.out)): markers.describe(path, sha256) for path, sha256 in sums.items()},
        folders=arrangement.folders,
        boot=markers.boot_id(),
        config=config,
    )
    return place.place(note)
