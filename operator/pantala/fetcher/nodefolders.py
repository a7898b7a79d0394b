"""The folders of versions in a node's cache: found, measured and removed, without following a link anywhere."""

import fcntl
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from pantala.fetcher.place import STATE

USED = "used"
"""File in `.pantala/` whose time is that of the last use; everybody may renew it."""
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
"""How a folder is opened."""
_DEPTH = 3
_BLOCK = 512


@dataclass
class Entry:
    """The folder of a version."""

    name: str
    """Below the root."""
    used: float
    """When it was last used, as its file says."""
    blocks: dict[tuple[int, int], int] = field(default_factory=dict)
    """Bytes on disk by device and inode."""


def entries(root: Path, broken: list[str]) -> Iterator[Entry]:
    """The folders of versions, three names deep; symbolic links are followed nowhere."""
    for name in _folders(root, _DEPTH):
        used = root / name / STATE / USED
        try:
            entry = Entry(name, used.lstat().st_mtime)
            if used.is_symlink() or used.parent.is_symlink():
                continue
            if _measure(root / name, entry):
                yield entry
        except FileNotFoundError:
            continue  # not ours, or somebody else has just removed it
        except OSError as error:
            broken.append(f"{name}: {os.strerror(error.errno or 0)}")


def _folders(root: Path, depth: int) -> Iterator[str]:
    with suppress(OSError), os.scandir(root) as found:
        for entry in sorted(found, key=lambda entry: entry.name):
            if entry.name == STATE or not entry.is_dir(follow_symlinks=False):
                continue
            if depth == 1:
                yield entry.name
            else:
                yield from (f"{entry.name}/{rest}" for rest in _folders(root / entry.name, depth - 1))


def _measure(folder: Path, entry: Entry) -> bool:
    """Add up the disk blocks; False if the folder holds another cache, which is not ours to judge."""
    for path, folders, files in os.walk(folder, onerror=_not_gone):
        if Path(path) != folder and STATE in folders:
            return False
        for name in (*folders, *files):
            with suppress(FileNotFoundError):
                status = os.lstat(os.path.join(path, name))  # noqa: PTH118 - half a million of them is no place for Path
                entry.blocks[(status.st_dev, status.st_ino)] = status.st_blocks * _BLOCK
    return True


def _not_gone(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error


def remove(root: Path, entry: Entry) -> bool:
    """Remove a folder unless somebody has it; False if it stays.

    What says that the weights are whole goes first, and what says that the folder is ours goes last: one who is killed
    in between leaves a folder that the next one finds incomplete, or removes.
    """
    with _opened(root, entry.name) as (parent, folder):
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False  # held; or a file system without locks, where nobody can tell
        if os.fstat(folder).st_nlink == 0 or os.stat(f"{STATE}/{USED}", dir_fd=folder).st_mtime != entry.used:
            return False  # somebody came in between
        state = os.open(STATE, FOLDER, dir_fd=folder)
        try:
            for key in _names(state):
                with suppress(FileNotFoundError, NotADirectoryError):
                    os.unlink(f"{key}/marker.json", dir_fd=state)
            for name in _names(folder):
                if name != STATE:
                    _delete(name, folder)
            for name in _names(state):
                if name != USED:
                    _delete(name, state)
            os.unlink(USED, dir_fd=state)
        finally:
            os.close(state)
        os.rmdir(STATE, dir_fd=folder)
        os.rmdir(Path(entry.name).name, dir_fd=parent)
    for above in list(Path(entry.name).parents)[:-1]:
        with suppress(OSError):  # not empty
            (root / above).rmdir()
    return True


@contextmanager
def _opened(root: Path, name: str) -> Iterator[tuple[int, int]]:
    """Open a folder below the root, and the one that it is in, without following a link."""
    opened = [os.open(root, FOLDER & ~os.O_NOFOLLOW)]
    try:
        for part in Path(name).parts:
            opened.append(os.open(part, FOLDER, dir_fd=opened[-1]))
        yield opened[-2], opened[-1]
    finally:
        for descriptor in opened:
            os.close(descriptor)


def _names(folder: int) -> list[str]:
    with os.scandir(folder) as found:
        return [entry.name for entry in found]


def _delete(name: str, folder: int) -> None:
    status = os.stat(name, dir_fd=folder, follow_symlinks=False)
    if stat.S_ISDIR(status.st_mode):
        shutil.rmtree(name, dir_fd=folder)
    else:
        os.unlink(name, dir_fd=folder)


def identity(folder: Path) -> tuple[int, int] | None:
    """Device and inode of a folder; None if there is none."""
    try:
        status = folder.lstat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
