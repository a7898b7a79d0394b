"""What a kind of store must tell about itself: what its URIs look like, and how the fetcher reaches it from a pod.

Nothing here reads anything. The same parsers serve the planner (a bad URI becomes a condition before a pod exists) and
the fetcher (the same words in the termination message).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from pantala.manifest.types import Invalid

EnvVar = Mapping[str, Any]
"""A Kubernetes EnvVar."""


@dataclass(frozen=True)
class Source:
    """Where one version's weights are, as the resource says it."""

    uri: str
    """`s3://bucket/key`, `hf://owner/repo`, `https://host/path`, `pvc://claim/path` ..."""
    endpoint: str | None = None
    """Base URL of the service, where the URI does not name it."""
    region: str | None = None
    """Region that S3 requests are signed for."""
    digest: str | None = None
    """`sha256:` and 64 hexadecimal digits."""
    secret_name: str | None = None
    """Secret in the model's namespace with the keys of the store."""


@dataclass(frozen=True)
class StorageAccess:
    """What the fetcher's container needs to reach a store."""

    args: tuple[str, ...]
    """Arguments of `pantala fetch`; never a credential."""
    env: tuple[EnvVar, ...] = ()
    """Credentials, by secretKeyRef. A key that is not marked optional and is missing keeps the container from being
    created, and the kubelet names it (CreateContainerConfigError)."""
    volumes: tuple[Mapping[str, Any], ...] = ()
    """Volumes of the pod."""
    mounts: tuple[Mapping[str, Any], ...] = ()
    """Mounts of the fetcher's container."""


@dataclass(frozen=True)
class BucketLocation:
    """An object, a folder (a prefix), or a whole bucket (empty key) of an object store."""

    scheme: str
    """Which kind of object store."""
    bucket: str
    """Or container, as Azure calls it."""
    key: str


@dataclass(frozen=True)
class HttpLocation:
    """A file, or the index of a folder, on a web server."""

    origin: str
    """Scheme, host and port, without a trailing slash."""
    path: str
    """Decoded, without the leading slash."""
    index: bool
    """Whether the path is an index file that lists the others."""


@dataclass(frozen=True)
class PvcLocation:
    """A file or folder in a PersistentVolumeClaim; an empty path is its root."""

    claim: str
    path: str


@dataclass(frozen=True)
class RepoLocation:
    """A file, a folder, or all of a repository (empty path) on a model hub."""

    scheme: str
    """Which hub."""
    repo: str
    """`owner/name`."""
    revision: str
    """Branch, tag or commit."""
    path: str


@dataclass(frozen=True)
class HdfsLocation:
    """A file or folder in HDFS, which is read by WebHDFS."""

    host: str
    """Of the name node, with its port."""
    path: str
    """Without the leading slash."""


Location = BucketLocation | HttpLocation | PvcLocation | RepoLocation | HdfsLocation


class Storage(Protocol):
    """One kind of store."""

    @property
    def keys(self) -> tuple[str, ...]:
        """Keys that the Secret may have, each of which is a variable of the fetcher."""
        ...

    def parse(self, uri: str) -> Location | Invalid:
        """Take a URI of this store apart; user-info, control characters and bad ports were refused before."""
        ...

    def access(self, source: Source) -> StorageAccess | Invalid:
        """Tell how a pod reaches the source, or why it cannot."""
        ...
