"""Fixtures of the tests at real sidecars, and behind a real Envoy."""

import contextlib
from collections.abc import Iterator

import pytest

from tests.cluster.addons import istio as addon
from tests.cluster.addons.mesh_fixtures import Mesh
from tests.traffic import guarded as sidecars
from tests.traffic import istio_world
from tests.traffic.guarded import Guarded
from tests.traffic.istio_world import World


@pytest.fixture(scope="session")
def guarded(injected: Mesh) -> Iterator[Guarded]:
    """Two replicas with sidecars on a real node; a test puts its own policies in force, and no others are then."""
    made = Guarded(injected)
    try:
        made.start()
        yield made
    finally:
        injected.cluster.kubectl("delete", "--ignore-not-found", f"namespace/{sidecars.SPACE}")


@pytest.fixture(scope="module")
def world(mesh_plane: Mesh) -> Iterator[World]:
    """A namespace for backends, that goes at the end."""
    addon.apply(
        mesh_plane.cluster, [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": istio_world.SPACE}}]
    )
    with contextlib.ExitStack() as stack:
        yield World(mesh_plane, stack)
    mesh_plane.cluster.kubectl("delete", f"namespace/{istio_world.SPACE}")
