"""The way through dfdaemon's HTTP proxy, for pods that may not mount the socket.

A URL that the store signs for this object is asked for through the proxy (dragonfly-client 1.5.10, proxy/). It is asked as
`http://` also where the store speaks https, because dfdaemon would answer a CONNECT with a certificate of its own; a rule
with `useTLS` makes dfdaemon ask the store by https. What the answer does not tell is who gave the bytes, but for "this node
had it all": the rest is counted as `proxy`. Nor can a task be deleted this way, and dfdaemon may read the origin whatever we
want.
"""

import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext, suppress
from dataclasses import dataclass, field
from functools import partial
from http.client import HTTPConnection, HTTPException, HTTPResponse
from typing import TypeVar
from urllib.parse import urlsplit

from pantala.distribution.identity import APPLICATION, PIECE_LENGTH
from pantala.fetcher.listing import RemoteFile
from pantala.fetcher.progress import PROXY
from pantala.fetcher.source import PeerSource
from pantala.fetcher.stores import Store
from pantala.fetcher.way import Delivery, Piece, Trouble, Undelivered, Word, from_origin

T = TypeVar("T")
FILTERS: Mapping[str, tuple[str, ...]] = {
    "s3": (
        "X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires", "X-Amz-SignedHeaders", "X-Amz-Signature",
        "X-Amz-Security-Token", "X-Amz-Content-Sha256", "x-id",
    ),
    "gs": (
        "X-Goog-Algorithm", "X-Goog-Credential", "X-Goog-Date", "X-Goog-Expires", "X-Goog-SignedHeaders", "X-Goog-Signature",
    ),
    "oss": (
        "Expires", "Signature", "OSSAccessKeyId", "security-token", "x-oss-signature", "x-oss-signature-version",
        "x-oss-credential", "x-oss-date", "x-oss-expires", "x-oss-security-token", "x-oss-additional-headers",
    ),
    "obs": ("Expires", "Signature", "AccessKeyId", "X-Obs-Date", "x-obs-date", "x-obs-security-token"),
    "cos": (
        "q-sign-algorithm", "q-ak", "q-sign-time", "q-key-time", "q-header-list", "q-url-param-list", "q-signature",
        "x-cos-security-token",
    ),
    "abs": (
        "sv", "ss", "srt", "se", "sr", "sp", "sig", "st", "spr", "sip", "skoid", "sktid", "skt", "ske", "sks", "skv",
    ),
}  # fmt: skip
"""Query parameters that sign a URL, by the scheme of `PeerSource.base`: without them each signature is another task."""
SIGNED_SECONDS = 6 * 3600
"""How long a signed URL is good: dfdaemon asks with it for every piece."""
DEFAULT_PORT = 4001
"""Of dfdaemon's proxy."""
_CONNECT_SECONDS = 10.0
_FINISHED = "X-Dragonfly-Task-Download-Finished"
_TASK = "X-Dragonfly-Task-Id"
_ERROR = "X-Dragonfly-Error-Type"


@dataclass(frozen=True)
class Proxy:
    """Where the proxy is, and what users add."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Sent with each request."""
    filters: Sequence[str] = ()
    """Query parameters that are no part of the task's identity, besides FILTERS."""


@dataclass(frozen=True)
class Proxied:
    """The way through the proxy."""

    store: Store
    source: PeerSource
    proxy: Proxy

    async def ask(self, file: RemoteFile, span: tuple[int, int] | None, link: str) -> Delivery:  # noqa: ARG002 - no links here
        """Ask for a file (see `Way`)."""
        url, signed = await self._url(file)
        headers = {
            "X-Dragonfly-Application": APPLICATION,
            "X-Dragonfly-Use-P2P": "true",
            "X-Dragonfly-Piece-Length": f"{PIECE_LENGTH // 1024**2}mib",
            "X-Dragonfly-Scheduling-Policy": "always",
        }
        if filters := [*FILTERS.get(urlsplit(self.source.base).scheme, ()), *self.proxy.filters]:
            headers["X-Dragonfly-Filtered-Query-Params"] = ",".join(filters)
        # Nothing of the user's comes after what says which bytes are meant.
        headers |= {**self.proxy.headers, **signed, "X-Dragonfly-Tag": self.source.tag(file.etag)}
        if file.if_match:
            headers["If-Match"] = file.if_match
        if span is not None:
            headers["Range"] = f"bytes={span[0]}-{sum(span) - 1}"
        return Answer(self.proxy.url, url, headers, span or (0, file.size), self.store.subject(file.key))

    def turn(self, file: RemoteFile, patience: float) -> AbstractAsyncContextManager[None]:  # noqa: ARG002 - nobody is waited for
        """Nobody waits: pods have nothing in common here, and the proxy does not tell who gave the bytes anyway."""
        return nullcontext()

    def forget(self, file: RemoteFile) -> None:
        """Nothing: the proxy deletes no task. The etag in the tag keeps a new object apart from it."""

    async def _url(self, file: RemoteFile) -> tuple[str, Mapping[str, str]]:
        if urlsplit(self.source.base).scheme in ("http", "https"):
            url, headers = self.source.url(file.key), self.source.headers
        else:
            sentence = "the store signs no URLs, which the proxy needs; use the socket"
            if not self.store.signs_urls:
                raise Undelivered(Trouble(Word.UNSUPPORTED, sentence, final=True))
            try:
                signed = await self.store.operator.presign_read(file.key, SIGNED_SECONDS)
            except Exception:  # noqa: BLE001 - opendal's exceptions share no base class, and this one's text is no use
                raise Undelivered(Trouble(Word.UNSUPPORTED, sentence, final=True)) from None
            url, headers = signed.url, dict(signed.headers)
        return url.replace("https://", "http://", 1), headers


