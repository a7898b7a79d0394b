"""What every model server module offers."""

from __future__ import annotations

from typing import Protocol

from pantala.api.resolve import ResolvedVersion
from pantala.manifest.types import ServerParts


class Runtime(Protocol):
    """A model server: from a version to its container, files, ports and probes. Pure."""

    name: str
    """As in `spec.runtime.name`."""
    default_image: str | None
    """Built-in image; None where the user must name one."""

    def server(self, version: ResolvedVersion, image: str, cards: int = 0) -> ServerParts:
        """The server's part of a pod that serves exactly this version.

        Args:
            version: The version.
            image: Image of the server.
            cards: How many cards the server sees, or slices of cards.
        """
        ...
