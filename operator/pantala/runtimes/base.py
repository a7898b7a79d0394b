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

    def server(self, version: ResolvedVersion, image: str) -> ServerParts:
        """The server's part of a pod that serves exactly this version."""
        ...
