"""The note on the volume that says what lies there, so that a restarted container fetches nothing.

It is trusted as far as the kernel that wrote it: on the same boot, size, time and inode of each file are compared; after
a reboot (or on another node that shares the volume) bytes may be missing that were never flushed, so every file is
hashed again, and one whose sha256 is not known is fetched again. So nothing needs an fsync but the marker itself.
"""

import hashlib
import json
import os
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_BLOCK = 8 * 1024 * 1024


@dataclass(frozen=True)
class Marker:
    """What was put on the volume, for which request."""

    request: Mapping[str, Any]
    """What decides about the result besides the store's content."""
    fingerprint: str
    """Of the listing that was fetched."""
    digest: str | None
    """Of the bytes, as `pantala digest` prints it; None if none was promised."""
    names: tuple[str, ...]
    """Entries of the target folder that are ours."""
    files: Mapping[str, tuple[int, int, int, str | None]]
    """Size, mtime (ns), inode and, if known, sha256 of each file."""
    folders: tuple[str, ...]
    """Folders that must exist."""
    boot: str
    """The boot that wrote it."""
    config: str | None = None
    """Where the model's `config.pbtxt` came from; None if it has none, or needs none."""
    placed: bool = False
    """Whether everything is in its final place."""

    def done(self) -> "Marker":
        """The same, with everything in place."""
        return replace(self, placed=True)


def boot_id() -> str:
    """Identity of the running kernel; never the same twice where it cannot be read."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return f"unknown-{uuid.uuid4()}"


def describe(path: Path, sha256: str | None) -> tuple[int, int, int, str | None]:
    """What is noted of one file."""
    status = path.lstat()
    return status.st_size, status.st_mtime_ns, status.st_ino, sha256


def write(path: Path, marker: Marker) -> None:
    """Write a marker so that it is there whole or not at all."""
    beside = path.with_suffix(".new")
    with beside.open("w", encoding="utf-8") as stream:
        json.dump(asdict(marker), stream)
        stream.flush()
        os.fsync(stream.fileno())
    beside.replace(path)


def read(path: Path) -> Marker | None:
    """Read a marker; one that cannot be understood is none."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        content["names"] = tuple(content["names"])
        content["folders"] = tuple(content["folders"])
        content["files"] = {name: (int(v[0]), int(v[1]), int(v[2]), v[3]) for name, v in content["files"].items()}
        return Marker(**content)
    except (OSError, ValueError, TypeError, KeyError, IndexError, AttributeError):
        return None


def holds(root: Path, marker: Marker) -> bool:
    """Whether the volume still has what the marker says; reads the files only if it must."""
    same_boot = marker.boot == boot_id()
    if not all((root / folder).is_dir() for folder in marker.folders):
        return False
    for name, (size, mtime, inode, sha256) in marker.files.items():
        path = root / name
        try:
            status = path.lstat()
        except OSError:
            return False
        if status.st_size != size or path.is_symlink():
            return False
        unchanged = same_boot and (status.st_mtime_ns, status.st_ino) == (mtime, inode)
        if not unchanged and (sha256 is None or hash_file(path) != sha256):
            return False
    return True


def hash_file(path: Path) -> str:
    """sha256 of a file on disk, hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()
