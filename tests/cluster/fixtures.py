"""Clusters as pytest fixtures: made when the first test asks, removed at the end, gone also if pytest is killed.

A tier whose tools are missing is skipped by its name and the reason, never silently.
"""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.cluster import Access, Cluster, ClusterSpec, kind, tier

IMAGES = ("pantala", "triton", "torchserve")
"""Images that the nodes of `cluster` hold under the names that the operator uses by default."""


def pytest_configure(config: pytest.Config) -> None:
    """Make the tiers of `make tools-NAME` marks, skip them where they are not built, and report all tiers."""
    for name, tools in tier.TOOLS.items():
        config.addinivalue_line("markers", f"{name}: needs {', '.join(tools)} (`make tools-{name}`)")
    config.pluginmanager.register(tier.Report(), "tiers")


@contextmanager
def running(tier_name: str, spec: ClusterSpec) -> Iterator[Cluster]:
    """Start a cluster for the tests of a tier, or skip them with the tier's name and the reason."""
    if reason := tier.missing(nodes=bool(spec.nodes)):
        pytest.skip(f"tier {tier_name}: {reason}")
    started = Cluster.start(spec)
    try:
        yield started
    finally:
        started.stop()


def unique(name: str) -> str:
    """Name of a cluster that no other test run uses."""
    return f"{name}-{os.getpid()}-{secrets.token_hex(2)}"


@pytest.fixture(scope="session")
def control_plane() -> Iterator[Cluster]:
    """API server and controllers without nodes: pods are made and stay Pending. Has an audit log."""
    with running("apiserver", ClusterSpec(unique("plane"), audit="Metadata")) as started:
        yield started


@pytest.fixture(scope="session")
def api_server_1_31() -> Iterator[Cluster]:
    """The oldest supported API server, without controllers: what it accepts is what counts."""
    with running("apiserver", ClusterSpec(unique("old"), controllers=False, version="1.31")) as started:
        yield started


@pytest.fixture(scope="session")
def kwok_cluster() -> Iterator[Cluster]:
    """Control plane and 20 simulated nodes with 8 GPUs each, without client rate limits. Has an audit log."""
    with running("apiserver", ClusterSpec(unique("kwok"), kwok=20, scale=True, audit="Metadata")) as started:
        yield started


@pytest.fixture(scope="session")
def cluster() -> Iterator[Access]:
    """A real node that holds the images of `IMAGES`. Has an audit log, if it is the embedded provider's.

    PANTALA_CLUSTER=NAME takes the cluster of that name, which `up` made with its images, and leaves it running;
    PANTALA_PROVIDER=kind takes or makes a kind cluster and leaves that running.
    """
    name = os.environ.get("PANTALA_CLUSTER", "")
    if os.environ.get("PANTALA_PROVIDER") == "kind":
        if reason := kind.missing():
            pytest.skip(f"tier e2e: {reason}")
        made = kind.KindCluster.start(name or "pantala")
        for image in IMAGES:
            made.load_named(image)
        yield made
    elif name:
        yield Cluster.attach(name)
    else:
        with running("e2e", ClusterSpec(unique("node"), nodes=1, images=IMAGES, audit="Metadata")) as started:
            yield started
