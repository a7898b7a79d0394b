"""What a kind of store must tell about itself: how the fetcher reaches it from a pod.

Nothing here reads anything. The same parsers serve the planner (a bad URI becomes a condition before a pod exists) and
the fetcher (the same words in the termination message).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

EnvVar = Mapping[str, Any]
"""A Kubernetes EnvVar."""


@dataclass(frozen=True)
class Source:
    """Where one version's weights are, as the resource says it."""

    uri: str
    """`s3://bucket/key`, `https://host/path` or `pvc://claim/path`."""
    endpoint: str | None = None
    """Base URL of an S3 store that is not AWS."""
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
class Invalid:
    """Why a source cannot work, and what to do about it."""

    reason: str
    """CamelCase, for a condition."""
    message: str
    """Names the value and the next step; never holds a credential."""
    field: str
    """Path within the resource, below `spec` or the version: `uri`, `digest`, `storage.endpoint` ..."""


class Storage(Protocol):
    """One kind of store."""

    def access(self, source: Source) -> StorageAccess | Invalid:
        """Tell how a pod reaches the source, or why it cannot."""
        ...


def secret_env(secret_name: str, key: str, *, optional: bool) -> EnvVar:
    """Make the variable `key` out of the key of the same name in a Secret."""
    ref: dict[str, Any] = {"name": secret_name, "key": key}
    if optional:
        ref["optional"] = True
    return {"name": key, "valueFrom": {"secretKeyRef": ref}}
