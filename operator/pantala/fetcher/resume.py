"""What of a file is already on disk, in a form that a SIGKILL at any point cannot make wrong.

Beside each unfinished file lies a sidecar: a first line with the file's identity, then one line for each finished chunk
with its checksum. A chunk is written before its line. Nothing is flushed to the disk on purpose: after a power cut lines
may have survived whose bytes did not, and then the checksum differs and the chunk is read again. A torn line is ignored.
"""

import json
import os
import zlib
from contextlib import suppress
from pathlib import Path

from pantala.fetcher.listing import RemoteFile

_VERSION = 1


def header(file: RemoteFile, chunk: int) -> str:
    """The first line of a sidecar: if any of it differs, nothing on disk is used."""
    return json.dumps({"v": _VERSION, "key": file.key, "size": file.size, "etag": file.etag, "chunk": chunk})


def line(index: int, data: bytes) -> str:
    """The line that says that a chunk is on disk."""
    return f"{index} {zlib.crc32(data):08x}\n"


def finished_chunks(data: Path, sidecar: Path, file: RemoteFile, chunk: int) -> dict[int, int]:
    """Read which chunks are on disk and right: index to checksum.

    Args:
        data: the unfinished file.
        sidecar: its sidecar.
        file: what is to be there.
        chunk: bytes of a chunk.
    """
    try:
        first, *lines = sidecar.read_text(encoding="utf-8").split("\n")
    except (FileNotFoundError, UnicodeDecodeError):
        return {}
    if first != header(file, chunk):
        return {}
    claimed: dict[int, int] = {}
    for text in lines[:-1]:  # what follows the last newline is torn
        with suppress(ValueError):
            index, checksum = text.split(" ")
            claimed[int(index)] = int(checksum, 16)
    try:
        descriptor = os.open(data, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:
        return {}
    try:
        return {index: crc for index, crc in claimed.items() if _is_right(descriptor, index, crc, file.size, chunk)}
    finally:
        os.close(descriptor)


def _is_right(descriptor: int, index: int, checksum: int, size: int, chunk: int) -> bool:
    offset = index * chunk
    if index < 0 or offset >= size:
        return False
    data = os.pread(descriptor, min(chunk, size - offset), offset)
    return len(data) == min(chunk, size - offset) and zlib.crc32(data) == checksum
