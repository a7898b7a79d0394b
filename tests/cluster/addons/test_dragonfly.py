"""Real daemons around the stand-in scheduler do what tests of the fetcher rely on."""

import hashlib
import os
import resource
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.cluster.addons.dragonfly import Dragonfly, StandinScheduler, dfget, parse_traffic, s3_options
from tests.cluster.addons.faults import FaultProxy, Rule
from tests.cluster.addons.s3 import S3Gateway

MIB = 1 << 20
SIZE = 20 * MIB
BUCKET = "dragonfly"


@pytest.fixture
def stored(s3_gateway: S3Gateway, request: pytest.FixtureRequest) -> tuple[str, bytes]:
    """URL and content of a file that no test loaded before."""
    name, content = f"{request.node.name}.bin", os.urandom(SIZE)
    s3_gateway.create_bucket(BUCKET)
    s3_gateway.put(BUCKET, name, content)
    return f"s3://{BUCKET}/{name}", content


@pytest.fixture
def seed(dragonfly: Dragonfly) -> Iterator[None]:
    """A seed beside the peers, for one test."""
    dragonfly.add("seed", seed=True)
    yield
    dragonfly.remove("seed")


def load(dragonfly: Dragonfly, name: str, origin: FaultProxy, s3: S3Gateway, url: str, out: Path) -> dict[str, int]:
    """Load a file through a peer and return what its metrics counted meanwhile."""
    before = dragonfly[name].traffic()
    dfget(dragonfly[name], url, out, *s3_options(origin.endpoint, s3.credentials), "--transfer-from-dfdaemon")
    return {kind: value - before[kind] for kind, value in dragonfly[name].traffic().items()}


def traffic(source: int = 0, remote: int = 0, local: int = 0) -> dict[str, int]:
    """Bytes by source in dfdaemon's words."""
    return {"BACK_TO_SOURCE": source, "REMOTE_PEER": remote, "LOCAL_PEER": local}


def test_metrics_are_read() -> None:
    """Bytes by source are read out of dfdaemon's metrics; a source that gave nothing is 0."""
    text = 'x{type="REMOTE_PEER"} 1\ndragonfly_client_download_traffic{type="REMOTE_PEER"} 7\n'
    assert parse_traffic(text) == traffic(remote=7)


@pytest.mark.p2p
def test_the_origin_is_read_once(
    dragonfly: Dragonfly, origin: FaultProxy, s3_gateway: S3Gateway, stored: tuple[str, bytes], tmp_path: Path
) -> None:
    """The first peer reads the origin, the second one reads the first, and a second time its own; to the byte."""
    url, content = stored
    wanted = (("n1", traffic(source=SIZE)), ("n2", traffic(remote=SIZE)), ("n2", traffic(local=SIZE)))
    for number, (name, expected) in enumerate(wanted):
        out = tmp_path / str(number)
        assert load(dragonfly, name, origin, s3_gateway, url, out) == expected
        assert out.read_bytes() == content
    assert origin.given() == SIZE
    assert origin.count("GET", r"\.bin") == SIZE / (4 * MIB)


@pytest.mark.p2p
def test_two_cold_peers_at_once(
    dragonfly: Dragonfly, origin: FaultProxy, s3_gateway: S3Gateway, stored: tuple[str, bytes], tmp_path: Path
) -> None:
    """Both ask at once, the origin gives one copy."""
    with ThreadPoolExecutor(2) as pool:
        jobs = [
            pool.submit(load, dragonfly, name, origin, s3_gateway, stored[0], tmp_path / name) for name in ("n1", "n2")
        ]
        found = [job.result() for job in jobs]
    assert origin.given() == SIZE
    assert {kind: sum(one[kind] for one in found) for kind in found[0]} == traffic(source=SIZE, remote=SIZE)
    assert all((tmp_path / name).read_bytes() == stored[1] for name in ("n1", "n2"))


@pytest.mark.p2p
@pytest.mark.usefixtures("seed")
def test_the_seed_reads_the_origin(
    dragonfly: Dragonfly, origin: FaultProxy, s3_gateway: S3Gateway, stored: tuple[str, bytes], tmp_path: Path
) -> None:
    """With a seed no other peer reads the origin, not even one whose request forbids it to."""
    options = (*s3_options(origin.endpoint, s3_gateway.credentials), "--disable-back-to-source")
    before = dragonfly["n1"].traffic()
    dfget(dragonfly["n1"], stored[0], tmp_path / "out", *options)
    assert (tmp_path / "out").read_bytes() == stored[1]
    assert dragonfly["seed"].traffic() == traffic(source=SIZE)
    assert dragonfly["n1"].traffic()["BACK_TO_SOURCE"] == before["BACK_TO_SOURCE"]
    assert origin.given() == SIZE


