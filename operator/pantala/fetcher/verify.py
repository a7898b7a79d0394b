"""Digests: of a file, of a folder, and whether they are the expected ones."""

import hashlib
from collections.abc import Iterable

from pantala.errors import FetchFailure
from pantala.fetcher.errors import FetchError


def folder_digest(files: Iterable[tuple[str, str]]) -> str:
    """Digest of a folder: sha256 over its sorted lines `sha256  path`, as `sha256sum` prints them.

    Args:
        files: pairs of path and sha256 (hexadecimal).
    """
    lines = sorted(f"{sha256}  {path}\n" for path, sha256 in files)
    return "sha256:" + hashlib.sha256("".join(lines).encode()).hexdigest()


def model_digest(files: Iterable[tuple[str, str]], *, single: bool) -> str:
    """Digest of a model: of the file itself if it is one file, else of the folder."""
    pairs = list(files)
    return f"sha256:{pairs[0][1]}" if single else folder_digest(pairs)


def check(uri: str, expected: str | None, actual: str) -> None:
    """Refuse bytes that are not the expected ones.

    Raises:
        FetchError: both digests, and what to do.
    """
    if expected is None or expected == actual:
        return
    message = f"{uri} has digest {actual}, expected {expected}; upload the right weights, or correct the digest"
    raise FetchError(FetchFailure.DIGEST_MISMATCH, message)