class Answer:
    """One request and its answer (see `Delivery`)."""

    def __init__(self, proxy: str, url: str, headers: Mapping[str, str], span: tuple[int, int], subject: str) -> None:
        self._proxy = proxy
        self._connection = HTTPConnection(*address_of(proxy), timeout=_CONNECT_SECONDS)
        self._socket: socket.socket | None = None
        self._cancelled = False
        self._url = url
        self._headers = headers
        self._span = span
        self._subject = subject
        self.size: int | None = None
        """What the answer announces."""

    def pieces(self) -> Iterator[Piece]:
        """Give each piece, in one buffer for all of them.

        Raises:
            Undelivered: the proxy failed, or the request was cancelled.
        """
        answer = self._reach(self._request)
        if answer.status not in (200, 206):
            raise Undelivered(self._refused(answer))
        self.size = _size(answer)
        at, missing = self._span if answer.status == 206 else (0, self.size or 0)  # noqa: PLR2004 -- HTTP
        source = PROXY if answer.getheader(_TASK) else "origin"  # which the proxy has passed on without P2P
        if answer.getheader(_FINISHED) == "true":
            source = "local"
        buffer = memoryview(bytearray(min(PIECE_LENGTH, missing)))
        while missing:
            piece = buffer[: min(PIECE_LENGTH, missing)]
            self._reach(partial(_fill, answer, piece))
            yield Piece(at, len(piece), piece, source, "")
            at, missing = at + len(piece), missing - len(piece)

    def cancel(self) -> None:
        """End it from another thread."""
        self._cancelled = True
        if self._socket is not None:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Let go of the connection."""
        self._connection.close()

    def _request(self) -> HTTPResponse:
        self._connection.connect()
        # Kept, because the connection lets go of it where the answer says `Connection: close`: dfdaemon repeats the store's
        # headers (dragonfly-client 1.5.10, proxy/mod.rs, make_response_headers).
        self._socket = self._connection.sock
        assert self._socket is not None
        self._socket.settimeout(None)  # who waits too long is cancelled
        if self._cancelled:
            raise ConnectionAbortedError
        self._connection.request("GET", self._url, headers=dict(self._headers))
        return self._connection.getresponse()

    def _reach(self, call: Callable[[], T]) -> T:
        try:
            return call()
        except (OSError, HTTPException) as error:
            if self.size is None and isinstance(error, ConnectionRefusedError | TimeoutError | socket.gaierror):
                sentence = f"nobody listens at {self._proxy}; run Dragonfly's client on this node"
                raise Undelivered(Trouble(Word.NO_SOCKET, sentence)) from None
            sentence = "the proxy broke off the answer; look at dfdaemon's log and restarts"
            raise Undelivered(Trouble(Word.UNAVAILABLE, sentence)) from None

    def _refused(self, answer: HTTPResponse) -> Trouble:
        kind = answer.getheader(_ERROR)
        if answer.status == 429:  # noqa: PLR2004 -- HTTP
            return Trouble(
                Word.FAILED, "the proxy takes no more requests now (429); raise proxy.server.requestRateLimit"
            )
        if kind == "backend" or kind is None:
            return from_origin({"status_code": answer.status}, self._subject)
        final = answer.status < 500  # noqa: PLR2004 -- HTTP
        return Trouble(Word.FAILED, f"the proxy answered {answer.status} ({kind})", final=final)


def address_of(proxy: str) -> tuple[str, int]:
    """Host and port of the proxy's URL; a node's IPv6 address comes without brackets (`http://$(HOST_IP):4001`)."""
    netloc = urlsplit(proxy).netloc
    host, _, port = netloc.rpartition(":")
    return (host.strip("[]"), int(port)) if host and port.isdigit() else (netloc.strip("[]"), DEFAULT_PORT)


def _size(answer: HTTPResponse) -> int | None:
    """Length of the whole file."""
    text = (answer.getheader("Content-Range") or "").rpartition("/")[2] or answer.getheader("Content-Length") or ""
    return int(text) if text.isdigit() else None


def _fill(answer: HTTPResponse, buffer: memoryview) -> None:
    while buffer:
        number = answer.readinto(buffer)
        if not number:
            raise HTTPException("the answer was shorter than announced")
        buffer = buffer[number:]
