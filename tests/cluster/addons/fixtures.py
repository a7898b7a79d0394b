"""pytest fixtures of the add-ons: stores, Dragonfly's peers, and KEDA."""

from collections.abc import Iterator

import pytest

from tests.cluster import Cluster
from tests.cluster.addons import azure, loopback
from tests.cluster.addons.azure import Azurite
from tests.cluster.addons.dragonfly import Dragonfly
from tests.cluster.addons.faults import FaultProxy
from tests.cluster.addons.gcs import GcsServer
from tests.cluster.addons.keda import Keda
from tests.cluster.addons.s3 import S3Gateway, S3Server


@pytest.fixture(scope="session")
def s3() -> Iterator[S3Server]:
    """An S3 server of this session; tests use buckets of their own."""
    with S3Server() as server:
        yield server


@pytest.fixture(scope="session")
def s3_gateway() -> Iterator[S3Gateway]:
    """An S3 server that streams large objects and checks keys (tier p2p); tests use buckets of their own."""
    with S3Gateway() as server:
        yield server


@pytest.fixture(scope="session")
def gcs() -> Iterator[GcsServer]:
    """An emulator of Google Cloud Storage (tier p2p); tests use buckets of their own."""
    with GcsServer() as server:
        yield server


@pytest.fixture(scope="session")
def azurite() -> Iterator[Azurite]:
    """An emulator of Azure Blob Storage, if the machine has Node.js; tests use containers of their own."""
    if reason := azure.lacks():
        pytest.skip(reason)
    with Azurite() as server:
        yield server


@pytest.fixture
def origin(s3_gateway: S3Gateway) -> Iterator[FaultProxy]:
    """A proxy in front of `s3_gateway` that counts what it gave and breaks it on demand (tier p2p)."""
    with FaultProxy(s3_gateway.endpoint) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def dragonfly() -> Iterator[Dragonfly]:
    """A stand-in scheduler and two real dfdaemons, `n1` and `n2`, for a module (tier p2p).

    A test that wants a seed, or one more peer, adds it and removes it again; one that kills a peer starts it again.
    """
    with Dragonfly("n1", "n2") as started:
        yield started


@pytest.fixture(scope="module")
def keda(kwok_cluster: Cluster) -> Iterator[Keda]:
    """KEDA on simulated nodes (tier keda), for the tests of one file."""
    if reason := loopback.missing():
        pytest.skip(f"tier keda: {reason}")
    with Keda(kwok_cluster) as started:
        yield started
