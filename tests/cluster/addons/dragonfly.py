"""Real Dragonfly daemons on this machine, around a stand-in for the scheduler (`standin_scheduler.py`).

Every daemon has a loopback address of its own and the default ports, as on nodes. Nothing here says how fast peers are
on a network; who gave which bytes is exact.
"""

import contextlib
import itertools
import json
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import yaml

from tests.cluster import build
from tests.cluster.addons.service import Service, http
from tests.cluster.errors import ClusterError
from tests.cluster.process import free_port, wait_for

TRAFFIC = ("BACK_TO_SOURCE", "REMOTE_PEER", "LOCAL_PEER")
"""Where bytes came from, by dfdaemon's own words."""
_ATTEMPTS = 5
_METRIC = "dragonfly_client_download_traffic{"
_ROOT = Path(__file__).resolve().parents[3]


class StandinScheduler:
    """The stand-in as a process; it can be killed and started again at its address, and has forgotten all then."""

    def __init__(self, host: str = "127.0.0.1", patience: float = 30) -> None:
        """Start it.

        Args:
            host: the address of this machine that it listens at: `Cluster.host_ip` for nodes.
            patience: seconds that it lets a peer wait for a parent that is about to begin.
        """
        self.port, page = free_port(), free_port()
        self.address, self._page = f"{host}:{self.port}", f"http://{host}:{page}/state"
        options = ["--listen", host, "--port", str(self.port), "--http", str(page), "--patience", str(patience)]
        self._command = [sys.executable, "-m", "tests.cluster.addons.standin_scheduler", *options]
        self._service: Service | None = None
        self.start()

    def start(self) -> None:
        """Start it and wait until it answers."""
        self._service = Service(self._command, self._page, {"PYTHONPATH": str(_ROOT)})

    def kill(self) -> None:
        """SIGKILL."""
        if self._service:
            self._service.kill()
            self._service.stop()
        self._service = None

    stop = kill

    def state(self) -> dict[str, Any]:
        """What it knows: hosts, urls and peers of tasks, events."""
        found: dict[str, Any] = json.loads(http("GET", self._page)[2])
        return found


