"""Fixtures of the tests at real sidecars."""

from collections.abc import Iterator

import pytest

from tests.cluster.addons.mesh_fixtures import Mesh
from tests.traffic.guarded import SPACE, Guarded


@pytest.fixture(scope="module")
def guarded(injected: Mesh) -> Iterator[Guarded]:
    """Two replicas with sidecars on a real node."""
    made = Guarded(injected)
    try:
        made.start()
        yield made
    finally:
        injected.cluster.kubectl("delete", "--ignore-not-found", f"namespace/{SPACE}")
