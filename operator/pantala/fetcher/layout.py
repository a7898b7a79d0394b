"""Which file goes where, so that the model server finds it: pure.

- plain: as the store has it.
- torchserve: one archive as NAME.mar, or an unpacked one (with MAR-INF/) as NAME/.
- triton: one file as NAME/1/FILE, a model folder as NAME/, a repository (several model folders, an ensemble) as it is.

Object stores hold no empty folders, but Triton insists on a version folder even for an ensemble that has nothing in it,
so a model folder without one gets `1/`.
"""

import re
from dataclasses import dataclass
from enum import StrEnum

from pantala.errors import FetchFailure
from pantala.fetcher.errors import FetchError
from pantala.fetcher.listing import Listing
from pantala.manifest.words import some

CONFIG = "config.pbtxt"
"""Triton's configuration of one model."""
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,252}")
_NAMED = 8
"""Folders that a message names; it has 1 KiB."""
_VERSION = re.compile(r"[0-9]+")


class Layout(StrEnum):
    """Who is to read the files."""

    PLAIN = "plain"
    TORCHSERVE = "torchserve"
    TRITON = "triton"


@dataclass(frozen=True)
class Arrangement:
    """Where the files go, relative to the target folder."""

    places: dict[str, str]
    """From a path in the listing to a path in the target; what is not named is not wanted."""
    folders: tuple[str, ...] = ()
    """Folders to make."""
    config: str | None = None
    """The model's `config.pbtxt`, which the overlay may provide."""
    renames: bool = True
    """Whether the `name` in the store's `config.pbtxt` must become the model's."""


def arrange(layout: Layout, listing: Listing, name: str | None, shown: str) -> Arrangement:
    """Decide where each file goes.

    Args:
        layout: who is to read them.
        listing: what the store has.
        name: the model's name for clients; only `plain` does without.
        shown: the URI for messages.

    Raises:
        FetchError: the model has not the shape that the server needs.
    """
    paths = [file.path for file in listing.files]
    if layout is Layout.PLAIN:
        return Arrangement({path: path for path in paths}, listing.folders)
    if name is None or not _NAME.fullmatch(name):
        message = f"model name {name!r} cannot be a file name; use letters, digits, '_', '.' and '-'"
        raise FetchError(FetchFailure.INVALID, message)
    if layout is Layout.TORCHSERVE:
        return _torchserve(listing, paths, name, shown)
    return _triton(listing, paths, name, shown)


def _torchserve(listing: Listing, paths: list[str], name: str, shown: str) -> Arrangement:
    if not listing.single and any(path.startswith("MAR-INF/") for path in paths):
        return Arrangement(
            {path: f"{name}/{path}" for path in paths}, tuple(f"{name}/{path}" for path in listing.folders)
        )
    archives = [path for path in paths if path.endswith(".mar")]
    if len(archives) == 1:
        return Arrangement({archives[0]: f"{name}.mar"})
    found = f"{len(archives)} archives ({', '.join(archives[:3])})" if archives else "no .mar archive and no MAR-INF/"
    message = f"{shown} holds {found}; TorchServe needs exactly one: name it in the uri"
    raise FetchError(FetchFailure.INVALID, message)


def _triton(listing: Listing, paths: list[str], name: str, shown: str) -> Arrangement:
    if listing.single:
        return Arrangement({paths[0]: f"{name}/1/{paths[0]}"}, (), f"{name}/{CONFIG}")
    everything = [*paths, *(f"{folder}/" for folder in listing.folders)]
    if _is_model(everything):
        folders = [f"{name}/{folder}" for folder in listing.folders]
        if not _versions(everything):
            folders.append(f"{name}/1")
        return Arrangement({path: f"{name}/{path}" for path in paths}, tuple(folders), f"{name}/{CONFIG}")
    return _repository(listing, everything, name, shown)


def _repository(listing: Listing, everything: list[str], name: str, shown: str) -> Arrangement:
    folders = list(listing.folders)
    models = []
    for folder in sorted({path.split("/", 1)[0] for path in everything if "/" in path}):
        inside = [path.removeprefix(f"{folder}/") for path in everything if path.startswith(f"{folder}/")]
        if _is_model(inside):
            models.append(folder)
            if not _versions(inside):
                folders.append(f"{folder}/1")
    if not models:
        message = (
            f"{shown} is no Triton model: neither {CONFIG} nor a version folder (1/) at its top or one level below;"
            " correct the uri, or arrange the files"
        )
        raise FetchError(FetchFailure.INVALID, message)
    if name not in models:
        found = some(models, _NAMED)
        message = (
            f"{shown} is a repository without the folder {name}; set modelName to one of the folders found: {found}"
        )
        raise FetchError(FetchFailure.INVALID, message)
    return Arrangement(
        {file.path: file.path for file in listing.files}, tuple(folders), f"{name}/{CONFIG}", renames=False
    )


def _is_model(paths: list[str]) -> bool:
    return CONFIG in paths or bool(_versions(paths))


def _versions(paths: list[str]) -> set[str]:
    tops = {path.split("/", 1)[0] for path in paths if "/" in path}
    return {top for top in tops if _VERSION.fullmatch(top)}
