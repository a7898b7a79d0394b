"""What every way to the peers offers: pieces of a file with where they came from, or why not."""

import re
from collections.abc import Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from typing_extensions import override

from pantala.fetcher.errors import FetchError, classify
from pantala.fetcher.listing import RemoteFile
from pantala.fetcher.turns import Turn

_WORDS = re.compile(r"[^\x20-\x7e]|https?://\S+|s3://\S+")
_OPENDAL = re.compile(r"\w+ \((?:permanent|temporary|persistent)\) at .*", re.DOTALL)
_BY_STATUS = {
    401: "PermissionDenied (permanent) at read, status: 401",
    403: "PermissionDenied (permanent) at read",
    404: "NotFound (permanent) at read",
    410: "NotFound (permanent) at read",
    412: "ConditionNotMatch (permanent) at read",
}
_LONGEST = 160


class Word(StrEnum):
    """Why the peers did not deliver, in a word."""

    NO_SOCKET = "NoSocket"
    """Nobody listens: there is no dfdaemon on the node, or its folder is not mounted."""
    UNAVAILABLE = "DaemonUnavailable"
    """dfdaemon went away in the middle."""
    FAILED = "DaemonFailed"
    """dfdaemon answered that it cannot."""
    STALLED = "Stalled"
    """No piece came for `--fallback-after`."""
    UNSUPPORTED = "Unsupported"
    """dfdaemon cannot read this store or object, so it was not asked."""


@dataclass(frozen=True)
class Trouble:
    """Why a request did not bring what was asked for."""

    word: Word
    sentence: str
    final: bool = False
    """Whether asking again cannot help."""
    alone: bool = False
    """Whether it says nothing about other files."""
    busy: bool = False
    """Whether it may be taken a moment later."""
    suspect: bool = False
    """Whether what dfdaemon holds may be another content."""
    verdict: FetchError | None = None
    """What the origin said to dfdaemon, if it was that."""

    @override
    def __str__(self) -> str:
        return f"{self.word}: {self.sentence}"


@dataclass(frozen=True)
class Piece:
    """A part of a file, with its bytes."""

    offset: int
    length: int
    content: bytes | memoryview
    """Empty where the file is linked."""
    source: str
    """One of `progress.SOURCES`."""
    parent: str
    """Host that gave it; empty unless the source is `peer`."""


class Undelivered(Exception):  # noqa: N818 - the trouble says what it is
    """A request that ended without what was asked for."""

    def __init__(self, trouble: Trouble) -> None:
        super().__init__(str(trouble))
        self.trouble = trouble


class Delivery(Protocol):
    """One request and its answers; used by one thread, cancelled by any."""

    size: int | None
    """Length of the file, as announced; None as long as nothing came."""

    def pieces(self) -> Iterator[Piece]:
        """Give each piece; the next one is not read from the socket before this one is done with.

        Raises:
            Undelivered: why there are no more.
        """
        ...

    def cancel(self) -> None:
        """End it from another thread."""
        ...

    def close(self) -> None:
        """Let go of the connection."""
        ...


class Way(Protocol):
    """A way to one dfdaemon."""

    async def ask(self, file: RemoteFile, span: tuple[int, int] | None, link: str) -> Delivery:
        """Ask for a file.

        Args:
            file: what was listed.
            span: offset and length; None is the whole file.
            link: where dfdaemon is to link the file to, in place of sending its content; empty where it is not.

        Raises:
            Undelivered: it cannot be asked for.
        """
        ...

    def turn(self, file: RemoteFile, patience: float) -> AbstractAsyncContextManager[Turn | None]:
        """Wait until no other fetcher of the node asks for this file, where that can be known.

        Args:
            file: what was listed.
            patience: seconds without progress of the other one.
        """
        ...

    def forget(self, file: RemoteFile) -> None:
        """Have dfdaemon forget what it holds of a file, as far as this way can tell it to; blocks."""
        ...


def opendal_text(text: str) -> str | None:
    """The part of a text of dfdaemon's that is opendal's, if one is in it."""
    found = _OPENDAL.search(text)
    return found[0] if found else None


def from_origin(backend: Mapping[str, Any], subject: str) -> Trouble:
    """What the origin said to dfdaemon.

    Args:
        backend: `message`, of a store opendal's, which is read like ours; of http there is a `status_code`.
        subject: what was read, for messages.
    """
    message = str(backend.get("message") or "")
    message = opendal_text(message) or message
    status = backend.get("status_code")
    plain = message if status in (None, 200) else f"Unexpected (temporary) at read, status: {status}"
    text = _BY_STATUS.get(status or 0) or plain
    verdict = classify(RuntimeError(text), subject)
    if isinstance(verdict, FetchError):
        sentence = f"dfdaemon could not read the origin: {verdict.message}"
        return Trouble(Word.FAILED, sentence, final=True, alone=True, verdict=verdict)
    return Trouble(Word.FAILED, f"dfdaemon could not read the origin: {short(str(verdict))}")


def short(text: str) -> str:
    """A text of dfdaemon's for a sentence: in one line, without URLs."""
    text = _WORDS.sub(" ", text).strip()
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
