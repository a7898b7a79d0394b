"""Stores for the fetcher's tests."""

import itertools
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.addons.faults import FaultProxy
from tests.cluster.addons.s3 import S3Gateway, S3Server
from tests.cluster.process import free_port
from tests.fetcher.through import Bucket
from tests.fetcher.tools import Proxy, wait_until

_NUMBERS = itertools.count()


@pytest.fixture
def bucket(s3: S3Server) -> str:
    """A new bucket."""
    name = f"fetch-{next(_NUMBERS)}"
    s3.create_bucket(name)
    return name


@pytest.fixture
def bucket_p2p(s3_gateway: S3Gateway, origin: FaultProxy, tmp_path: Path) -> Bucket:
    """A new bucket behind a proxy that counts and breaks, for what comes through dfdaemon (tier p2p)."""
    name = f"p2p-{next(_NUMBERS)}"
    s3_gateway.create_bucket(name)
    (tmp_path / "fetched").mkdir()
    return Bucket(s3_gateway, origin, name, tmp_path / "fetched")


@pytest.fixture
def proxy(s3: S3Server) -> Iterator[Proxy]:
    """A proxy in front of S3 that counts and breaks."""
    proxy = Proxy(s3.endpoint)
    yield proxy
    proxy.close()


@pytest.fixture
def to(tmp_path: Path) -> Path:
    """The target folder."""
    return tmp_path / "models"


@pytest.fixture
def web(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A web server (aiohttp) and the folder that it serves."""
    root = tmp_path / "web"
    (root / "files").mkdir(parents=True)
    yield from _serve(root, [str(Path(__file__).parent / "web.py"), str(root)])


@pytest.fixture
def plain_web(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A web server without ranges and etags (Python's own), and the folder that it serves."""
    root = tmp_path / "plain"
    (root / "files").mkdir(parents=True)
    yield from _serve(root, ["-m", "http.server", "--bind", "127.0.0.1", "--directory", str(root)])


def _serve(root: Path, command: list[str]) -> Iterator[tuple[str, Path]]:
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, *command, str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        wait_until(lambda: _listens(port))
        yield f"http://127.0.0.1:{port}/files", root / "files"
    finally:
        process.terminate()
        process.wait(10)


def _listens(port: int) -> bool:
    import socket

    with socket.socket() as connection:
        return connection.connect_ex(("127.0.0.1", port)) == 0
