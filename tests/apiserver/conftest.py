"""Fixtures of the tests on a real API server."""

from collections.abc import Iterator

import pytest
from kubernetes.config import new_client_from_config

from tests.apiserver.models import Api
from tests.cluster import Cluster


@pytest.fixture(scope="session")
def api(control_plane: Cluster) -> Iterator[Api]:
    """The newest supported API server with the CRD installed."""
    with new_client_from_config(str(control_plane.kubeconfig)) as client:
        api = Api(client)
        api.install()
        yield api
