"""Room for a model: on the volume, and in the node's cache."""

import asyncio
import os

from pantala.fetcher import nodecache
from pantala.fetcher.errors import disk_full
from pantala.fetcher.options import Options
from pantala.fetcher.place import STATE
from pantala.fetcher.progress import Progress


async def make(options: Options, need: int, progress: Progress) -> None:
    """Remove from the node's cache what nobody uses; that it cannot is no reason to fail.

    Args:
        options: of the fetch.
        need: bytes that are to come.
        progress: is told what was removed.
    """
    if options.cache is None:
        return
    kept = await asyncio.to_thread(nodecache.collect, options.cache, options.to, need)
    if kept.removed:
        folders = ", ".join(kept.removed)
        progress.log("removed unused weights from the node's cache", folders=folders, bytes=kept.freed)
    for trouble in kept.broken:
        progress.log("a folder of the node's cache could not be looked after", level="warning", folder=trouble)
    if options.cache.max_bytes is not None and kept.bytes + need > options.cache.max_bytes:
        figures = {"bytes": kept.bytes + need, "limit": options.cache.max_bytes}
        progress.log(
            "the node's cache is over its limit; all that is left is in use, or was a moment ago",
            level="warning",
            **figures,
        )


def check(options: Options, missing: int, whole: int) -> None:
    """Refuse before a byte is read what cannot fit.

    Args:
        options: of the fetch.
        missing: bytes that are to come.
        whole: bytes of the model.

    Raises:
        FetchError: with both figures.
    """
    if options.size_limit is not None and whole > options.size_limit:
        raise disk_full(str(options.to), whole, options.size_limit)
    status = os.statvfs(options.to / STATE)
    available = status.f_bavail * status.f_frsize
    if missing > available:
        raise disk_full(str(options.to), missing, available)
