"""Three real nodes with real dfdaemons, a stand-in for the scheduler, and a store that counts and can be broken."""

import os
from collections.abc import Iterator

import pytest

from tests.cluster import Cluster, ClusterSpec
from tests.cluster.addons.dragonfly_nodes import NodePeers
from tests.cluster.addons.faults import FaultProxy
from tests.cluster.addons.s3 import S3Gateway
from tests.cluster.fixtures import IMAGES, running, unique
from tests.e2e.p2p.space import PeerSpace
from tests.e2e.support import Space


@pytest.fixture(scope="package")
def cluster() -> Iterator[Cluster]:
    """Three real nodes; PANTALA_CLUSTER=NAME takes a cluster of three that `up` made, with the image dfdaemon."""
    if name := os.environ.get("PANTALA_CLUSTER"):
        yield Cluster.attach(name)
        return
    with running("p2p", ClusterSpec(unique("peers"), nodes=3, images=(*IMAGES, "dfdaemon"))) as started:
        yield started


@pytest.fixture(scope="package")
def peers(cluster: Cluster) -> Iterator[NodePeers]:
    """A dfdaemon on every node."""
    with NodePeers(cluster) as started:
        yield started


@pytest.fixture(scope="package")
def s3(s3_gateway: S3Gateway) -> S3Gateway:
    """The store: objects of GiB, keys that are checked."""
    return s3_gateway


@pytest.fixture(scope="module")
def origin(s3: S3Gateway) -> Iterator[FaultProxy]:
    """The store as models see it: it counts what it gives, and a test can break it."""
    with FaultProxy(s3.endpoint) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def peer_space(space: Space, s3: S3Gateway, origin: FaultProxy, peers: NodePeers) -> PeerSpace:
    """A namespace whose models go through the daemons."""
    return PeerSpace(space.cluster, s3, space.namespace, origin, peers)
