"""What there is to fetch: names, sizes and etags, before a byte is read."""

import hashlib
import json
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from pantala.errors import FetchFailure
from pantala.fetcher.errors import FetchError
from pantala.fetcher.retry import Retry
from pantala.fetcher.stores import Store
from pantala.storage.uri import climbs

MAX_INDEX = 16 * 1024 * 1024
"""Bytes that an index file may have; it is read into memory."""


@dataclass(frozen=True)
class RemoteFile:
    """One file of the model."""

    path: str
    """Relative to the folder, or the file's own name; `/` separates."""
    key: str
    """Path within the store."""
    size: int
    """Bytes."""
    etag: str
    """The store's etag, or what comes nearest (`mtime:...`)."""
    if_match: str | None
    """What to send as If-Match, if the etag is a strong one."""
    version: str = ""
    """What must be the same afterwards if the bytes are those of one object: size and etag as the store tells them."""
    sha256: str | None = None
    """Promised by an index file."""


@dataclass(frozen=True)
class Listing:
    """The model as the store shows it."""

    single: bool
    """Whether the URI is one file and no folder."""
    files: tuple[RemoteFile, ...]
    """Sorted by path."""
    folders: tuple[str, ...] = ()
    """Folders that the store names without a file in them."""

    @property
    def size(self) -> int:
        """All bytes."""
        return sum(file.size for file in self.files)

    @property
    def fingerprint(self) -> str:
        """Identity of the bytes as the store tells it: sha256 over the sorted lines `path NUL size NUL etag`."""
        lines = sorted(f"{file.path}\0{file.size}\0{file.etag}\n" for file in self.files)
        return "sha256:" + hashlib.sha256("".join(lines).encode()).hexdigest()


async def list_model(store: Store, retry: Retry) -> Listing:
    """Ask the store what the URI is: one file, or a folder with everything below it.

    Raises:
        FetchError: nothing is there, it may not be seen, or a name would leave the target folder.
    """
    if store.catalog is not None:
        listing = await _from_catalog(store, retry)
    elif store.index:
        listing = await _from_index(store, retry)
    elif not store.lists:
        listing = Listing(single=True, files=(await stat(store, store.path, _name(store.path), retry),))
    else:
        listing = await _file_or_folder(store, retry)
    for file in listing.files:
        _refuse_climbing(file.path, store)
    for folder in listing.folders:
        _refuse_climbing(folder, store)
    names = [file.path for file in listing.files]
    for name, following in pairwise(names):
        if name == following or following.startswith(f"{name}/"):
            message = f"{store.subject(store.path)} holds '{name}' twice or as a file and a folder; remove one"
            raise FetchError(FetchFailure.INVALID, message)
    return listing


async def stat(store: Store, key: str, path: str, retry: Retry) -> RemoteFile:
    """Ask for size and etag of one file."""
    if store.catalog is not None:
        found = [file for file in await _cataloged(store, retry) if file.key == key]
        if not found:
            raise FetchError(FetchFailure.NOT_FOUND, f"{store.subject(key)} does not exist; correct the uri")
        return replace(found[0], path=path)
    metadata = await retry.call(store.subject(key), lambda: store.operator.stat(key))
    if metadata.is_dir:
        raise FetchError(FetchFailure.NOT_FOUND, f"{store.subject(key)} is a folder; correct the uri")
    return _file(store, key, path, metadata)


async def _file_or_folder(store: Store, retry: Retry) -> Listing:
    path = store.path
    if path and not path.endswith("/"):
        try:
            return Listing(single=True, files=(await stat(store, path, _name(path), retry),))
        except FetchError as error:
            if error.failure is not FetchFailure.NOT_FOUND:
                raise
    prefix = path.rstrip("/") + "/" if path else "/"
    subject = store.subject(path)

    async def collect() -> list[tuple[str, Any]]:
        entries = await store.operator.list(prefix, recursive=True)
        return [(entry.path, entry.metadata) async for entry in entries]

    entries = await retry.call(subject, collect)
    base = "" if prefix == "/" else prefix
    files, folders = [], []
    for key, metadata in entries:
        relative = key.removeprefix(base)
        if key.endswith("/"):
            if relative.strip("/"):
                folders.append(relative.rstrip("/"))
        elif metadata.etag is None or metadata.content_length == 0:
            # fs tells no size in a listing, and S3 has none to tell for an empty file
            files.append(await stat(store, key, relative, retry))
        else:
            files.append(_file(store, key, relative, metadata))
    if not files:
        message = (
            f"{subject} does not exist: neither an object nor a folder with objects; upload it, or correct the uri"
        )
        raise FetchError(FetchFailure.NOT_FOUND, message)
    return Listing(single=False, files=_sorted(files), folders=tuple(sorted(folders)))


