"""The digest of a model where it lies, without writing it anywhere."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable

from pantala.fetcher import verify
from pantala.fetcher.errors import changed
from pantala.fetcher.job import CHUNK
from pantala.fetcher.listing import Listing, RemoteFile, list_model, stat
from pantala.fetcher.ranges import knows_ranges, read_range, stream
from pantala.fetcher.retry import Retry
from pantala.fetcher.stores import Store

_AHEAD = 4
"""Chunks that are asked for before their turn; twice as many are in memory while opendal hands them over."""


async def digest_of(
    store: Store, retry: Retry, on_listed: Callable[[Listing], None], on_bytes: Callable[[int], None]
) -> tuple[Listing, str]:
    """Read every byte of a model, in order, a few ranges ahead.

    Args:
        store: where it lies.
        retry: how long to try.
        on_listed: called once with what there is.
        on_bytes: called with each number of bytes read.

    Returns:
        What there is, and `sha256:HEX`: of the file itself, or of the folder (see `verify.folder_digest`).
    """
    listing = await list_model(store, retry)
    on_listed(listing)
    sums = [(file.path, await _hash(store, retry, file, on_bytes)) for file in listing.files]
    return listing, verify.model_digest(sums, single=listing.single)


async def _hash(store: Store, retry: Retry, file: RemoteFile, on_bytes: Callable[[int], None]) -> str:
    digest = hashlib.sha256()

    async def keep(_index: int, data: bytes) -> None:
        await asyncio.to_thread(digest.update, data)
        on_bytes(len(data))

    if file.size <= CHUNK or await knows_ranges(store, retry, file):
        await _ahead(store, retry, file, keep)
    else:
        await stream(store, retry, file, keep)
    if not (store.trusts_if_match and file.if_match):
        after = await stat(store, file.key, file.path, retry)
        if after.version != file.version:
            raise changed(store.subject(file.key))
    return digest.hexdigest()


async def _ahead(store: Store, retry: Retry, file: RemoteFile, keep: Callable[[int, bytes], Awaitable[None]]) -> None:
    """Read a file in order, a few requests ahead."""
    offsets = list(range(0, file.size, CHUNK))
    ahead: list[asyncio.Task[bytes]] = []
    try:
        for index in range(len(offsets)):
            while len(ahead) < _AHEAD and index + len(ahead) < len(offsets):
                offset = offsets[index + len(ahead)]
                length = min(CHUNK, file.size - offset)
                ahead.append(asyncio.create_task(read_range(store, retry, file, offset, length)))
            await keep(index, await ahead.pop(0))
    finally:
        for task in ahead:
            task.cancel()