class Peer:
    """One dfdaemon. Start it in a thread that lives on: the daemon dies with the thread that started it."""

    def __init__(
        self,
        name: str,
        folder: Path,
        scheduler: StandinScheduler,
        *,
        seed: bool = False,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        """Describe it; `start` starts it. `config` is merged into dfdaemon.yaml, folder by folder of its keys."""
        self.name, self.seed, self.folder = name, seed, folder / name
        self.socket = self.folder / "run/dfdaemon.sock"
        """For clients; they may mount the folder that it lies in."""
        self.storage = self.folder / "storage"
        self.ip = ""
        """Loopback address; another one after every start."""
        self._config, self._scheduler = dict(config or {}), scheduler
        self._service: Service | None = None
        for part in ("run", "storage", "plugins", "cache", "log"):
            (self.folder / part).mkdir(parents=True)

    @property
    def proxy(self) -> str:
        """URL of its HTTP proxy."""
        return f"http://{self.ip}:4001"

    @property
    def log(self) -> str:
        """What it has printed since its start."""
        return self._service.log if self._service else ""

    def launch(self) -> None:
        """Let it begin to start, which takes more than 3 s (it measures its network); `start` waits for it."""
        if self._service is None:
            self.ip = _address()
            self._write()
            self._service = Service(self._command, f"http://{self.ip}:4003/healthy", wait=False)

    def start(self) -> None:
        """Start it, at a fresh address, and wait until its socket answers and the scheduler knows it.

        A daemon that was just stopped leaves its ports in use for up to a minute (TIME_WAIT without SO_REUSEADDR).
        """
        for attempt in itertools.count(1):
            self.launch()
            assert self._service is not None
            try:
                self._service.ready()
                break
            except ClusterError as error:
                self._service = None
                if attempt == _ATTEMPTS or "in use" not in str(error):
                    raise
        wait_for(self.accepts, f"socket of {self.name}", 90)
        self.wait_known()

    def wait_known(self) -> None:
        """Wait until the scheduler knows it, which it tells every 5 s."""
        wait_for(lambda: self.ip in self._known(), f"{self.name} at the scheduler", 90)

    def kill(self) -> None:
        """SIGKILL: the socket's file stays, nobody answers, and the scheduler still believes in it."""
        if self._service:
            self._service.kill()
            self._service.stop()
            self._service = None

    def stop(self) -> None:
        """End it in order: it tells the scheduler."""
        if self._service:
            self._service.stop()
            self._service = None

    def accepts(self) -> bool:
        """Whether somebody answers at its socket."""
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(str(self.socket))
            except OSError:
                return False
            return True

    def traffic(self) -> dict[str, int]:
        """Bytes that it loaded since its start, by source, out of its metrics."""
        return parse_traffic(http("GET", f"http://{self.ip}:4002/metrics")[2].decode())

    @property
    def _command(self) -> list[str]:
        program = str(build.ensure(["dfdaemon"])["dfdaemon"])
        files = ["--config", str(self.folder / "dfdaemon.yaml"), "--dynconfig", str(self.folder / "dynconfig.yaml")]
        return [program, *files, "--log-dir", str(self.folder / "log"), "--console", "--log-level", "info"]

    def _known(self) -> set[str]:
        return {host["ip"] for host in self._scheduler.state()["hosts"].values()}

    def _write(self) -> None:
        self.socket.unlink(missing_ok=True)
        own = {
            "server": {"pluginDir": str(self.folder / "plugins"), "cacheDir": str(self.folder / "cache")},
            "download": {"server": {"socketPath": str(self.socket)}},
            "storage": {"dir": str(self.storage)},
        }
        config = configuration(seed=self.seed)
        for part in (_addresses(self.name, self.ip), own, self._config):
            config = merged(config, part)
        (self.folder / "dfdaemon.yaml").write_text(yaml.safe_dump(config))
        dynamic = {"scheduler": {"addrs": [self._scheduler.address]}}
        (self.folder / "dynconfig.yaml").write_text(yaml.safe_dump(dynamic))


def configuration(*, seed: bool) -> dict[str, Any]:
    """A dfdaemon.yaml as the Dragonfly chart makes it, but for its patience; pieces outlive the process."""
    return {
        "seedPeer": {"enable": seed, "type": "super"},
        "scheduler": {"announceInterval": "5s", "maxScheduleCount": 5},
        "dynconfig": {"refreshInterval": "5s"},
        "storage": {"keep": True},
        # of the whole disk, which is the machine's: else every start of a daemon may forget what it has
        "gc": {"policy": {"distHighThresholdPercent": 99, "distLowThresholdPercent": 98}},
        "proxy": {"rules": [{"regex": "blobs/sha256.*"}], "prefetch": True},
    }


def _addresses(name: str, ip: str) -> dict[str, Any]:
    """What lets several daemons share a machine: each has its own address for the same ports."""
    ports = {"upload": 4000, "proxy": 4001, "metrics": 4002, "health": 4003, "stats": 4004}
    return {
        "host": {"hostname": name, "ip": ip},
        "storage": {"server": {"ip": ip, "tcpPort": 4005, "quicPort": 4006}},
        **{part: {"server": {"ip": ip, "port": port}} for part, port in ports.items()},
    }


def merged(low: Mapping[str, Any], high: Mapping[str, Any]) -> dict[str, Any]:
    """Two trees as one; where both have a leaf, the second has it."""
    both = {key: merged(low[key], high[key]) for key in low.keys() & high.keys() if isinstance(low[key], Mapping)}
    return {**low, **high, **both}


def parse_traffic(metrics: str) -> dict[str, int]:
    """Bytes by source out of the text that a dfdaemon shows at /metrics."""
    found = dict.fromkeys(TRAFFIC, 0)
    for line in metrics.splitlines():
        if line.startswith(_METRIC):
            labels, _, value = line.partition("} ")
            found[labels.partition('type="')[2].partition('"')[0]] += int(float(value))
    return found


def _address() -> str:
    """A loopback address that nobody uses: another process of tests may run beside."""
    for _ in range(100):
        address = f"127.77.{secrets.randbelow(254) + 1}.{secrets.randbelow(254) + 1}"
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind((address, 4000))
            return address
    raise ClusterError("no loopback address of 127.77.0.0/16 has its port 4000 free")


class Dragonfly:
    """A scheduler's stand-in and peers around it, in a temporary folder."""

    def __init__(self, *names: str, seed: bool = False, config: Mapping[str, Any] | None = None) -> None:
        """Start the scheduler, then a seed if asked for (`seed`), then peers of these names."""
        self.folder = Path(tempfile.mkdtemp(prefix="pantala-p2p-"))
        self.peers: dict[str, Peer] = {}
        self.scheduler = StandinScheduler()
        try:
            for name in (*(["seed"] if seed else []), *names):
                self.peers[name] = Peer(name, self.folder, self.scheduler, seed=name == "seed", config=config)
                self.peers[name].launch()
            for peer in self.peers.values():
                peer.start()
        except BaseException:
            self.stop()
            raise

    def __getitem__(self, name: str) -> Peer:
        """A peer by its name."""
        return self.peers[name]

    def add(self, name: str, *, seed: bool = False, config: Mapping[str, Any] | None = None) -> Peer:
        """Start one more peer."""
        peer = self.peers[name] = Peer(name, self.folder, self.scheduler, seed=seed, config=config)
        peer.start()
        return peer

    def remove(self, name: str) -> None:
        """End a peer in order, and forget it."""
        self.peers.pop(name).stop()

    def traffic(self) -> dict[str, int]:
        """Bytes by source, of all peers that run."""
        found = [peer.traffic() for peer in self.peers.values() if peer.accepts()]
        return {kind: sum(one[kind] for one in found) for kind in TRAFFIC}

    def stop(self) -> None:
        """End all and remove what they stored."""
        for peer in self.peers.values():
            peer.kill()
        self.scheduler.stop()
        shutil.rmtree(self.folder)

    def __enter__(self) -> Self:
        """Return it running."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop it."""
        self.stop()


def dfget(
    peer: Peer, url: str, out: Path, *arguments: str, check: bool = True, seconds: float = 120
) -> "subprocess.CompletedProcess[str]":
    """Load a file by Dragonfly's own client through a peer; `arguments` are its options.

    Raises:
        AssertionError: it failed, unless `check` is false.
    """
    program = build.ensure(["dfdaemon"])["dfdaemon"].with_name("dfget")
    command = [str(program), "-e", str(peer.socket), "-O", str(out), url, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=seconds)
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done


def s3_options(endpoint: str, keys: Mapping[str, str], region: str = "us-east-1") -> list[str]:
    """Options of dfget for an S3 store; `keys` are AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."""
    identity, secret = keys["AWS_ACCESS_KEY_ID"], keys["AWS_SECRET_ACCESS_KEY"]
    options = {"endpoint": endpoint, "region": region, "access-key-id": identity, "access-key-secret": secret}
    return [f"--storage-{name}={value}" for name, value in options.items()]
