"""Fixtures of the tests on a real API server."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial

import pytest
from kubernetes.config import new_client_from_config

from tests.apiserver.devices import NODES
from tests.apiserver.models import Api
from tests.apiserver.operator_process import Installation, api_of
from tests.apiserver.standin_dra_driver import installed
from tests.cluster import Cluster


@pytest.fixture(scope="session")
def api(control_plane: Cluster) -> Iterator[Api]:
    """The newest supported API server with the CRD installed."""
    with new_client_from_config(str(control_plane.kubeconfig)) as client:
        api = Api(client)
        api.install()
        yield api


@pytest.fixture(scope="session")
def kwok_api(kwok_cluster: Cluster) -> Iterator[Api]:
    """The API server of the simulated nodes, with the CRD installed."""
    with api_of(kwok_cluster) as api:
        yield api


@pytest.fixture(scope="module")
def install(
    kwok_cluster: Cluster, kwok_api: Api, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., Installation]]:
    """Make installations: namespaces of their own, where operators run with the chart's rights."""
    with ExitStack() as stack:

        def make(**options: object) -> Installation:
            folder = tmp_path_factory.mktemp("operator")
            return stack.enter_context(partial(Installation, kwok_cluster, kwok_api, folder)(**options))

        yield make


@pytest.fixture(scope="module")
def dra_driver(kwok_cluster: Cluster) -> Iterator[None]:
    """The stand-in for NVIDIA's driver of DynamicResourceAllocation, with a few nodes."""
    with installed(kwok_cluster, NODES):
        yield
