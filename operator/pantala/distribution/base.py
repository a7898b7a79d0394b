"""What every mode of distribution offers."""

from typing import Protocol

from pantala.api.resolve import ResolvedVersion
from pantala.manifest.settings import Settings
from pantala.manifest.types import FetchRoute


class Distribution(Protocol):
    """A way for weights to reach a node. Pure; the bytes move in the fetcher."""

    def route(self, version: ResolvedVersion, settings: Settings) -> FetchRoute:
        """What the fetch container needs to bring the weights of this version this way."""
        ...
