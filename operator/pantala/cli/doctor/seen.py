"""What `pantala doctor` read of a cluster, as one value; what could not be read is None, and told as a refusal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pantala.manifest.settings import Settings
from pantala.manifest.types import Manifest

Objects = Sequence[Manifest]


@dataclass(frozen=True)
class Refusal:
    """A right that is missing."""

    verb: str
    resource: str
    """With its group: `daemonsets.apps`, `pods/proxy`."""
    namespace: str = ""
    """Empty: in the whole cluster."""
    vital: bool = False
    """Whether the verdict means nothing without it."""


@dataclass(frozen=True)
class Seen:
    """Everything that the checks look at."""

    dragonfly: str = "dragonfly-system"
    """Dragonfly's namespace."""
    pods: Objects | None = ()
    """Those of Dragonfly's namespace."""
    daemon_sets: Objects | None = ()
    config_maps: Objects | None = ()
    nodes: Objects | None = ()
    leases: Objects | None = ()
    """Of the nodes."""
    now: datetime | None = None
    """The API server's clock when it answered with the leases."""
    models: Objects | None = ()
    namespaces: Mapping[str, Manifest] = field(default_factory=dict)
    """Dragonfly's and those of the models, by name."""
    crd: Manifest | None = None
    """The resource's own definition."""
    has_resource: bool | None = None
    """Whether the API server serves the resource; None: unknown."""
    operators: Objects | None = ()
    """The operator's Deployments."""
    metrics: Mapping[str, str | None] = field(default_factory=dict)
    """What dfdaemon's metrics port answered, by the pod's name; None: nothing."""
    refused: tuple[Refusal, ...] = ()

    @property
    def socket_folder(self) -> str:
        """Folder of dfdaemon's socket, as the operator was told."""
        for deployment in self.operators or ():
            for argument in _arguments(deployment):
                if argument.startswith("--dragonfly-socket-folder="):
                    return argument.partition("=")[2].rstrip("/")
        return Settings.dragonfly_socket_folder


@dataclass(frozen=True)
class Use:
    """How one version of a model uses Dragonfly or the disk of the node."""

    model: str
    """`namespace/name`."""
    namespace: str
    version: str
    dragonfly: bool
    proxy: Mapping[str, Any] | None
    """The block `proxy`; None: by the socket."""
    fallback: str
    uri: str
    endpoint: str
    region: str
    host_path: str
    """Folder of the node that its replicas share; empty: none."""

    @property
    def by_socket(self) -> bool:
        """Whether its pods mount the socket's folder."""
        return self.dragonfly and self.proxy is None

    @property
    def by_proxy(self) -> bool:
        """Whether it goes through the HTTP proxy."""
        return self.dragonfly and self.proxy is not None


def uses(models: Objects | None) -> list[Use]:
    """All versions of all models; a version's own block stands in place of the shared one."""
    found = []
    for model in models or ():
        meta, spec = model["metadata"], model["spec"]
        for version in spec.get("versions") or ():
            distribution = version.get("distribution") or spec.get("distribution") or {}
            storage = version.get("storage") or spec.get("storage") or {}
            found.append(
                Use(
                    model=f"{meta['namespace']}/{meta['name']}",
                    namespace=meta["namespace"],
                    version=version["name"],
                    dragonfly=distribution.get("mode") == "Dragonfly",
                    proxy=distribution.get("proxy"),
                    fallback=distribution.get("fallback") or "Origin",
                    uri=version["uri"],
                    endpoint=storage.get("endpoint") or "",
                    region=storage.get("region") or "",
                    host_path=((storage.get("cache") or {}).get("hostPath") or {}).get("path") or "",
                )
            )
    return found


def names(found: Sequence[Use]) -> list[str]:
    """The models of some uses, each once."""
    return list(dict.fromkeys(use.model for use in found))


def _arguments(deployment: Manifest) -> list[str]:
    containers = deployment.get("spec", {}).get("template", {}).get("spec", {}).get("containers") or ()
    return [argument for container in containers for argument in container.get("args") or ()]
