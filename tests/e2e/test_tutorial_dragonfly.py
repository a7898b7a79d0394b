"""The tutorial of Dragonfly, as a newcomer types it, on two nodes with the real daemons.

Dragonfly's scheduler is a stand-in (`tests.cluster.addons.standin_scheduler`): the page says so, and nothing is said about the real
one.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster import Cluster, ClusterSpec
from tests.cluster.addons.dragonfly_nodes import NodePeers
from tests.cluster.fixtures import running, unique
from tests.e2e import pages
from tests.e2e.support import Space

pytestmark = [pytest.mark.e2e, pytest.mark.p2p]

SIZE = 25_167_432
"""Bytes of the archive that the page makes."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """Two nodes in place of the one that other modules share."""
    with running("p2p", ClusterSpec(unique("pictures"), nodes=2, images=("pantala", "torchserve", "dfdaemon"))) as made:
        yield made


@pytest.fixture(scope="module")
def peers(cluster: Cluster) -> Iterator[NodePeers]:
    """A daemon on each node, around the stand-in for the scheduler."""
    with NodePeers(cluster) as started:
        yield started


def test_every_step_does_what_the_page_says(peers: NodePeers, space: Space, tmp_path: Path) -> None:
    """From a .mar to an answer about a picture, on two nodes and once more: outputs and the ledger are those on the page.

    The daemons' own metrics say the same: read from the store once, from a peer once, and once from where it was already.
    """
    assert len(pages.follow(pages.DOCS / "tutorial-dragonfly.md", space, tmp_path)) >= 12
    pages.nothing_is_left(space)
    found = sum(map(Counter, peers.traffic().values()), Counter[str]())
    assert found == {"BACK_TO_SOURCE": SIZE, "REMOTE_PEER": SIZE, "LOCAL_PEER": SIZE}
