"""What is said to the node's dfdaemon over its unix socket, and what its answers mean.

Written against dragonfly-client 1.5.10 (grpc/dfdaemon_download.rs, resource/task.rs) with Dragonfly's own stubs.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import grpc
from dragonfly_api import common_pb2, dfdaemon_pb2, dfdaemon_pb2_grpc

from pantala.distribution.identity import APPLICATION, PIECE_LENGTH
from pantala.fetcher.listing import RemoteFile
from pantala.fetcher.source import PeerSource
from pantala.fetcher.turns import Turn, turn
from pantala.fetcher.way import Piece, Trouble, Undelivered, Word, from_origin, opendal_text, short

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


@dataclass(frozen=True)
class Daemon:
    """The way over the socket."""

    source: PeerSource
    socket: Path
    subject: Callable[[str], str]
    """How messages name a key."""
    waits: Callable[[str], None]
    """Called with a file for which another fetcher of the node is waited for."""
    only_peers: bool = False
    """Whether the node's dfdaemon may not read the origin."""

    async def ask(self, file: RemoteFile, span: tuple[int, int] | None, link: str) -> "Download":
        """Ask for a file (see `Way`)."""
        message = request(self.source, file, only_peers=self.only_peers, span=span, link=link)
        return Download(self.socket, message, self.subject(file.key))

    def turn(self, file: RemoteFile, patience: float) -> AbstractAsyncContextManager[Turn]:
        """Wait for other fetchers of the node (see `Way`)."""
        waits = partial(self.waits, self.subject(file.key))
        return turn(self.socket.parent, self.source.task_id(file.key, file.etag), patience, waits)

    def forget(self, file: RemoteFile) -> None:
        """Make dfdaemon and the scheduler forget a task, so that nobody gets its bytes any more."""
        message = dfdaemon_pb2.DeleteTaskRequest(task_id=self.source.task_id(file.key, file.etag))
        # an error means that it is not there, or that nobody is there to give it
        with suppress(grpc.RpcError), grpc.insecure_channel(f"unix:{self.socket}", options=_OPTIONS) as channel:
            _stub(channel).DeleteTask(message, timeout=CONTROL_TIMEOUT)


class Download:
    """One request and its answers (see `Delivery`)."""

    def __init__(self, socket: Path, message: dfdaemon_pb2.DownloadTaskRequest, subject: str) -> None:
        self._socket = socket
        self._subject = subject
        self._channel = grpc.insecure_channel(f"unix:{socket}", options=_OPTIONS)
        self._call = _stub(self._channel).DownloadTask(message)
        self.task_id = ""
        """What dfdaemon calls it."""
        self.size: int | None = None
        """What dfdaemon announces."""

    def pieces(self) -> Iterator[Piece]:
        """Give each piece; the next one is not read from the socket before this one is done with.

        Raises:
            Undelivered: dfdaemon failed, or the request was cancelled.
        """
        while (response := self._next()) is not None:
            self.task_id = response.task_id
            if response.HasField("download_task_started_response"):
                self.size = response.download_task_started_response.content_length
                continue
            piece = _piece(response.download_piece_finished_response.piece)
            del response  # a message lives until its last name is gone, and the next one is on its way
            yield piece
            del piece

    def _next(self) -> Any:
        try:
            return next(self._call, None)
        except grpc.RpcError as error:
            raise Undelivered(_explain(error, self._socket, self._subject, begun=self.size is not None)) from None

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
    source = _SOURCES.get(piece.traffic_type)
    if source is None:  # a word of a later dfdaemon
        sentence = "dfdaemon does not say in known words where a piece comes from"
        raise Undelivered(Trouble(Word.FAILED, sentence, final=True))
    return Piece(
        piece.offset, piece.length, piece.content, source, host_of(piece.parent_id) if source == "peer" else ""
    )


def _explain(error: grpc.RpcError, socket: Path, subject: str, *, begun: bool) -> Trouble:
    code, details = error.code(), str(error.details() or "")
    if code is grpc.StatusCode.UNAVAILABLE:
        if not begun and "failed to connect" in details:
            return Trouble(Word.NO_SOCKET, f"nobody listens at {socket}; run Dragonfly's client on this node")
        return Trouble(Word.UNAVAILABLE, "dfdaemon broke off the connection; look at its log and restarts")
    backend = _backend(error)
    if backend is not None:
        return from_origin(backend, subject)
    return _refusal(code, details)


def _refusal(code: grpc.StatusCode, details: str) -> Trouble:
    if "not enough space" in details or "No space left" in details:
        sentence = "dfdaemon has no room for the file; raise its storage or lower its gc thresholds"
        return Trouble(Word.FAILED, sentence, final=True)
    if code in _REFUSED:
        return Trouble(Word.FAILED, f"dfdaemon refuses the request: {short(details)}", final=True)
    if code in _BUSY:
        return Trouble(Word.FAILED, f"dfdaemon is busy ({code.name})", busy=True)
    return Trouble(Word.FAILED, f"dfdaemon failed: {short(details)}")


def _backend(error: grpc.RpcError) -> dict[str, Any] | None:
    """What dfdaemon's backend heard from the origin: JSON in the status' details."""
    for name, value in error.trailing_metadata() or ():
        if name == "grpc-status-details-bin":
            try:
                content = json.loads(value)
            except ValueError:
                return None
            return content if isinstance(content, dict) else None
    text = opendal_text(str(error.details() or ""))  # of a piece there is the text alone
    return {"message": text} if text else None
