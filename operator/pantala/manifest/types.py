"""Kubernetes objects as plain values, and the parts that features contribute to a pod.

Features never import each other. Where two of them meet, the planner takes one of these neutral values from the
first and hands it to the second.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from typing_extensions import override

Manifest: TypeAlias = dict[str, Any]
"""A Kubernetes object in its JSON form."""


@dataclass(frozen=True, order=True)
class Ref:
    """Identity of an object inside one namespace: enough to find, apply or delete it."""

    kind: str
    namespace: str
    name: str

    @classmethod
    def of(cls, manifest: Mapping[str, Any]) -> Ref:
        """The identity of a manifest."""
        meta = manifest["metadata"]
        return cls(manifest["kind"], meta["namespace"], meta["name"])

    @override
    def __str__(self) -> str:
        """Kind and name as a person writes it: `Deployment vision/resnet-v1`."""
        return f"{self.kind} {self.namespace}/{self.name}"


@dataclass(frozen=True)
class Port:
    """A port of the model server's pod."""

    name: str
    """`http`, `grpc`, `metrics` or the runtime's own (`management`): the name in the container and in Services."""
    number: int
    app_protocol: str = "http"
    """What a mesh is told: `http` or `grpc`."""
    in_service: bool = True
    """False for ports that only probes use."""


@dataclass(frozen=True)
class PodParts:
    """Additions of one feature to a pod; tuples of Kubernetes objects in JSON form."""

    env: tuple[Manifest, ...] = ()
    volumes: tuple[Manifest, ...] = ()
    mounts: tuple[Manifest, ...] = ()
    limits: Mapping[str, str] = field(default_factory=dict)
    """Extended resources of the server container (limits, which Kubernetes copies to requests)."""
    annotations: Mapping[str, str] = field(default_factory=dict)
    """Annotations of the pod."""
    node_requirements: tuple[Manifest, ...] = ()
    """Requirements on labels of the node (`matchExpressions`), all of which must hold, beside the user's own."""
    scheduler_name: str | None = None
    """The scheduler that must place the pod. None: any."""
    resource_claims: tuple[Manifest, ...] = ()
    """The pod's `resourceClaims`, each of which the server container gets."""


@dataclass(frozen=True)
class Invalid:
    """Why something that a user asks for cannot work, and what to do about it."""

    reason: str
    """CamelCase, for a condition."""
    message: str
    """Names the value and the next step; never holds a credential."""
    field: str
    """Path within the resource, below `spec` or the version: `uri`, `digest`, `storage.endpoint` ..."""


@dataclass(frozen=True)
class FetchRoute:
    """How the fetcher is to reach the bytes: what a distribution mode adds to the fetch container."""

    args: tuple[str, ...] = ()
    parts: PodParts = field(default_factory=PodParts)


@dataclass(frozen=True)
class ServerParts:
    """What a runtime contributes: its container, its files and how the weights must lie."""

    container: Manifest
    """The server's container without resources, mounts of weights or accelerators; those are the planner's."""
    ports: tuple[Port, ...]
    layout: str
    """The fetcher's `--layout`: plain, triton or torchserve."""
    metrics_port: int | None = None
    metrics_path: str = "/metrics"
    files: Mapping[str, str] = field(default_factory=dict)
    """The version's ConfigMap, mounted at /etc/pantala: file name to content."""
    parts: PodParts = field(default_factory=PodParts)
    """Further volumes of the pod and mounts of the server (shared memory, scratch space)."""
    example_path: str = "/"
    """Path of a request that the server answers with 200, whatever the model."""
    example_options: tuple[str, ...] = ()
    """Options of curl for that request."""
    drain_seconds: int = 10
    """How long a request in flight may take after the pod has left the endpoints."""
