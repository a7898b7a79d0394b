"""Reading ranges of the very object that was listed."""

from collections.abc import Awaitable, Callable
from typing import Any

from pantala.errors import FetchFailure
from pantala.fetcher.errors import FetchError, ShortRead, Transient, changed, classify
from pantala.fetcher.job import CHUNK
from pantala.fetcher.listing import RemoteFile, stat
from pantala.fetcher.retry import Retry
from pantala.fetcher.stores import Store


async def knows_ranges(store: Store, retry: Retry, file: RemoteFile) -> bool:
    """Whether the server answers a range with a range, and not with the whole file (`python -m http.server` does that).

    The last byte is asked for, and two are taken: where two come, the answer began at the file's first byte. The rest of
    it is never read, so that this is cheap for a big file too.
    """

    async def attempt() -> bool:
        try:
            reader = await store.operator.open(file.key, "rb", offset=file.size - 1, size=1)
            return len(await reader.read(2)) == 1
        except Exception as error:  # noqa: BLE001 - opendal's exceptions share no base class
            raise await explain(error, store, retry, file) from None

    return store.lists or await retry.call(store.subject(file.key), attempt)


async def read_range(store: Store, retry: Retry, file: RemoteFile, offset: int, length: int) -> bytes:
    """Read one range.

    Args:
        store: where to read.
        retry: how long to try.
        file: what was listed; its etag goes along as If-Match.
        offset: first byte.
        length: bytes; exactly as many are returned.

    Raises:
        FetchError: why not; ChangedWhileReading if the object is another one by now.
    """

    async def attempt() -> bytes:
        try:
            data: bytes = await store.operator.read(file.key, offset=offset, size=length, if_match=file.if_match)
        except Exception as error:  # noqa: BLE001 - opendal's exceptions share no base class
            raise await explain(error, store, retry, file) from None
        if len(data) != length:
            raise ShortRead("the answer was longer or shorter than asked for")
        return data

    return await retry.call(store.subject(file.key), attempt)


async def stream(store: Store, retry: Retry, file: RemoteFile, keep: Callable[[int, bytes], Awaitable[None]]) -> None:
    """Read a whole file in one request.

    Args:
        store: where to read.
        retry: how long to try; an interruption begins again.
        file: what was listed.
        keep: called for each chunk in order, once.
    """
    kept = 0

    async def attempt() -> None:
        nonlocal kept
        try:
            reader = await store.operator.open(file.key, "rb")
            for index in range(-(-file.size // CHUNK)):
                data = await _exactly(reader, min(CHUNK, file.size - index * CHUNK))
                if index == kept:
                    await keep(index, data)
                    kept += 1
        except (FetchError, OSError):
            raise
        except Exception as error:  # noqa: BLE001 - opendal's exceptions share no base class
            raise await explain(error, store, retry, file) from None

    await retry.call(store.subject(file.key), attempt)


async def _exactly(reader: Any, length: int) -> bytes:
    parts, missing = [], length
    while missing:
        part = await reader.read(missing)
        if not part:
            raise ShortRead("the answer was shorter than announced")
        parts.append(part)
        missing -= len(part)
    return b"".join(parts)


async def explain(error: Exception, store: Store, retry: Retry, file: RemoteFile) -> FetchError | Transient:
    """Tell an object that was replaced from a connection that broke.

    Args:
        error: what the reader raised.
        store: where it was read.
        retry: how long to try to ask what is there now.
        file: what was listed.
    """
    subject = store.subject(file.key)
    verdict = error if isinstance(error, ShortRead) else classify(error, subject)
    if isinstance(verdict, FetchError) and verdict.failure is FetchFailure.NOT_FOUND:
        return changed(subject)  # it was there when it was listed
    if isinstance(verdict, ShortRead) and (await stat(store, file.key, file.path, retry)).version != file.version:
        return changed(subject)
    return verdict
