"""The way of the weights."""

from pantala.distribution import registry
from pantala.manifest.settings import Settings
from pantala.manifest.types import FetchRoute
from tests.runtimes.build import version


def test_direct_adds_nothing() -> None:
    """Every replica reads the store itself, so the fetcher needs nothing beside its access to it."""
    assert registry.route(version({"name": "triton"}), Settings()) == FetchRoute()
