"""Make the layers of images: folders on top of other layers, packed as reproducible tars in the user's cache.

A layer is built in an overlay over its parents, so that `apt-get` and programs of the image itself can run in it, and
what they wrote is the layer. Mounts live in a mount namespace of their own and vanish with the command that needed them.
"""

import gzip
import hashlib
import json
import os
import stat
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tests.cluster.cache import cache_root, entry
from tests.cluster.errors import ClusterError
from tests.cluster.images.oci import Blob
from tests.cluster.progress import run_shown, say

_GZIP = "application/vnd.oci.image.layer.v1.tar+gzip"
_MTIME = 315532800
"""Time of every file, seconds: 1980-01-01, the oldest that zip files can hold; equal builds give equal layers."""
_TRIM = (
    "usr/share/doc", "usr/share/man", "usr/share/info", "usr/share/locale", "usr/share/lintian", "usr/share/bug",
    "usr/share/bash-completion", "var/cache/apt", "var/cache/debconf", "var/lib/apt/lists", "var/log",
)  # fmt: skip
"""What a container never reads; each stays as an empty folder, because packages expect it."""


class Work:
    """A layer in the making: `upper` is the layer's content, `run` runs a shell script inside layer and parents."""

    def __init__(self, name: str, folder: Path, parents: Sequence[Blob]) -> None:
        """Unpack the parents below `folder`."""
        self.name, self.folder = name, folder
        self.upper = folder / "upper"
        self.upper.mkdir()
        for part in ("merged", "work", "lower"):
            (folder / part).mkdir()
        self._lowers = []
        for number, parent in enumerate(parents):
            lower = folder / "lower" / str(number)
            lower.mkdir()
            subprocess.run(["tar", "-xzpf", parent.path, "--numeric-owner", "-C", lower], check=True)
            self._lowers.insert(0, str(lower))  # overlayfs wants the topmost first

    def run(self, title: str, script: str) -> None:
        """Run a shell script as root inside the image, with the machine's network and name resolution."""
        options = f"lowerdir={':'.join(self._lowers)},upperdir={self.upper},workdir={self.folder / 'work'}"
        outer = (
            f"set -e; mount -t overlay overlay -o redirect_dir=off,metacopy=off,index=off,{options} merged\n"
            "mount -t proc proc merged/proc; mount --rbind /dev merged/dev\n"
            "touch merged/etc/resolv.conf; mount --bind /etc/resolv.conf merged/etc/resolv.conf\n"
            'exec chroot merged /bin/sh -ec "$1"'
        )
        self.shown(title, ["unshare", "--mount", "--propagation", "private", "sh", "-c", outer, "sh", script])

    def shown(self, title: str, command: Sequence[str]) -> None:
        """Run a long command on the machine itself, in the work folder, with progress."""
        env = {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": "/tmp",
            "LC_ALL": "C.UTF-8",
        }
        env |= {key: value for key, value in os.environ.items() if key.lower().endswith("_proxy") or key[:4] == "PIP_"}
        env |= {"DEBIAN_FRONTEND": "noninteractive"}
        run_shown(f"image layer {self.name}: {title}", command, cwd=self.folder, env=env, log=self.folder / "log")


@dataclass(frozen=True)
class Layer:
    """One layer: its name, the layers below it, all that decides its content, and how to make it."""

    name: str
    parents: tuple["Layer", ...]
    inputs: tuple[str, ...]
    """Package lists, versions and whatever else makes another layer: part of the cache's key."""
    build: Callable[[Work], None]

    @property
    def key(self) -> str:
        """Name of the layer in the cache."""
        parts = [*self.inputs, *(parent.key for parent in self.parents)]
        return f"layer-{self.name}-{short_hash(parts)}"


def short_hash(parts: Sequence[str]) -> str:
    """Return 12 hex digits of the sha256 of a list of texts."""
    return hashlib.sha256(json.dumps(list(parts)).encode()).hexdigest()[:12]


def blob_of(layer: Layer) -> Blob:
    """Return a layer, and build it and its parents first where the cache has none."""
    root = cache_root() / "images"
    known = root / layer.key / "layer.json"
    if not known.is_file():
        parents = [blob_of(parent) for parent in layer.parents]
        entry(layer.key, lambda folder: _build(layer, parents, folder), root)
    return Blob.from_json(known.parent, json.loads(known.read_text()))


def _build(layer: Layer, parents: Sequence[Blob], folder: Path) -> None:
    if os.geteuid() != 0:
        raise ClusterError(f"building the image layer {layer.name} needs root (debootstrap, chroot, file owners)")
    start = time.monotonic()
    scratch = folder / "scratch"
    scratch.mkdir()
    work = Work(layer.name, scratch, parents)
    layer.build(work)
    trim(work.upper)
    blob = pack(work.upper, folder / "layer.tar.gz")
    (folder / "layer.json").write_text(json.dumps(blob.to_json()))
    subprocess.run(["rm", "-rf", scratch], check=True)  # shutil.rmtree stumbles over overlayfs' work folder
    size = blob.path.stat().st_size / 1e6
    say(f"image layer {layer.name}: {size:.0f} MB in {time.monotonic() - start:.0f} s")


def trim(root: Path) -> None:
    """Empty the folders that a container never reads, where the layer has them."""
    for name in _TRIM:
        if (root / name).is_dir():
            subprocess.run(["find", root / name, "-mindepth", "1", "-delete"], check=True)


def pack(root: Path, path: Path) -> Blob:
    """Write a folder as a gzip layer: sorted, one time for all files, overlayfs' deletions as whiteout files."""
    with path.open("wb") as raw:
        stored = _Hashing(raw)
        with gzip.GzipFile("", "wb", compresslevel=1, fileobj=stored, mtime=0) as zipped:
            plain = _Hashing(zipped)
            with tarfile.open(fileobj=plain, mode="w|", format=tarfile.GNU_FORMAT) as archive:
                for item in _walk(root):
                    _pack_one(archive, root, item)
    return Blob(path, stored.digest, plain.digest, _GZIP)


def _walk(folder: Path) -> Iterator[Path]:
    for item in sorted(folder.iterdir()):
        yield item
        if item.is_dir() and not item.is_symlink():
            yield from _walk(item)


def _pack_one(archive: tarfile.TarFile, root: Path, item: Path) -> None:
    name, status = item.relative_to(root), item.lstat()
    if stat.S_ISSOCK(status.st_mode):
        return
    if stat.S_ISCHR(status.st_mode) and status.st_rdev == 0:  # overlayfs: deleted; OCI: a file .wh.NAME
        archive.addfile(_plain(str(name.with_name(f".wh.{name.name}"))))
        return
    info = archive.gettarinfo(item, str(name))
    info.mtime, info.uname, info.gname = _MTIME, "", ""
    if info.isreg():
        with item.open("rb") as content:
            archive.addfile(info, content)
        return
    archive.addfile(info)
    if info.isdir() and _opaque(item):
        archive.addfile(_plain(f"{name}/.wh..wh..opq"))


def _plain(name: str) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.mtime = _MTIME
    return info


def _opaque(folder: Path) -> bool:
    try:
        return os.getxattr(folder, "trusted.overlay.opaque") == b"y"
    except OSError:
        return False


class _Hashing:
    """A file to write to that keeps the sha256 of what went through."""

    def __init__(self, target: IO[bytes]) -> None:
        self._target, self._hash = target, hashlib.sha256()

    def write(self, data: bytes) -> int:
        self._hash.update(data)
        return self._target.write(data)

    def flush(self) -> None:
        self._target.flush()

    @property
    def digest(self) -> str:
        return f"sha256:{self._hash.hexdigest()}"
