"""What is said to the node's dfdaemon over its unix socket, and what its answers mean.

Written against dragonfly-client 1.5.10 (grpc/dfdaemon_download.rs, resource/task.rs) with Dragonfly's own stubs.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import grpc
from dragonfly_api import common_pb2, dfdaemon_pb2, dfdaemon_pb2_grpc
from typing_extensions import override

from pantala.distribution.identity import APPLICATION, PIECE_LENGTH
from pantala.fetcher.errors import FetchError, classify
from pantala.fetcher.listing import RemoteFile
from pantala.fetcher.source import PeerSource

CONTROL_TIMEOUT = 10.0
"""Seconds for a question that has one short answer."""
_OPTIONS = [
    # tonic refuses the authority that grpc makes of a socket's path
    ("grpc.default_authority", "localhost"),
    ("grpc.max_receive_message_length", -1),
    # Windows that grow with the speed of a local socket are memory: without the probe a stream takes 20 MiB less.
    # Frames of 1 MiB (dfdaemon sends up to 256 KiB) give back the time that this costs.
    ("grpc.http2.bdp_probe", 0),
    ("grpc.http2.max_frame_size", 1024 * 1024),
    # each request has a connection of its own, so that a dfdaemon that was restarted is found at once
    ("grpc.use_local_subchannel_pool", 1),
]
_BUSY = {grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.ABORTED, grpc.StatusCode.DEADLINE_EXCEEDED}
_REFUSED = {
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.PERMISSION_DENIED,
    grpc.StatusCode.UNIMPLEMENTED,
    grpc.StatusCode.FAILED_PRECONDITION,
}
_WORDS = re.compile(r"[^\x20-\x7e]|https?://\S+|s3://\S+")
_OPENDAL = re.compile(r"\w+ \((?:permanent|temporary|persistent)\) at .*", re.DOTALL)
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
    content: bytes
    """Empty where the file is linked."""
    source: str
    """`origin`, `peer` or `local`."""
    parent: str
    """Host that gave it; empty unless the source is `peer`."""


_SOURCES = {common_pb2.BACK_TO_SOURCE: "origin", common_pb2.REMOTE_PEER: "peer", common_pb2.LOCAL_PEER: "local"}
_PEER_ID = re.compile(r"[^-]*-(?P<host>.*)-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}(?P<seed>-seed)?")


def host_of(peer_id: str) -> str:
    """The host in a peer's id, `IP-hostname-uuid` or `IP-hostname-uuid-seed`."""
    found = _PEER_ID.fullmatch(peer_id)
    return f"{found['host']}{found['seed'] or ''}" if found else peer_id


def request(
    source: PeerSource, file: RemoteFile, *, only_peers: bool, span: tuple[int, int] | None, link: str = ""
) -> dfdaemon_pb2.DownloadTaskRequest:
    """What is asked for a file.

    The policy is always ALWAYS: with AUTO dfdaemon would read files, and ranges, of up to 4 MiB from the origin without
    asking any peer (resource/task.rs, should_bypass_scheduler). The priority stays 0, so that whoever runs Dragonfly can
    set one for the application.

    Args:
        source: how dfdaemon reads the store.
        file: what was listed.
        only_peers: forbid the node's own dfdaemon to read the origin.
        span: offset and length; None is the whole file. A request for a part makes dfdaemon call the task finished though
            it may lack the rest (download_finished knows no range), so `is_finished` of an answer is never believed; the
            pieces themselves are right.
        link: where dfdaemon is to link the file to, in place of sending its content.
    """
    headers = dict(source.headers)
    if source.if_match and file.if_match:
        headers["If-Match"] = file.if_match
    download = common_pb2.Download(
        url=source.url(file.key),
        type=common_pb2.STANDARD,
        tag=source.tag(file.etag),
        application=APPLICATION,
        piece_length=PIECE_LENGTH,
        request_header=headers,
        need_piece_content=not link,
        output_path=link or None,
        force_hard_link=bool(link),
        disable_back_to_source=only_peers,
        scheduling_policy=common_pb2.ALWAYS,
    )
    parts: list[tuple[Any, Mapping[str, str]]] = [
        (download.object_storage, source.object_storage),
        (download.hdfs, source.hdfs),
        (download.hugging_face, source.hugging_face),
        (download.model_scope, source.model_scope),
    ]
    for message, fields in parts:
        for name, value in fields.items():
            setattr(message, name, value)
    if span is not None:
        download.range.start, download.range.length = span
    return dfdaemon_pb2.DownloadTaskRequest(download=download)


