"""The process that owns one cluster: starts it, waits for its end, removes it.

It ends, and the cluster with it, when it is told to (SIGTERM), when whoever asked for the cluster dies (unless the
cluster is to be kept), or when a start fails. Should it be killed itself, the kernel kills its children, and the next
`up` or `down` removes what remains on disk.
"""

import contextlib
import fcntl
import json
import os
import select
import shutil
import signal
import sys
import time
from pathlib import Path
from types import FrameType

from tests.cluster import cleanup, control_plane, dns, kwok, network, node
from tests.cluster.errors import ClusterError
from tests.cluster.process import Processes, start_time
from tests.cluster.spec import ClusterSpec, Paths, clusters_root

_INOTIFY = Path("/proc/sys/fs/inotify/max_user_instances")
_INSTANCES = 1024
"""Kubelets, containerds and istiods watch files: Linux's 128 instances are too few for three clusters of several nodes."""

_POLL = 0.5
"""Seconds between two looks at the owner and at the components."""


class Supervisor:
    """Runs one cluster from start to end."""

    def __init__(self, spec: ClusterSpec, owner: int) -> None:
        self._spec, self._owner = spec, owner
        self._paths = Paths.of(spec.name)
        self._timings: dict[str, float] = {}
        self._begun = time.monotonic()

    def run(self) -> int:
        """Hold the cluster until its end; return the exit status of the process."""
        lock = self._claim()
        self._make_room()
        processes = Processes(self._paths)
        try:
            self._start(processes)
            self._watch(processes)
        finally:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            processes.kill()
            with cleanup.registry_lock():
                if (logs := os.environ.get("PANTALA_CLUSTER_LOGS")) and self._paths.log.is_dir():
                    self._keep_logs(Path(logs))
                cleanup.remove(self._paths)
                lock.close()
        return 0

    def _make_room(self) -> None:
        """Let programs watch more files at a time, if this machine lets us; else they say so when there are too many."""
        with contextlib.suppress(OSError, ValueError):
            if int(_INOTIFY.read_text()) < _INSTANCES:
                _INOTIFY.write_text(str(_INSTANCES))

    def _claim(self) -> object:
        with cleanup.registry_lock():
            cleanup.collect()
            self._paths.lock.parent.mkdir(parents=True, exist_ok=True)
            handle = self._paths.lock.open("a")
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ClusterError(f"a cluster {self._spec.name!r} is up already; take another --name") from None
            self._paths.root.mkdir(parents=True)
            self._paths.root.chmod(0o700)
            self._spec.write(self._paths.spec)
            self._paths.pids.write_text(f"{os.getpid()} {start_time(os.getpid())} supervisor\n")
        return handle

    def _start(self, processes: Processes) -> None:
        spec, paths = self._spec, self._paths
        found = control_plane.programs(spec)
        if spec.nodes:
            lan = network.create(paths, processes)
            net = lan.network
            nodes = [node.Node(spec, paths, lan, index) for index in range(spec.nodes)]
        else:
            lan, net, nodes = None, control_plane.Network(), []
        plane = control_plane.ControlPlane(spec, paths, net, processes)
        for it in nodes:  # containerd starts while the API server does
            it.prepare()
            it.start(processes)
        plane.start(found, self._etcd_folder())
        self._took("api")
        for it in nodes:
            it.join(plane.url)
        if lan:
            plane.authority.issue("dns", dns.USER)
            command = [sys.executable, "-m", "tests.cluster.dns", lan.host_ip, plane.url, str(paths.pki)]
            processes.start("dns", command)
        if spec.kwok:
            kwok.start(spec, paths, processes)
        for it in nodes:
            it.wait(processes)
        if spec.controllers:
            plane.wait_for_controllers(found["kubectl"])
        self._took("ready")
        self._publish(plane.url, lan)

    def _etcd_folder(self) -> Path:
        shared = Path("/dev/shm")
        if not self._spec.scale or not os.access(shared, os.W_OK):
            return self._paths.root / "etcd"
        folder = shared / f"pantala-{os.getuid()}-{self._spec.name}"  # disk writes would be what is measured
        cleanup.record(self._paths, "folder", str(folder))
        return folder

    def _took(self, what: str) -> None:
        self._timings[what] = round(time.monotonic() - self._begun, 2)

    def _publish(self, url: str, lan: "network.Lan | None") -> None:
        facts = {"url": url, "supervisor": os.getpid(), "seconds": self._timings}
        if lan:
            facts |= {"instance": lan.instance, "host_ip": lan.host_ip, "node_ips": lan.node_ips(self._spec.nodes)}
        draft = self._paths.facts.with_suffix(".tmp")
        draft.write_text(json.dumps(facts, indent=1))
        draft.rename(self._paths.facts)

    def _watch(self, processes: Processes) -> None:
        watched = [sys.stdin] if self._owner else []
        reported: list[str] = []
        while True:
            readable, _, _ = select.select(watched, [], [], _POLL)
            if readable and not os.read(sys.stdin.fileno(), 1):
                return  # the owner closed its end, or died
            if self._owner and os.getppid() != self._owner:
                return
            processes.revive(control_plane.COMPONENTS)
            if (dead := processes.dead()) != reported:
                reported = dead
                self._paths.problem.write_text(f"ended: {', '.join(dead)}; see {self._paths.log}\n")

    def _keep_logs(self, target: Path) -> None:
        shutil.copytree(self._paths.log, target / self._spec.name, dirs_exist_ok=True)


def _stop(_signal: int, _frame: FrameType | None) -> None:
    sys.exit(0)


def main() -> int:
    """Entry point: the specification as JSON and the process id of the owner (0: kept until `down`)."""
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a person's ^C reaches the owner, who decides
    spec = ClusterSpec.parse(sys.argv[1])
    clusters_root().mkdir(parents=True, exist_ok=True)
    try:
        return Supervisor(spec, int(sys.argv[2])).run()
    except ClusterError as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
