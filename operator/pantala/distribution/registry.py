"""Which module serves which mode: a new way to carry weights is one line here."""

from pantala.api.resolve import ResolvedVersion
from pantala.distribution.base import Distribution
from pantala.distribution.direct import Direct
from pantala.distribution.dragonfly import Dragonfly
from pantala.manifest.settings import Settings
from pantala.manifest.types import FetchRoute

MODES: dict[str, Distribution] = {"Direct": Direct(), "Dragonfly": Dragonfly()}
"""The ways by `distribution.mode`."""


def route(version: ResolvedVersion, settings: Settings) -> FetchRoute:
    """How the fetcher of a version reaches the bytes.

    Raises:
        KeyError: The operator does not know the mode.
    """
    return MODES[version.distribution.mode].route(version, settings)
