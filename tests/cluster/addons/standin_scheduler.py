"""A stand-in for Dragonfly's scheduler, which is no Go module: with it real dfdaemons share pieces. Only for tests.

    python -m tests.cluster.addons.standin_scheduler --port 8002 --http 8008

It speaks `scheduler.v2.Scheduler` and `grpc.health.v1.Health` and answers "who has it"; pieces go from daemon to daemon.
The first peer of a task goes to the origin; if a seed is announced, the seed is told to load the task and becomes the
parent. Later peers get every other host that has the task, or loads it from the origin, as a candidate parent. Without
parents a peer that may not go to the origin (`disable_back_to_source`) is refused: dfdaemon itself obeys
NeedBackToSourceResponse whatever the request said (dragonfly-client 1.5.10, src/resource/task.rs).

What it is not: no limits, no scores, no block lists, no garbage collection, no manager, no delay until a seed is known.
Nothing is said about the real scheduler by a test that uses it. `GET /state` on the HTTP port tells what it knows.
"""

# ruff: noqa: N802 - gRPC's method names are those of the interface
import argparse
import hashlib
import json
import sys
import threading
import time
from collections import Counter
from collections.abc import Collection, Iterator
from concurrent import futures
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import grpc
from dragonfly_api import common_pb2, dfdaemon_pb2, dfdaemon_pb2_grpc, scheduler_pb2, scheduler_pb2_grpc
from google.protobuf import empty_pb2

PENDING, RUNNING, DONE, FAILED = "Pending", "Running", "Succeeded", "Failed"
_STARTED = ("download_peer_started_request", "download_peer_back_to_source_started_request")
_PIECE = ("download_piece_finished_request", "download_piece_back_to_source_finished_request")
_FINISHED = ("download_peer_finished_request", "download_peer_back_to_source_finished_request")
_FAILED = ("download_peer_failed_request", "download_peer_back_to_source_failed_request")
_SERVING = b"\x08\x01"
"""HealthCheckResponse{status: SERVING}."""
_NORMAL = 0
"""Type of a host that is no seed."""


@dataclass
class Peer:
    """One download of a task by a host."""

    host: str
    state: str = PENDING
    mode: str = ""
    """`source` or `p2p`, once it is decided."""
    bytes: Counter[str] = field(default_factory=Counter)
    """By the name of the traffic type."""


