"""What a route is to be, whatever mesh carries it out: the value that the planner hands to `istio` and `gateway_api`.

A mesh module turns a `Route` into objects (`objects`), says what of the user's wishes it cannot carry out (`refusals`), and
reads from a live object which shares it gives (`shares`). All of it is pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pantala.api.traffic import Access, Authentication, Traffic, TrafficRule
from pantala.manifest.types import Manifest

DEFAULT_RETRIES = 2
"""Further attempts where the user says nothing."""
DEFAULT_RETRY_ON = "connect-failure,refused-stream"
"""What is tried again where the user says nothing: only what no server has begun to process."""


@dataclass(frozen=True)
class Backend:
    """A version as the end of a route: its own Service."""

    version: str
    service: str
    """Name of the Service, in the route's namespace."""
    http: int
    """Its port for HTTP."""
    grpc: int | None = None
    """Its port for gRPC, if its server speaks that."""
    replicas: int = 1
    """How many replicas are wanted: a single one is never left out for its errors."""


@dataclass(frozen=True)
class Split:
    """Which version gets what."""

    shares: tuple[tuple[Backend, int], ...]
    """Versions that get requests, with percents that make 100; none with 0. In the order of the spec."""
    mirrors: tuple[tuple[Backend, int], ...] = ()
    """Versions that get copies, with the percent of requests that are copied."""
    rules: tuple[tuple[TrafficRule, Backend], ...] = ()
    """Requests that go to one version, the first that fits."""


@dataclass(frozen=True)
class Route:
    """Everything about the way of requests to one model."""

    name: str
    """The model's name: that of its route, too."""
    namespace: str
    labels: Mapping[str, str]
    owner: tuple[Manifest, ...]
    """Owner references of every object."""
    split: Split
    backends: tuple[Backend, ...] = ()
    """Every version that has a Service and replicas, each once: also those that the split does not name."""
    cluster_domain: str = "cluster.local"
    hosts: tuple[str, ...] = ()
    """Hosts at the gateway; empty: the model is not exposed by a gateway."""
    gateway: tuple[str, str] | None = None
    """Namespace and name of the gateway; None: the model is not exposed by a gateway."""
    prefix: str | None = None
    """Beginning of the path at the gateway, such as /models/resnet: taken away before the server sees the path."""
    traffic: Traffic = field(default_factory=Traffic)
    """What the user wants to be done on the way."""
    selector: Mapping[str, str] = field(default_factory=dict)
    """Labels that select all pods of the model: where policies are enforced."""

    @property
    def host(self) -> str:
        """The name of the model inside of the cluster: that of its own Service."""
        return self.service_host(self.name)

    def service_host(self, service: str) -> str:
        """The full name of a Service of the model's namespace."""
        return f"{service}.{self.namespace}.svc.{self.cluster_domain}"

    @property
    def client_ports(self) -> tuple[int, ...]:
        """The ports of the replicas that answer requests, of all versions, in order."""
        found = {port for backend in self.backends for port in (backend.http, backend.grpc) if port is not None}
        return tuple(sorted(found))

    @property
    def http_ports(self) -> tuple[int, ...]:
        """The ports of the replicas for HTTP, of all versions, in order."""
        return tuple(sorted({backend.http for backend in self.backends}))


@dataclass(frozen=True)
class Refusal:
    """A field of the spec that a mesh cannot carry out."""

    field: str
    """Path of the field below `spec`, such as `traffic.rateLimit`."""
    message: str
    """What cannot be had, and what to do in place of it."""


def protected(traffic: Traffic | None) -> tuple[str, ...]:
    """The fields that hold only where every replica has a sidecar, in the order of the spec."""
    if traffic is None:
        return ()
    wanted: dict[str, Access | Authentication | object | None] = {
        "traffic.rateLimit": traffic.rate_limit,
        "traffic.access": traffic.access,
        "traffic.authentication": traffic.authentication,
        "traffic.limits.maxBodySize": traffic.limits and traffic.limits.max_body_size,
    }
    return tuple(name for name, value in wanted.items() if value is not None)
