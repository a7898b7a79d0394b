"""Reading ranges of the very object that was listed."""

import re
from collections.abc import Awaitable, Callable
from typing import Any

from pantala.errors import FetchFailure
from pantala.fetcher.errors import FetchError, ShortRead, changed, classify
from pantala.fetcher.job import CHUNK, Job
from pantala.fetcher.listing import RemoteFile, stat
from pantala.fetcher.retry import Retry
from pantala.fetcher.stores import Store


async def read_range(store: Store, retry: Retry, file: RemoteFile, offset: int, length: int) -> bytes | None:
    """Read one range.

    Args:
        store: where to read.
        retry: how long to try.
        file: what was listed; its etag goes along as If-Match.
        offset: first byte.
        length: bytes; exactly as many are returned.

    Returns:
        The bytes, or None if the server answers ranges with the whole file.

    Raises:
        FetchError: why not; ChangedWhileReading if the object is another one by now.
    """
    subject = store.subject(file.key)

    async def attempt() -> bytes | None:
        try:
            data: bytes = await store.operator.read(file.key, offset=offset, size=length, if_match=file.if_match)
        except Exception as error:  # noqa: BLE001 - opendal's exceptions share no base class
            if _ignores_ranges(str(error), file.size):
                return None
            raise await _explain(error, store, retry, file) from None
        if len(data) != length:
            raise ShortRead("the answer was longer or shorter than asked for")
        return data

    return await retry.call(subject, attempt)


async def stream(store: Store, retry: Retry, job: Job, keep: Callable[[int, bytes], Awaitable[None]]) -> None:
    """Read a whole file in one request, chunk by chunk; an interruption begins again."""
    file = job.file

    async def attempt() -> None:
        try:
            reader = await store.operator.open(file.key, "rb")
            for index in range(job.chunks):
                data = await _exactly(reader, job.span(index)[1])
                if index not in job.done:
                    await keep(index, data)
        except (FetchError, OSError):
            raise
        except Exception as error:  # noqa: BLE001 - opendal's exceptions share no base class
            raise await _explain(error, store, retry, file) from None

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


async def _explain(error: Exception, store: Store, retry: Retry, file: RemoteFile) -> Exception:
    """Tell an object that was replaced from a connection that broke."""
    subject = store.subject(file.key)
    verdict = error if isinstance(error, ShortRead) else classify(error, subject)
    if isinstance(verdict, FetchError) and verdict.failure is FetchFailure.NOT_FOUND:
        return changed(subject)  # it was there when it was listed
    if isinstance(verdict, ShortRead) and (await stat(store, file.key, file.path, retry)).version != file.version:
        return changed(subject)
    return verdict


def _ignores_ranges(text: str, size: int) -> bool:
    # opendal 0.47: "reader got too much data", with `expect` and `actual`
    actual = re.search(r"too much data(?:.|\n)*actual: (\d+)", text)
    return (actual is not None and int(actual[1]) > CHUNK) or (actual is not None and int(actual[1]) == size)
