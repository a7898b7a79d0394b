"""From verified files beside the target to the target: by renames, each of which a crash cannot split.

The marker is written before the first rename and names what will be moved. A run that was killed in between leaves a
marker that is not `placed`; the next one moves the rest.
"""

import fcntl
import os
import shutil
from enum import StrEnum
from pathlib import Path

from pantala.errors import FetchFailure
from pantala.fetcher import marker as markers
from pantala.fetcher.errors import FetchError
from pantala.fetcher.layout import Arrangement
from pantala.fetcher.pbtxt import rename

STATE = ".pantala"
"""Folder in the target that holds what is ours alone: the lock, markers, unfinished files."""
_MARKER = "marker.json"


class ConfigSource(StrEnum):
    """Where the `config.pbtxt` of a Triton model came from."""

    STORE = "store"
    OVERLAY = "overlay"


class Workplace:
    """The part of the volume that belongs to one request."""

    def __init__(self, root: Path, key: str) -> None:
        """Name the paths; nothing is made yet.

        Args:
            root: the target folder.
            key: tells requests apart that share a volume.
        """
        self.root = root
        self.home = root / STATE / key
        self.out = self.home / "out"
        """The tree as it will be, while it is made."""
        self.extra = self.home / "extra"
        """Files that count for the digest but are not wanted."""
        self.journal = self.home / "journal"
        """What of the unfinished files is on disk."""
        self.marker = self.home / _MARKER

    def make(self) -> None:
        """Make the folders."""
        for folder in (self.out, self.extra):
            folder.mkdir(parents=True, exist_ok=True)

    def lock(self) -> int | None:
        """Take the volume's lock; None if another fetcher has it. It is released when the process ends."""
        (self.root / STATE).mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.root / STATE / "lock", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        return descriptor

    def forget_strangers(self, wanted: set[Path]) -> None:
        """Remove what an earlier, other listing left beside the target."""
        for base in (self.out, self.extra):
            for path in sorted(base.rglob("*"), reverse=True):
                if path.is_dir() and not path.is_symlink():
                    if not any(path.iterdir()):
                        path.rmdir()
                elif path not in wanted:
                    path.unlink()

    def clean(self) -> None:
        """Remove what is not needed once everything is in place."""
        for folder in (self.out, self.extra, self.home / "trash"):
            shutil.rmtree(folder, ignore_errors=True)

    def forget_journal(self) -> None:
        """Make sure that no later run takes unfinished files for good."""
        self.journal.unlink(missing_ok=True)

    def adjust(
        self, arrangement: Arrangement, name: str | None, overlay: Path | None
    ) -> tuple[dict[Path, str | None], ConfigSource | None]:
        """Make folders, give the configuration its name, add the overlay's one where the store has none.

        Returns:
            The files that were changed or added, with their sha256, and where the configuration came from.
        """
        for folder in arrangement.folders:
            (self.out / folder).mkdir(parents=True, exist_ok=True)
        if arrangement.config is None or name is None:
            return {}, None
        target = self.out / arrangement.config
        source = target if target.is_file() else overlay / target.name if overlay else None
        if source is None or not source.is_file():
            return {}, None
        origin = ConfigSource.STORE if source == target else ConfigSource.OVERLAY
        if origin is ConfigSource.STORE and not arrangement.renames:
            return {}, origin
        try:
            text = source.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            raise FetchError(FetchFailure.INVALID, f"{arrangement.config} is not UTF-8; write it again") from None
        renamed = rename(text, name)
        if source != target or renamed != text:
            target.unlink(missing_ok=True)  # in place of writing into it: it may be a link to what somebody else has
            target.write_text(renamed, encoding="utf-8")
            return {target: markers.hash_file(target)}, origin
        return {}, origin

    def refuse_foreign(self, names: set[str]) -> None:
        """Refuse to replace what no fetcher has put there."""
        ours = {name for marker in self._others() if (note := markers.read(marker)) for name in note.names}
        for name in sorted(names - ours):
            if os.path.lexists(self.root / name):
                message = f"{self.root / name} exists and was not put there by pantala fetch; use an empty volume, or remove it"
                raise FetchError(FetchFailure.INVALID, message)

    def place(self, note: markers.Marker) -> markers.Marker:
        """Move everything to its place."""
        for other in self._others():
            if other != self.marker and (theirs := markers.read(other)) and set(theirs.names) & set(note.names):
                other.unlink()  # what it describes is about to go
        before = markers.read(self.marker)
        stale = set(before.names) - set(note.names) if before else set()
        markers.write(self.marker, note)
        for name in sorted(stale):
            self._away(name)
        return self.finish(note)

    def finish(self, note: markers.Marker) -> markers.Marker:
        """Move what is left to move; also after a kill."""
        if note.placed:
            self.clean()
            return note
        for name in note.names:
            if os.path.lexists(self.out / name):
                self._away(name)
                (self.out / name).rename(self.root / name)
        placed = note.done()
        markers.write(self.marker, placed)
        self.clean()
        return placed

    def _away(self, name: str) -> None:
        if os.path.lexists(self.root / name):
            trash = self.home / "trash"
            shutil.rmtree(trash, ignore_errors=True)
            trash.mkdir(parents=True)
            (self.root / name).rename(trash / name)

    def _others(self) -> list[Path]:
        return sorted((self.root / STATE).glob(f"*/{_MARKER}"))
