"""Every replica reads the store itself."""

from pantala.api.resolve import ResolvedVersion
from pantala.manifest.settings import Settings
from pantala.manifest.types import FetchRoute


class Direct:
    """No detour: the fetcher needs nothing beyond its access to the store."""

    def route(self, version: ResolvedVersion, settings: Settings) -> FetchRoute:  # noqa: ARG002 - the protocol's arguments
        """Add nothing to the fetch container."""
        return FetchRoute()
