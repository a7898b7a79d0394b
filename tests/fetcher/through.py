"""What the tests of the way through dfdaemon share."""

import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.cluster.addons.dragonfly import Dragonfly, Peer
from tests.cluster.addons.faults import FaultProxy, Request
from tests.cluster.addons.s3 import S3Gateway
from tests.fetcher.tools import MIB, Result, fetch, start

SOURCES = {"BACK_TO_SOURCE": "origin", "REMOTE_PEER": "peer", "LOCAL_PEER": "local"}
PIECE = 4 * MIB
_MEASURE = """
import resource, subprocess, sys
code = subprocess.call(sys.argv[1:])
usage = resource.getrusage(resource.RUSAGE_CHILDREN)
print(f"cpu {usage.ru_utime + usage.ru_stime:.2f} s, peak {usage.ru_maxrss} KiB")
sys.exit(code)
"""
MEASURED = [sys.executable, "-c", _MEASURE]
"""Prefix of a command: tells its processor's time and its peak memory. (A child of the test itself would inherit the test's peak.)"""


def by_dfdaemon(request: Request) -> bool:
    """Whether a request for content is dfdaemon's: it asks for single pieces, the fetcher for more."""
    first, _, last = request.headers.get("range", "").removeprefix("bytes=").partition("-")
    return first.isdigit() and last.isdigit() and int(last) - int(first) < PIECE


def spoil(peer: Peer, size: int) -> int:
    """Change a byte in each file of this size that a dfdaemon stores; give their number."""
    found = [path for path in peer.storage.rglob("*") if path.is_file() and path.stat().st_size == size]
    for path in found:
        with path.open("r+b") as stream:
            stream.seek(size // 2)
            byte = stream.read(1)[0]
            stream.seek(size // 2)
            stream.write(bytes([byte ^ 1]))
    return len(found)


@dataclass(frozen=True)
class Bucket:
    """A bucket behind a proxy that counts, and the peers in front of it."""

    store: S3Gateway
    origin: FaultProxy
    name: str
    to: Path

    def put(self, key: str, content: bytes) -> None:
        """Upload."""
        self.store.put(self.name, key, content)

    def arguments(self, peer: Peer | Path, *more: str) -> list[str]:
        """Arguments that every fetch has."""
        socket = peer.socket if isinstance(peer, Peer) else peer
        return ["--endpoint", self.origin.endpoint, "--peers", str(socket), *more]

    def fetch(self, peer: Peer | Path, key: str, *more: str, to: str = "", **options: Any) -> Result:
        """Fetch a key, each time to another folder unless it is named."""
        folder = self.to / (to or f"{key.strip('/').replace('/', '-')}-{len(list(self.to.iterdir()))}")
        options.setdefault("env", self.store.credentials)
        return fetch(folder, f"s3://{self.name}/{key}", *self.arguments(peer, *more), **options)

    def start(self, peer: Peer, key: str, to: str, *more: str, **options: Any) -> Any:
        """Start a fetch and do not wait for it."""
        folder = self.to / to
        folder.mkdir(exist_ok=True)
        common = ["--uri", f"s3://{self.name}/{key}", "--to", str(folder), "--metrics-port", "0"]
        return start(*common, *self.arguments(peer, *more), env=self.store.credentials, **options)

    def folders(self) -> list[Path]:
        """Where was fetched to, in the order of the fetches."""
        folders = [path for path in self.to.iterdir() if path.is_dir()]
        return sorted(folders, key=lambda path: (path / ".pantala").stat().st_ctime_ns)

    def newest(self) -> Path:
        """The folder that was fetched to last."""
        return self.folders()[-1]


@dataclass
class Meter:
    """What the daemons and the origin count, since it was made."""

    dragonfly: Dragonfly
    origin: FaultProxy

    def __post_init__(self) -> None:
        """Begin at zero."""
        self._before = Counter(self.dragonfly.traffic())
        self.origin.forget()

    def daemons(self) -> dict[str, int]:
        """Bytes by the ledger's names for sources."""
        now = self.dragonfly.traffic()
        return {SOURCES[name]: now[name] - self._before[name] for name in SOURCES}

    def agrees(self, *results: Result) -> None:
        """Hold the ledgers against the daemons' metrics and what the origin gave, to the byte."""
        told: Counter[str] = Counter()
        for result in results:
            told.update(result.bytes)
            told["origin"] -= result.message["direct"]
        direct = sum(result.message["direct"] for result in results)
        counted = self.daemons()
        assert {name: told[name] for name in counted} == counted
        assert self.given() == counted["origin"] + direct

    def given(self) -> int:
        """Bytes of objects that the origin gave; listings are none."""
        return self.origin.given("^/[^/]+/.")
