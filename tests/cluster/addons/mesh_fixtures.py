"""pytest fixtures of meshes (tier mesh): istiod, an Envoy as ingress gateway, and a Gateway of each API."""

import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from tests.cluster import Access, Cluster, ClusterSpec
from tests.cluster.addons import gateway_api, injection, istio, loopback
from tests.cluster.addons.envoy import Envoy
from tests.cluster.addons.istio import Istiod
from tests.cluster.fixtures import running, unique

GATEWAY = "ingress"
"""Name of the Istio Gateway and of that of the Gateway API, both in the namespace istio-system, for every host."""


@dataclass(frozen=True)
class Mesh:
    """What serves mesh traffic in a cluster."""

    cluster: Access
    istiod: Istiod
    envoy: Envoy
    """The ingress: `envoy.url` is the Istio Gateway, `envoy.api_url` that of the Gateway API."""

    def install(self) -> None:
        """Put back what a test took away: the CRDs of both APIs and both Gateways; harmless if nothing is missing.

        istiod would find them by itself, but what it failed to write meanwhile it tries again ever more rarely (20 s were
        seen after a minute); so it is started again.
        """
        install_crds(self.cluster)
        self.istiod.halt()
        self.istiod.start()
        self.make_gateways()

    def make_gateways(self) -> None:
        """Make a Gateway of each API and wait until Envoy serves both."""
        istio.apply(self.cluster, [istio.gateway(GATEWAY, istio.NAMESPACE, self.envoy.port)])
        gateway_api.gateway(self.cluster, self.envoy, istio.NAMESPACE, GATEWAY)
        self.envoy.wait_for_port()


def install_crds(cluster: Access) -> None:
    """Apply the CRDs of Istio and of the Gateway API, and wait until they are served; again is harmless."""
    _at_once(lambda: istio.install(cluster), lambda: gateway_api.install(cluster))


def _at_once(*steps: Callable[[], object]) -> None:
    with ThreadPoolExecutor(len(steps)) as pool:
        for done in [pool.submit(step) for step in steps]:
            done.result()


@contextmanager
def meshed(cluster: Access, *, own: bool = False) -> Iterator[Mesh]:
    """Install Istio and the Gateway API in a cluster and serve both with one Envoy; everything is removed at the end.

    Args:
        cluster: where.
        own: the cluster goes afterwards: nothing is removed from it, which takes 9 s, and over a minute where it was used.
    """
    with contextlib.ExitStack() as stack:
        if not own:
            stack.callback(_forget, cluster)
        install_crds(cluster)
        istiod = stack.enter_context(Istiod(cluster, inject=injection.files))
        envoy = stack.enter_context(Envoy(istiod.grpc))
        mesh = Mesh(cluster, istiod, envoy)
        mesh.make_gateways()
        yield mesh


def _forget(cluster: Access) -> None:
    _at_once(
        lambda: gateway_api.remove(cluster),
        lambda: istio.remove(cluster),
        lambda: cluster.kubectl("delete", "--ignore-not-found", f"namespace/{istio.NAMESPACE}"),
    )


def _require() -> None:
    if reason := loopback.missing():
        pytest.skip(f"tier mesh: {reason}")


@pytest.fixture(scope="session")
def mesh_plane() -> Iterator[Mesh]:
    """A mesh on a control plane of its own, without nodes, for the session; backends are `Echo`.

    Tests use namespaces and hosts of their own, and leave the CRDs and the processes as they found them.
    """
    _require()
    with running("mesh", ClusterSpec(unique("mesh"), audit="Metadata")) as plane, meshed(plane, own=True) as mesh:
        yield mesh


@pytest.fixture(scope="session")
def mesh(cluster: Access) -> Iterator[Mesh]:
    """A mesh on the cluster with a real node, for all files that need one; a test leaves it as it found it."""
    _require()
    with meshed(cluster, own=isinstance(cluster, Cluster) and cluster.is_ours) as made:
        yield made


@pytest.fixture(scope="session")
def injected(mesh: Mesh) -> Iterator[Mesh]:
    """`mesh`, in which pods of namespaces with the label `istio-injection: enabled` get a sidecar."""
    injection.install(mesh.cluster)
    yield mesh
    injection.remove(mesh.cluster)
