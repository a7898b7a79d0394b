"""What is already on disk, noted so that a SIGKILL at any point cannot make a file wrong.

One journal for all files of a run: a first line, then a line for each chunk that was written, naming the file by key,
size and etag; an object that was replaced in the store has another name. A chunk is written before its line, and the
kernel keeps that order for whoever reads the files, as long as it runs. So the first line holds the boot: after a power
cut, or on another node that shares the volume, lines may have survived whose bytes did not, and nothing is believed.
That is why no chunk needs an fsync. A torn last line is ignored.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from threading import Lock

from pantala.fetcher.listing import RemoteFile

_VERSION = 1


def identity(file: RemoteFile) -> str:
    """Name of an object's content in the journal."""
    return hashlib.sha256(f"{file.key}\0{file.path}\0{file.size}\0{file.etag}".encode()).hexdigest()[:32]


def read(path: Path, boot: str, chunk: int) -> dict[str, set[int]]:
    """Read which chunks of which files were written.

    Args:
        path: the journal.
        boot: identity of the running kernel.
        chunk: bytes of a chunk.
    """
    try:
        first, *lines = path.read_text(encoding="ascii").split("\n")
    except (FileNotFoundError, UnicodeDecodeError):
        return {}
    if first != _header(boot, chunk):
        return {}
    done: dict[str, set[int]] = {}
    for line in lines[:-1]:  # what follows the last newline is torn
        with suppress(ValueError):
            name, index = line.split(" ")
            done.setdefault(name, set()).add(int(index))
    return done


class Journal:
    """The journal of the running process."""

    def __init__(self, path: Path, boot: str, chunk: int, done: Mapping[str, set[int]]) -> None:
        """Begin with what is still true; what an old journal says beyond that is forgotten before any file is touched.

        Args:
            path: the journal.
            boot: identity of the running kernel.
            chunk: bytes of a chunk.
            done: chunks by file.
        """
        lines = [_header(boot, chunk), *(f"{name} {index}" for name in done for index in sorted(done[name])), ""]
        beside = path.with_suffix(".new")
        beside.write_text("\n".join(lines), encoding="ascii")
        beside.replace(path)
        self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND)
        self._lock = Lock()

    def add(self, name: str, index: int) -> None:
        """Note a chunk that was written; callable from any thread."""
        with self._lock:
            if self._descriptor >= 0:  # a thread that was told to stop may still come here
                os.write(self._descriptor, f"{name} {index}\n".encode())

    def close(self) -> None:
        """Close the file; what is added later is dropped."""
        with self._lock:
            if self._descriptor >= 0:
                os.close(self._descriptor)
                self._descriptor = -1


def _header(boot: str, chunk: int) -> str:
    return json.dumps({"v": _VERSION, "boot": boot, "chunk": chunk})