async def _from_catalog(store: Store, retry: Retry) -> Listing:
    files = await _cataloged(store, retry)
    single = [replace(file, path=_name(file.key)) for file in files if file.key == store.path]
    if single:
        return Listing(single=True, files=tuple(single))
    base = f"{store.path.rstrip('/')}/" if store.path else ""
    inside = [replace(file, path=file.key.removeprefix(base)) for file in files if file.key.startswith(base)]
    if not inside:
        message = f"{store.subject(store.path)} does not exist: neither a file nor a folder; correct the uri"
        raise FetchError(FetchFailure.NOT_FOUND, message)
    return Listing(single=False, files=_sorted(inside))


async def _cataloged(store: Store, retry: Retry) -> list[RemoteFile]:
    assert store.catalog is not None
    entries = await retry.call(store.shown, store.catalog)
    return [RemoteFile(file.key, file.key, file.size, file.etag, None, f"{file.size} {file.etag}") for file in entries]


async def _from_index(store: Store, retry: Retry) -> Listing:
    subject = store.subject(store.path)
    head = await stat(store, store.path, "index.json", retry)
    if head.size > MAX_INDEX:
        raise FetchError(FetchFailure.INVALID, f"{subject} has {head.size} bytes, an index has at most {MAX_INDEX}")
    text = await retry.call(subject, lambda: store.operator.read(store.path))
    base = store.path.removesuffix("index.json")
    try:
        files = [_index_entry(entry) for entry in json.loads(text)["files"]]
    except (ValueError, KeyError, TypeError, AttributeError):
        message = f'{subject} is no index; write {{"files": [{{"path": "model.onnx", "size": 1, "sha256": "..."}}]}}'
        raise FetchError(FetchFailure.INVALID, message) from None
    if not files:
        raise FetchError(FetchFailure.NOT_FOUND, f"{subject} lists no files; add them")
    listed = []
    for path, size, sha256 in files:
        _refuse_climbing(path, store)
        file = await stat(store, base + path, path, retry)
        if file.size != size:
            message = f"{store.subject(file.key)} has {file.size} bytes, the index says {size}; write the index again"
            raise FetchError(FetchFailure.DIGEST_MISMATCH, message)
        # with a checksum the identity of the bytes is known, whatever the server's etag is made of
        etag = f"sha256:{sha256}" if sha256 else file.etag
        listed.append(RemoteFile(path, file.key, size, etag, file.if_match, file.version, sha256))
    return Listing(single=False, files=_sorted(listed))


def _index_entry(entry: dict[str, Any]) -> tuple[str, int, str | None]:
    path, size, sha256 = str(entry["path"]), entry["size"], entry.get("sha256")
    if not isinstance(size, int) or size < 0 or not (sha256 is None or _is_sha256(sha256)):
        raise ValueError(path)
    return path, size, sha256


def _file(store: Store, key: str, path: str, metadata: Any) -> RemoteFile:
    etag = metadata.etag
    # If-Match compares strongly (RFC 9110, 13.1.1)
    strong = etag if etag and not etag.startswith("W/") and store.takes_if_match else None
    if not etag:
        modified = metadata.last_modified
        etag = f"mtime:{modified.timestamp():.6f}" if modified else ""
    size = metadata.content_length
    return RemoteFile(path, key, size, etag, strong, f"{size} {etag}")


def _sorted(files: list[RemoteFile]) -> tuple[RemoteFile, ...]:
    return tuple(sorted(files, key=lambda file: file.path.split("/")))


def _refuse_climbing(path: str, store: Store) -> None:
    if climbs(path) or not path or "//" in path or path.startswith(".pantala"):
        message = (
            f"{store.subject(store.path)} holds the name {path!r}, which would leave the model's folder; rename it"
        )
        raise FetchError(FetchFailure.INVALID, message)


def _is_sha256(value: object) -> bool:
    return isinstance(value, str) and len(value) == 64 and set(value) <= set("0123456789abcdef")  # noqa: PLR2004 - hexadecimal digits of sha256


def _name(path: str) -> str:
    return path.rsplit("/", 1)[-1]
