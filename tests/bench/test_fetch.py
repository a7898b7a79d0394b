"""The fetcher beside `rclone copy`, from the same local S3 server, to the same file system.

    pytest -m bench tests/bench/test_fetch.py -s

The two take turns, and the best of each is compared: machines that run tests are shared. PANTALA_BENCH_MIB sets the size
of the big file (default 4096).
"""

import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cluster.process import free_port
from tests.fetcher.tools import KEYS, environment, wait_until

pytestmark = pytest.mark.bench
ROUNDS = int(os.environ.get("PANTALA_BENCH_ROUNDS", "3"))
SIZE = int(os.environ.get("PANTALA_BENCH_MIB", "4096")) << 20
WEB = Path(__file__).parents[1] / "fetcher/web.py"


@pytest.fixture(scope="module")
def room() -> Iterator[Path]:
    """A folder in memory, so that no disk decides."""
    path = Path(f"/dev/shm/pantala-bench-{os.getpid()}")
    path.mkdir()
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="module")
def origin(room: Path) -> Iterator[tuple[str, Path]]:
    """An S3 endpoint that is faster than its readers."""
    root, port = room / "store", free_port()
    (root / "models/big").mkdir(parents=True)
    (root / "models/many").mkdir()
    with (root / "models/big/model.bin").open("wb") as stream:
        for _ in range(SIZE >> 20):
            stream.write(os.urandom(1 << 20))
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


def timed(command: list[str], env: dict[str, str], to: Path) -> float:
    """Seconds of a command that fills a new folder."""
    shutil.rmtree(to, ignore_errors=True)
    to.mkdir()
    begun = time.monotonic()
    subprocess.run(command, env=env, check=True, capture_output=True)
    return time.monotonic() - begun


def rclone(endpoint: str, what: str, to: Path, *args: str) -> float:
    """`rclone copy` with its defaults and the arguments given."""
    config = {"TYPE": "s3", "PROVIDER": "Other", "ENDPOINT": endpoint, "REGION": "us-east-1"}
    config |= {"ACCESS_KEY_ID": "AK", "SECRET_ACCESS_KEY": "SK"}
    env = environment({f"RCLONE_CONFIG_O_{name}": value for name, value in config.items()})
    return timed(["rclone", "--config", "/dev/null", *args, "copy", f"o:models/{what}", str(to)], env, to)


def pantala(endpoint: str, what: str, to: Path, *args: str) -> float:
    """`pantala fetch` as a process, from its start to its end."""
    code = "from pantala.cli.fetch import fetch; fetch()"
    command = [sys.executable, "-c", code, "--uri", f"s3://models/{what}", "--to", str(to), "--endpoint", endpoint]
    return timed([*command, "--metrics-port", "0", *args], environment(KEYS), to)


def best(*runs: Callable[[], float]) -> list[float]:
    """The best of each, taking turns."""
    rounds = [[run() for run in runs] for _ in range(ROUNDS)]
    return [min(times) for times in zip(*rounds, strict=True)]


@pytest.mark.parametrize("what", ["big", "many"])
def test_not_slower_than_rclone(origin: tuple[str, Path], room: Path, what: str) -> None:
    """One file of 4 GiB, and 500 files of 200 kB."""
    endpoint, root = origin
    to = room / "to"
    size = sum(path.stat().st_size for path in (root / "models" / what).iterdir())
    ours, theirs = best(lambda: pantala(endpoint, what, to), lambda: rclone(endpoint, what, to))
    print(
        f"\n{what}: pantala {ours:.2f} s ({size / ours / 2**20:.0f} MiB/s), rclone {theirs:.2f} s, ratio {theirs / ours:.2f}"
    )
    shutil.rmtree(to)


def test_with_a_digest(origin: tuple[str, Path], room: Path) -> None:
    """Verifying every byte against a promised sha256, beside rclone that verifies nothing (no md5 in the etag)."""
    endpoint, root = origin
    to = room / "to"
    with (root / "models/big/model.bin").open("rb") as stream:
        digest = "sha256:" + hashlib.file_digest(stream, "sha256").hexdigest()
    args = ("--digest", digest)
    ours, theirs = best(
        lambda: pantala(endpoint, "big/model.bin", to, *args),
        lambda: rclone(endpoint, "big", to),
    )
    print(f"\nbig, verified: pantala {ours:.2f} s, rclone unverified {theirs:.2f} s, ratio {theirs / ours:.2f}")
    shutil.rmtree(to)


def test_memory(origin: tuple[str, Path], room: Path) -> None:
    """Peak resident memory for the big file is under 200 MB."""
    endpoint, _ = origin
    to = room / "to"
    to.mkdir(exist_ok=True)
    code = "from pantala.cli.fetch import fetch; fetch()"
    command = [sys.executable, "-c", code, "--uri", "s3://models/big", "--to", str(to), "--endpoint", endpoint]
    process = subprocess.Popen([*command, "--metrics-port", "0"], env=environment(KEYS), stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    shutil.rmtree(to)
    print(f"\npeak memory {usage.ru_maxrss / 1000:.0f} MB, user {usage.ru_utime:.1f} s, system {usage.ru_stime:.1f} s")
    assert process.returncode == 0
    assert usage.ru_maxrss < 200_000
