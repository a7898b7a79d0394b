"""The user's cache: entries that appear whole or not at all, whoever builds them and however it ends.

An entry is a folder `<tool>-<version>-<hash>`. It is made in a temporary folder beside its place, under an exclusive
lock, and renamed when it is complete. The kernel drops the lock of a builder that dies; the next one removes the
remains and starts again.
"""

import fcntl
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


def cache_root() -> Path:
    """Folder of everything that may be deleted at any time and is made again: `$XDG_CACHE_HOME/pantala`."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "pantala"


@contextmanager
def locked(path: Path, waiting: str = "") -> Iterator[None]:
    """Hold an exclusive lock on a file; says `waiting` once on standard error if somebody else holds it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if waiting:
                print(waiting, file=sys.stderr, flush=True)
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def entry(key: str, make: Callable[[Path], None], root: Path | None = None) -> Path:
    """Return the cache folder of a key, calling `make(folder)` once for all builders if it is not there.

    Args:
        key: name of the entry; holds all that decides its content (version, hash of inputs).
        make: fills an empty folder; if it raises, nothing stays.
        root: the cache, by default the user's.
    """
    root = root or cache_root()
    final = root / key
    if final.is_dir():
        return final
    with locked(root / ".locks" / f"{key}.lock", f"{key}: waiting for another builder"):
        if final.is_dir():  # somebody else was faster
            return final
        for remains in root.glob(f".{key}.*.tmp"):  # we hold the lock: whoever made them is dead
            shutil.rmtree(remains, ignore_errors=True)
        work = root / f".{key}.{os.getpid()}.tmp"
        work.mkdir(parents=True)
        try:
            make(work)
            work.rename(final)
        except BaseException:
            shutil.rmtree(work, ignore_errors=True)
            raise
    return final