class Download:
    """One request and its answers; used by one thread, cancelled by any."""

    def __init__(self, socket: Path, message: dfdaemon_pb2.DownloadTaskRequest) -> None:
        self._channel = grpc.insecure_channel(f"unix:{socket}", options=_OPTIONS)
        self._call = _stub(self._channel).DownloadTask(message)
        self.task_id = ""
        """What dfdaemon calls it."""
        self.size: int | None = None
        """What dfdaemon announces."""

    def pieces(self) -> Iterator[Piece]:
        """Give each piece; the next one is not read from the socket before this one is done with.

        Raises:
            grpc.RpcError: dfdaemon failed, or the request was cancelled.
        """
        while (response := next(self._call, None)) is not None:
            self.task_id = response.task_id
            if response.HasField("download_task_started_response"):
                self.size = response.download_task_started_response.content_length
                continue
            piece = _piece(response.download_piece_finished_response.piece)
            del response  # a message lives until its last name is gone, and the next one is on its way
            yield piece
            del piece

    def cancel(self) -> None:
        """End it from another thread."""
        self._call.cancel()

    def close(self) -> None:
        """Let go of the connection."""
        self._call.cancel()
        self._channel.close()


def _stub(channel: Any) -> Any:
    return dfdaemon_pb2_grpc.DfdaemonDownloadStub(channel)  # type: ignore[no-untyped-call] # generated


def _piece(piece: Any) -> Piece:
    source = _SOURCES[piece.traffic_type]
    return Piece(
        piece.offset, piece.length, piece.content, source, host_of(piece.parent_id) if source == "peer" else ""
    )


def forget(socket: Path, task_id: str) -> None:
    """Make dfdaemon and the scheduler forget a task, so that nobody gets its bytes any more.

    Raises:
        grpc.RpcError: it may still be there; a task that is not there is none.
    """
    with grpc.insecure_channel(f"unix:{socket}", options=_OPTIONS) as channel:
        _stub(channel).DeleteTask(dfdaemon_pb2.DeleteTaskRequest(task_id=task_id), timeout=CONTROL_TIMEOUT)


def explain(error: grpc.RpcError, socket: Path, subject: str, *, got_something: bool) -> Trouble:
    """What an error of a request means.

    Args:
        error: what grpc raised.
        socket: where dfdaemon was asked.
        subject: what was read, for messages.
        got_something: whether any answer had come.
    """
    code, details = error.code(), str(error.details() or "")
    if code is grpc.StatusCode.UNAVAILABLE:
        if not got_something and "failed to connect" in details:
            return Trouble(Word.NO_SOCKET, f"nobody listens at {socket}; run Dragonfly's client on this node")
        return Trouble(Word.UNAVAILABLE, "dfdaemon broke off the connection; look at its log and restarts")
    backend = _backend(error)
    if backend is not None:
        return _from_origin(backend, subject)
    return _refusal(code, details)


def _backend(error: grpc.RpcError) -> dict[str, Any] | None:
    """What dfdaemon's backend heard from the origin: JSON in the status' details."""
    for name, value in error.trailing_metadata() or ():
        if name == "grpc-status-details-bin":
            try:
                content = json.loads(value)
            except ValueError:
                return None
            return content if isinstance(content, dict) else None
    found = _OPENDAL.search(str(error.details() or ""))  # of a piece there is the text alone
    return {"message": found[0]} if found else None


def _refusal(code: grpc.StatusCode, details: str) -> Trouble:
    if "not enough space" in details:
        sentence = "dfdaemon has no room for the file; raise its storage or lower its gc thresholds"
        return Trouble(Word.FAILED, sentence, final=True)
    if code in _REFUSED:
        return Trouble(Word.FAILED, f"dfdaemon refuses the request: {_short(details)}", final=True)
    if code in _BUSY:
        return Trouble(Word.FAILED, f"dfdaemon is busy ({code.name})")
    return Trouble(Word.FAILED, f"dfdaemon failed: {_short(details)}")


def _from_origin(backend: Mapping[str, Any], subject: str) -> Trouble:
    """A stores' text is opendal's and is read like ours; of http there is only a status."""
    message = str(backend.get("message") or "")
    if found := _OPENDAL.search(message):
        message = found[0]
    status = backend.get("status_code")
    known = {401: "PermissionDenied (permanent) at read, status: 401", 403: "PermissionDenied (permanent) at read"}
    known |= {
        404: "NotFound (permanent) at read",
        410: "NotFound (permanent) at read",
        412: "ConditionNotMatch (permanent)",
    }
    text = known.get(status or 0) or (message if status in (None, 200) else f"Unexpected (temporary), status: {status}")
    verdict = classify(RuntimeError(text), subject)
    if isinstance(verdict, FetchError):
        sentence = f"dfdaemon could not read the origin: {verdict.message}"
        return Trouble(Word.FAILED, sentence, final=True, alone=True, verdict=verdict)
    return Trouble(Word.FAILED, f"dfdaemon could not read the origin: {_short(str(verdict))}")


def _short(text: str) -> str:
    """A text of dfdaemon's for a sentence: in one line, without URLs."""
    text = _WORDS.sub(" ", text).strip()
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