@pytest.mark.p2p
def test_without_a_parent_the_origin_may_be_forbidden(
    dragonfly: Dragonfly, origin: FaultProxy, s3_gateway: S3Gateway, stored: tuple[str, bytes], tmp_path: Path
) -> None:
    """A request that disables back-to-source fails where no peer has the file, and the origin gives nothing."""
    options = (*s3_options(origin.endpoint, s3_gateway.credentials), "--disable-back-to-source")
    assert dfget(dragonfly["n1"], stored[0], tmp_path / "out", *options, check=False).returncode == 1
    assert origin.given() == 0


@pytest.mark.p2p
def test_killed_and_started_again(
    dragonfly: Dragonfly, origin: FaultProxy, s3_gateway: S3Gateway, stored: tuple[str, bytes], tmp_path: Path
) -> None:
    """A killed daemon's socket stays and refuses; started again it still has what it loaded, at another address."""
    peer, url = dragonfly["n1"], stored[0]
    load(dragonfly, "n1", origin, s3_gateway, url, tmp_path / "1")
    address = peer.ip
    peer.kill()
    assert peer.socket.exists()
    assert not peer.accepts()
    peer.start()
    assert peer.ip != address
    assert load(dragonfly, "n1", origin, s3_gateway, url, tmp_path / "2") == traffic(local=SIZE)
    assert (tmp_path / "2").read_bytes() == stored[1]


@pytest.mark.p2p
def test_without_the_scheduler(
    dragonfly: Dragonfly, origin: FaultProxy, s3_gateway: S3Gateway, stored: tuple[str, bytes], tmp_path: Path
) -> None:
    """While the scheduler is dead every daemon goes to the origin silently; started again it learns its hosts again."""
    dragonfly.scheduler.kill()
    try:
        for name in ("n1", "n2"):
            found = load(dragonfly, name, origin, s3_gateway, stored[0], tmp_path / name)
            assert found == traffic(source=SIZE)
    finally:
        dragonfly.scheduler.start()
        for peer in dragonfly.peers.values():
            peer.wait_known()
    assert origin.given() == 2 * SIZE


@pytest.mark.p2p
def test_a_refused_key_and_a_broken_origin(
    dragonfly: Dragonfly, origin: FaultProxy, s3_gateway: S3Gateway, stored: tuple[str, bytes], tmp_path: Path
) -> None:
    """The store checks keys, and a rule in front of it reaches the daemon: neither leaves a file."""
    keys = s3_gateway.add_key("AKIAOTHER00000000000", "another-secret-key")
    wrong = {**keys, "AWS_SECRET_ACCESS_KEY": "not-the-secret-key"}
    out = tmp_path / "out"
    assert dfget(dragonfly["n1"], stored[0], out, *s3_options(origin.endpoint, wrong), check=False).returncode == 1
    rule = origin.add(Rule(method="GET", path=r"\.bin", status=404, code="NoSuchKey"))
    assert dfget(dragonfly["n1"], stored[0], out, *s3_options(origin.endpoint, keys), check=False).returncode == 1
    assert rule.hits
    origin.clear()
    dfget(dragonfly["n1"], stored[0], out, *s3_options(origin.endpoint, keys))
    assert out.read_bytes() == stored[1]


@pytest.mark.p2p
def test_a_large_object_streams(
    dragonfly: Dragonfly, origin: FaultProxy, s3_gateway: S3Gateway, tmp_path: Path
) -> None:
    """512 MiB go through store, proxy and daemons without being held in memory by any of them."""
    block, blocks = os.urandom(16 * MIB), 32
    with (tmp_path / "large").open("wb") as file:
        for _ in range(blocks):
            file.write(block)
    s3_gateway.create_bucket(BUCKET)
    s3_gateway.put(BUCKET, "large.bin", tmp_path / "large")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    load(dragonfly, "n1", origin, s3_gateway, f"s3://{BUCKET}/large.bin", tmp_path / "out")
    assert origin.given() == len(block) * blocks
    with (tmp_path / "out").open("rb") as file, (tmp_path / "large").open("rb") as wanted:
        assert hashlib.file_digest(file, "sha256").digest() == hashlib.file_digest(wanted, "sha256").digest()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024  # KiB
    assert s3_gateway.peak_memory() < 256 * MIB
    s3_gateway.delete(BUCKET, "large.bin")


@pytest.mark.p2p
def test_the_stand_in_forgets() -> None:
    """A scheduler that is killed and started again at its address knows nothing of before."""
    scheduler = StandinScheduler()
    try:
        port = scheduler.port
        scheduler.kill()
        scheduler.start()
        assert scheduler.port == port
        assert scheduler.state()["events"] == []
    finally:
        scheduler.stop()
