"""The fetcher beside `rclone copy`, from the same local S3 server, to the same file system.

    pytest -m bench tests/bench/test_fetch.py -s

The two take turns; machines that run tests are shared, so best, median and the processor's time are told. rclone has
its defaults, but for the question whether the bucket exists. PANTALA_BENCH_MIB sets the size of the big file (default
4096), PANTALA_BENCH_ROUNDS the number of turns.
"""

import base64
import hashlib
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cluster.addons.s3 import S3Server
from tests.cluster.process import free_port
from tests.fetcher.tools import KEYS, environment, wait_until

pytestmark = pytest.mark.bench
ROUNDS = int(os.environ.get("PANTALA_BENCH_ROUNDS", "5"))
SIZE = int(os.environ.get("PANTALA_BENCH_MIB", "4096")) << 20
MOTO_SIZE = min(SIZE, 512 << 20)
"""moto holds objects in memory, and copies the whole one for each range."""
MEMORY = 200_000
"""KiB that a fetch may take."""
WEB = Path(__file__).parents[1] / "fetcher/web.py"


@dataclass(frozen=True)
class Run:
    """What one process took."""

    seconds: float
    cpu: float
    """User and system, in seconds."""
    memory: int
    """Peak, in KiB."""


@pytest.fixture(scope="module")
def origin(room: Path) -> Iterator[tuple[str, Path]]:
    """An S3 endpoint that is faster than its readers."""
    root, port = room / "store", free_port()
    for folder in ("models/big", "models/many", "models/sealed", ".md5/models/sealed"):
        (root / folder).mkdir(parents=True)
    md5 = hashlib.md5()
    with (root / "models/big/model.bin").open("wb") as stream:
        for _ in range(SIZE >> 20):
            block = os.urandom(1 << 20)
            md5.update(block)
            stream.write(block)
    (root / "models/sealed/model.bin").hardlink_to(root / "models/big/model.bin")
    (root / ".md5/models/sealed/model.bin").write_text(base64.b64encode(md5.digest()).decode())
    for number in range(500):
        (root / f"models/many/{number:04}").write_bytes(os.urandom(200_000))
    process = subprocess.Popen([sys.executable, str(WEB), str(root), str(port)])
    endpoint = f"http://127.0.0.1:{port}"
    wait_until(
        lambda: subprocess.run(["curl", "-sf", "-o", "/dev/null", f"{endpoint}/models"], check=False).returncode == 0
    )
    yield endpoint, root
    process.kill()
    process.wait()


def measured(command: list[str], env: dict[str, str], to: Path) -> Run:
    """Run a command that fills a new folder."""
    shutil.rmtree(to, ignore_errors=True)
    to.mkdir()
    begun = time.monotonic()
    with (to.parent / "log").open("wb") as log:
        process = subprocess.Popen(command, env=env, stdout=log, stderr=log)
        _, status, usage = os.wait4(process.pid, 0)
    seconds = time.monotonic() - begun
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, (to.parent / "log").read_text()
    return Run(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss)


def rclone(endpoint: str, what: str, to: Path) -> Run:
    """`rclone copy` of a folder."""
    config = {"TYPE": "s3", "PROVIDER": "Other", "ENDPOINT": endpoint, "REGION": "us-east-1"}
    config |= {"ACCESS_KEY_ID": "AK", "SECRET_ACCESS_KEY": "SK"}
    env = environment({f"RCLONE_CONFIG_O_{name}": value for name, value in config.items()})
    options = ["--config", "/dev/null", "--s3-no-check-bucket"]
    return measured(["rclone", *options, "copy", f"o:models/{what}", str(to)], env, to)


def pantala(endpoint: str, what: str, to: Path, *args: str) -> Run:
    """`pantala fetch` as a process, from its start to its end."""
    code = "from pantala.cli.fetch import fetch; fetch()"
    command = [sys.executable, "-c", code, "--uri", f"s3://models/{what}", "--to", str(to), "--endpoint", endpoint]
    return measured([*command, "--metrics-port", "0", *args], environment(KEYS), to)


def compare(
    name: str, size: int, ours: Callable[[], Run], theirs: Callable[[], Run], *, memory: bool = True
) -> list[Run]:
    """Take turns, tell the figures (`memory` means nothing if this process is bigger), give back our runs."""
    pairs = [(ours(), theirs()) for _ in range(ROUNDS)]
    mine, other = [pair[0] for pair in pairs], [pair[1] for pair in pairs]

    def told(pick: Callable[[list[float]], float], of: Callable[[Run], float]) -> str:
        left, right = pick([of(run) for run in mine]), pick([of(run) for run in other])
        return f"{left:.2f} s / {right:.2f} s = {right / left:.2f}"

    print(f"\n{name}: {size / 2**20:.0f} MiB, {ROUNDS} pairs, pantala / rclone = ratio (above 1: pantala takes less)")
    print(f"  best {told(min, lambda run: run.seconds)}, median {told(statistics.median, lambda run: run.seconds)}")
    print(f"  processor, median {told(statistics.median, lambda run: run.cpu)}")
    if memory:
        peaks = [max(run.memory for run in runs) / 1024 for runs in (mine, other)]
        print(f"  peak memory {peaks[0]:.0f} MiB / {peaks[1]:.0f} MiB")
    return mine


def total(folder: Path) -> int:
    """Bytes of the files in a folder."""
    return sum(path.stat().st_size for path in folder.iterdir())


@pytest.mark.parametrize("what", ["big", "many"])
def test_beside_rclone(origin: tuple[str, Path], room: Path, what: str) -> None:
    """One file of 4 GiB, and 500 files of 200 kB; memory is bounded whatever the size."""
    endpoint, root = origin
    to, size = room / "to", total(root / "models" / what)
    runs = compare(what, size, lambda: pantala(endpoint, what, to), lambda: rclone(endpoint, what, to))
    assert max(run.memory for run in runs) < MEMORY
    shutil.rmtree(to)


@pytest.mark.parametrize("what", ["big", "sealed"])
def test_with_a_digest(origin: tuple[str, Path], room: Path, what: str) -> None:
    """Every byte verified: beside rclone that knows no sum (big), and one that knows one and verifies it (sealed)."""
    endpoint, root = origin
    to = room / "to"
    with (root / "models/big/model.bin").open("rb") as stream:
        digest = "sha256:" + hashlib.file_digest(stream, "sha256").hexdigest()
    runs = compare(
        f"{what}, verified by pantala",
        SIZE,
        lambda: pantala(endpoint, f"{what}/model.bin", to, "--digest", digest),
        lambda: rclone(endpoint, what, to),
    )
    assert max(run.memory for run in runs) < MEMORY
    shutil.rmtree(to)


def test_from_moto(room: Path) -> None:
    """The S3 server of all other tests, which is slower than both: it copies the whole object for each range."""
    to = room / "to"
    with S3Server() as server:
        server.create_bucket("models")
        server.put("models", "big/model.bin", os.urandom(MOTO_SIZE))
        for number in range(200):
            server.put("models", f"many/{number:04}", os.urandom(50_000))
        for what, size in (("big", MOTO_SIZE), ("many", 200 * 50_000)):
            compare(
                f"moto, {what}",
                size,
                lambda what=what: pantala(server.endpoint, what, to),
                lambda what=what: rclone(server.endpoint, what, to),
                memory=False,
            )
    shutil.rmtree(to)
