"""A mesh in front of real pods: the operator, which a test can kill, beside istiod and an Envoy as ingress."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.cluster import Cluster
from tests.cluster.addons.mesh_fixtures import Mesh
from tests.e2e.mesh.processes import OperatorProcess
from tests.e2e.mesh.support import Exposed, exposed, store_versions
from tests.e2e.support import Space


@pytest.fixture(scope="module")
def operator(cluster: Cluster, mesh: Mesh, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OperatorProcess]:
    """The operator as a process of this machine, active, in a cluster with a mesh; `kill` and `start` are a test's."""
    with OperatorProcess(cluster, tmp_path_factory.mktemp("operator")) as process:
        yield process


@pytest.fixture(scope="module")
def stored(space: Space, tmp_path_factory: pytest.TempPathFactory) -> Space:
    """A namespace, and a store with versions v1 to v5, which say who they are, and one that cannot be loaded."""
    store_versions(space, tmp_path_factory.mktemp("versions"))
    return space


@pytest.fixture
def expose(stored: Space, mesh: Mesh) -> Iterator[Callable[[str, str], Exposed]]:
    """Make a model of a runtime with a name, to be applied by the test; it is deleted at the test's end."""
    with ExitStack() as stack:
        yield lambda runtime, name: stack.enter_context(exposed(stored, mesh, runtime, name))
