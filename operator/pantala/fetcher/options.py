"""What a fetch is told, and what it tells in the end."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pantala.fetcher import marker as markers
from pantala.fetcher import nodecache
from pantala.fetcher.layout import Layout
from pantala.fetcher.transfer import Route


@dataclass(frozen=True)
class Options:
    """What the command line says."""

    uri: str
    to: Path
    digest: str | None = None
    endpoint: str | None = None
    region: str | None = None
    layout: Layout = Layout.PLAIN
    model_name: str | None = None
    overlay: Path | None = None
    retry_seconds: float = 120.0
    size_limit: int | None = None
    """Bytes that the volume may hold though the disk below it has more: an emptyDir's sizeLimit evicts only later."""
    cache: nodecache.Policy | None = None
    """What may stay in the node's cache, if the target is a folder in one."""
    route: Route | None = None
    """How the peers are asked; None reads the store alone."""

    def request(self) -> dict[str, str | None]:
        """What decides about the files that come of it; another request on the same volume is another model."""
        overlay = self.overlay / "config.pbtxt" if self.overlay else None
        return {
            "uri": self.uri,
            "endpoint": self.endpoint,
            "layout": self.layout.value,
            "name": self.model_name,
            "overlay": markers.hash_file(overlay) if overlay and overlay.is_file() else None,
        }


@dataclass(frozen=True)
class Summary:
    """What the termination message of a success says."""

    fingerprint: str
    digest: str | None
    """Of the bytes; known only if one was promised."""
    files: int
    config: str | None = None
    """Where the `config.pbtxt` of a Triton model came from: `store` or `overlay`."""
    parents: Mapping[str, int] = field(default_factory=dict)
    """Bytes of peers by the host that gave them."""
    retries: int = 0
    """Requests that were tried again."""
    fallback: str | None = None
    """Why the store was read though the peers were to be asked: a word, a colon and a sentence."""
    asked_peers: bool = False
    """Whether they were to be asked."""