class State:
    """What the stand-in knows; `changed` guards it."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.hosts: dict[str, Any] = {}
        self.tasks: dict[str, dict[str, Peer]] = {}
        """Peers by id, by task."""
        self.urls: dict[str, str] = {}
        self.seeding: Counter[str] = Counter()
        """Seeds that load a task now because they were told to."""
        self.events: list[str] = []

    def log(self, *what: object) -> None:
        """Remember and print what happened."""
        self.events.append(" ".join(map(str, what)))
        print(time.strftime("%T"), self.events[-1], flush=True)

    def parents(self, task: str, host: str, avoid: Collection[str]) -> list[tuple[str, Peer]]:
        """Peers of other hosts that have the task or load it from the origin, those that have it first."""
        found: dict[str, tuple[str, Peer]] = {}
        for identity, peer in sorted(self.tasks[task].items(), key=lambda item: item[1].state != DONE):
            useful = peer.state == DONE or (peer.state == RUNNING and peer.mode == "source")
            if useful and peer.host in self.hosts and peer.host != host and identity not in avoid:
                found.setdefault(peer.host, (identity, peer))
        return list(found.values())[:4]

    def json(self) -> bytes:
        """All of it."""
        with self.changed:
            hosts = {
                key: {"ip": one.ip, "hostname": one.hostname, "seed": one.type != 0} for key, one in self.hosts.items()
            }
            peers = {task: {key: vars(peer) for key, peer in found.items()} for task, found in self.tasks.items()}
            return json.dumps({"hosts": hosts, "urls": self.urls, "peers": peers, "events": self.events}).encode()


class Scheduler(scheduler_pb2_grpc.SchedulerServicer):
    """The service, as far as dfdaemon and preheating need it."""

    def __init__(self, state: State, patience: float) -> None:
        self._state, self._patience = state, patience

    def AnnounceHost(self, request: Any, _: grpc.ServicerContext) -> empty_pb2.Empty:
        """Take a daemon in."""
        with self._state.changed:
            if request.host.id not in self._state.hosts:
                self._state.log("host", request.host.id, request.host.ip)
            self._state.hosts[request.host.id] = request.host
        return empty_pb2.Empty()

    def DeleteHost(self, request: Any, _: grpc.ServicerContext) -> empty_pb2.Empty:
        """Forget a daemon that ends, and its peers."""
        with self._state.changed:
            self._state.hosts.pop(request.host_id, None)
            for task, peers in self._state.tasks.items():
                self._state.tasks[task] = {key: peer for key, peer in peers.items() if peer.host != request.host_id}
            self._state.log("host gone", request.host_id)
        return empty_pb2.Empty()

    def ListHosts(self, _request: Any, _: grpc.ServicerContext) -> Any:
        """All daemons."""
        return scheduler_pb2.ListHostsResponse(hosts=list(self._state.hosts.values()))

    def DeleteTask(self, request: Any, _: grpc.ServicerContext) -> empty_pb2.Empty:
        """Forget a task."""
        with self._state.changed:
            self._state.tasks.pop(request.task_id, None)
        return empty_pb2.Empty()

    def DeletePeer(self, request: Any, _: grpc.ServicerContext) -> empty_pb2.Empty:
        """Forget a peer."""
        with self._state.changed:
            self._state.tasks.get(request.task_id, {}).pop(request.peer_id, None)
        return empty_pb2.Empty()

    def StatTask(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Whether anybody has a task."""
        with self._state.changed:
            peers = self._state.tasks.get(request.task_id)
            if peers is None:
                context.abort(grpc.StatusCode.NOT_FOUND, "task not found")
            done = any(peer.state == DONE for peer in peers.values())
            url, live = self._state.urls[request.task_id], sum(peer.state != FAILED for peer in peers.values())
        state = DONE if done else RUNNING
        return common_pb2.Task(id=request.task_id, url=url, peer_count=live, has_available_peer=done, state=state)

    def StatPeer(self, request: Any, context: grpc.ServicerContext) -> Any:
        """The state of one peer."""
        with self._state.changed:
            peer = self._state.tasks.get(request.task_id, {}).get(request.peer_id)
            if peer is None:
                context.abort(grpc.StatusCode.NOT_FOUND, "peer not found")
            return common_pb2.Peer(id=request.peer_id, state=peer.state, host=self._state.hosts.get(peer.host))

    def AnnouncePeer(self, requests: Iterator[Any], context: grpc.ServicerContext) -> Iterator[Any]:
        """Follow one download; the stream must end after its last message, which dfdaemon waits for."""
        state, peer, download = self._state, None, None
        for request in requests:
            kind = request.WhichOneof("request")
            if kind == "register_peer_request":
                download = request.register_peer_request.download
                with state.changed:
                    state.urls[request.task_id] = download.url
                    peer = state.tasks.setdefault(request.task_id, {})[request.peer_id] = Peer(request.host_id)
                if download.metadata_only:
                    yield scheduler_pb2.AnnouncePeerResponse(
                        metadata_only_response=scheduler_pb2.MetadataOnlyResponse()
                    )
                else:
                    yield self._decide(request, peer, download, (), context)
                continue
            assert peer is not None
            assert download is not None
            if kind == "reschedule_peer_request":
                avoid = {one.id for one in request.reschedule_peer_request.candidate_parents}
                yield self._decide(request, peer, download, avoid, context)
            elif self._note(peer, kind, request):
                return
        if peer and peer.state not in {DONE, FAILED}:
            with state.changed:
                peer.state = FAILED
                state.changed.notify_all()

    def _note(self, peer: Peer, kind: str, request: Any) -> bool:
        """Take a message of a running download in; return whether it was the last."""
        with self._state.changed:
            if kind in _STARTED:
                peer.state = RUNNING
            elif kind in _PIECE:
                piece = getattr(request, kind).piece
                peer.bytes[common_pb2.TrafficType.Name(piece.traffic_type)] += piece.length
            elif kind in _FINISHED + _FAILED:
                peer.state = DONE if kind in _FINISHED else FAILED
                self._state.log(peer.state, request.task_id[:12], peer.host, dict(peer.bytes))
            self._state.changed.notify_all()
            return peer.state in {DONE, FAILED}

    def _decide(
        self, request: Any, peer: Peer, download: Any, avoid: Collection[str], context: grpc.ServicerContext
    ) -> Any:
        """Name parents, waiting for one that is about to begin; without any, the origin."""
        state, deadline, told = self._state, time.monotonic() + self._patience, bool(avoid)
        with state.changed:
            while not download.need_back_to_source and time.monotonic() < deadline:
                if found := state.parents(request.task_id, peer.host, avoid):
                    peer.mode = "p2p"
                    parents = [
                        common_pb2.Peer(id=key, state=one.state, host=state.hosts[one.host]) for key, one in found
                    ]
                    state.log("parents of", peer.host, "are", [one.host for _, one in found])
                    answer = scheduler_pb2.NormalTaskResponse(candidate_parents=parents)
                    return scheduler_pb2.AnnouncePeerResponse(normal_task_response=answer)
                others = [
                    one for key, one in state.tasks[request.task_id].items() if one is not peer and key not in avoid
                ]
                if not state.seeding[request.task_id]:
                    if any(one.state in {PENDING, RUNNING} and one.mode for one in others):
                        pass
                    elif told or not self._tell_seed(request.task_id, peer, download):
                        break
                    told = True
                state.changed.wait(0.1)
            if download.disable_back_to_source and not download.need_back_to_source:
                peer.state = FAILED
                state.log("no parent for", peer.host)
                context.abort(grpc.StatusCode.FAILED_PRECONDITION, "no parent, and the origin is not allowed")
            peer.mode = "source"
            state.log("origin for", peer.host)
        answer = scheduler_pb2.NeedBackToSourceResponse(description="standin")
        return scheduler_pb2.AnnouncePeerResponse(need_back_to_source_response=answer)

    def _tell_seed(self, task: str, peer: Peer, download: Any) -> bool:
        """Let a seed load the task from the origin, unless the peer is one; return whether there is one."""
        hosts = self._state.hosts
        own = hosts.get(peer.host)
        seeds = [one for one in hosts.values() if one.type != _NORMAL and one.id != peer.host]
        if not seeds or own is None or own.type != _NORMAL:
            return False
        self._state.seeding[task] += 1
        threading.Thread(target=self._seed, args=(seeds[0], download, task), daemon=True).start()
        return True

    def _seed(self, host: Any, download: Any, task: str) -> None:
        self._load(host, download, to_source=True)
        with self._state.changed:
            self._state.seeding[task] -= 1
            self._state.changed.notify_all()

    def _load(self, host: Any, download: Any, *, to_source: bool) -> None:
        """Let a host load a task, as the scheduler tells seeds."""
        own = common_pb2.Download()
        own.CopyFrom(download)
        for name in ("output_path", "range"):
            own.ClearField(name)
        own.force_hard_link = own.need_piece_content = own.prefetch = own.disable_back_to_source = False
        own.need_back_to_source = to_source
        request = dfdaemon_pb2.DownloadTaskRequest(download=own)
        try:
            with grpc.insecure_channel(f"{host.ip}:{host.port}") as channel:
                for _ in dfdaemon_pb2_grpc.DfdaemonUploadStub(channel).DownloadTask(request, timeout=3600):
                    pass
        except grpc.RpcError as error:
            self._state.log("host", host.id, "could not load", error.code(), error.details())

    def PreheatFile(self, request: Any, context: grpc.ServicerContext) -> empty_pb2.Empty:
        """Let seeds (`single_seed_peer`, `all_seed_peers`) or all (`all_peers`) load a task; answers at once."""
        download = common_pb2.Download(url=request.url, filtered_query_params=request.filtered_query_params)
        download.request_header.update(request.header)
        for name in ("tag", "application", "piece_length"):
            if request.HasField(name):
                setattr(download, name, getattr(request, name))
        for name in ("object_storage", "hdfs"):
            if request.HasField(name):
                getattr(download, name).CopyFrom(getattr(request, name))
        hosts = [
            one
            for one in self._state.hosts.values()
            if (request.scope == "all_peers" or one.type != _NORMAL) and (not request.ips or one.ip in request.ips)
        ]
        if request.scope in {"", "single_seed_peer"}:
            hosts = hosts[:1]
        if not hosts:
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, "no host fits the scope")
        for host in hosts:
            threading.Thread(target=self._load, args=(host, download), kwargs={"to_source": False}, daemon=True).start()
        return empty_pb2.Empty()

    def StatFile(self, request: Any, _: grpc.ServicerContext) -> Any:
        """Which daemons have a file: each is asked. Query parameters that are filtered are not supported here."""
        length = str(request.piece_length) if request.HasField("piece_length") else ""
        text = f"{request.url}{request.tag}{request.application}{length}STANDARD"
        task, found = hashlib.sha256(text.encode()).hexdigest(), []
        for host in list(self._state.hosts.values()):
            try:
                with grpc.insecure_channel(f"{host.ip}:{host.port}") as channel:
                    query = dfdaemon_pb2.StatLocalTaskRequest(task_id=task)
                    local = dfdaemon_pb2_grpc.DfdaemonUploadStub(channel).StatLocalTask(query, timeout=10)
            except grpc.RpcError:
                continue
            files = [scheduler_pb2.File(url=request.url, is_finished=local.HasField("finished_at"))]
            found.append(scheduler_pb2.PeerFile(ip=host.ip, hostname=host.hostname, cached_files=files))
        return scheduler_pb2.StatFileResponse(peers=found)


def _serve_state(state: State, address: str, port: int) -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = state.json()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    threading.Thread(target=ThreadingHTTPServer((address, port), Handler).serve_forever, daemon=True).start()


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--listen", default="0.0.0.0")
    parser.add_argument("--port", type=int, default=8002)
    parser.add_argument("--http", type=int, default=8008)
    parser.add_argument(
        "--patience", type=float, default=30.0, help="seconds to wait for a parent that is about to begin"
    )
    arguments = parser.parse_args()
    state = State()
    server = grpc.server(futures.ThreadPoolExecutor(256))
    scheduler_pb2_grpc.add_SchedulerServicer_to_server(Scheduler(state, arguments.patience), server)
    check = grpc.unary_unary_rpc_method_handler(lambda _request, _context: _SERVING)
    health = grpc.method_handlers_generic_handler("grpc.health.v1.Health", {"Check": check})
    server.add_generic_rpc_handlers((health,))
    if not server.add_insecure_port(f"{arguments.listen}:{arguments.port}"):
        sys.exit(f"port {arguments.port} is taken")
    server.start()
    _serve_state(state, arguments.listen, arguments.http)
    server.wait_for_termination()


if __name__ == "__main__":
    main()
