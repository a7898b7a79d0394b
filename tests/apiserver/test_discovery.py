"""What API servers serve is asked in one request."""

import pytest

from pantala.cluster.client import Client
from pantala.cluster.discovery import present
from pantala.cluster.resources import DEPLOYMENT, VIRTUAL_SERVICE
from tests.cluster import Cluster

pytestmark = pytest.mark.apiserver


async def test_discovery(control_plane: Cluster, api_server_1_31: Cluster) -> None:
    """The newest and the oldest API server say in one answer what they serve, to a user without rights; once while nothing changes."""
    for cluster in (control_plane, api_server_1_31):
        async with await Client.connect(str(cluster.user("nobody"))) as client:
            groups, tag = await client.discover()
            assert groups is not None
            assert present(groups, (DEPLOYMENT, VIRTUAL_SERVICE)) == {DEPLOYMENT}
            assert tag
            assert await client.discover(tag) == (None, tag)
