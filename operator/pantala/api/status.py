"""The status, written by the operator alone. Every field may be absent."""

from typing import Annotated, Literal

from pydantic import Field

from pantala.api.base import Block, Duration, atomic, list_map

VersionState = Literal["Starting", "Serving", "Mirroring", "Idle", "Parked", "Frozen", "Failed"]
"""Starting: on its way to ready. Serving: gets requests. Mirroring: gets copies of requests. Idle: ready, but nothing asks for it any more; it is parked soon. Parked: at zero replicas, nothing asks for it. Frozen: left the
spec but answers until its successor is ready. Failed: cannot get ready without a change."""


class Condition(Block):
    """One statement about the model, in the form that all Kubernetes tools read."""

    type: Annotated[str, Field(max_length=64)]
    """Which statement: Accepted, Distributed, Ready, TrafficReady, MetricsAvailable, Reconciling, Stalled."""
    status: Literal["True", "False", "Unknown"]
    """Whether it holds."""
    reason: Annotated[str, Field(max_length=128)]
    """Why, in one CamelCase word."""
    message: Annotated[str, Field(max_length=2048)] = ""
    """Why, in a sentence that names the object and the next step."""
    last_transition_time: Annotated[str, Field(max_length=40, json_schema_extra={"format": "date-time"})]
    """When `status` last changed."""
    observed_generation: Annotated[int, Field(ge=0)] | None = None
    """Generation of the resource that the statement is about. Default: unknown."""


Time = Annotated[str, Field(max_length=40, json_schema_extra={"format": "date-time"})]
Count = Annotated[int, Field(ge=0)]


class FetchedBytes(Block):
    """Bytes by where they came from."""

    origin: Count | None = None
    """Read from the store, by the node's dfdaemon or by the fetcher itself. Default: unknown."""
    peer: Count | None = None
    """Read from other nodes by the node's dfdaemon. Default: unknown."""
    local: Count | None = None
    """The node's dfdaemon had them already. Default: unknown."""
    cache: Count | None = None
    """The volume of the weights had them already. Default: unknown."""
    proxy: Count | None = None
    """Came through the HTTP proxy of the node's dfdaemon, which does not say from where. Default: the proxy was not used."""


class FetchStatus(Block):
    """What all replicas of a version that got ready have fetched, taken together; those that are gone included."""

    replicas: Count | None = None
    """How many replicas are counted. Default: unknown."""
    files: Count | None = None
    """Number of files. Default: unknown."""
    bytes: FetchedBytes | None = None
    """Bytes by where they came from. Default: unknown."""
    fallbacks: Count | None = None
    """How many replicas read the store because peers did not deliver. Default: unknown."""
    unlisted: Annotated[tuple[Annotated[str, Field(max_length=8)], ...], Field(max_length=1400), atomic()] | None = None
    """Digests of the names of pods that exist and are counted, but are too many for `replicas`: nobody is counted twice. Default: none."""


class Phases(Block):
    """How long the phases of a replica's start took, in their order; durations, to the second but for `fetch`."""

    scheduled: Duration | None = None
    """From the creation of the pod until a node was found. Default: unknown."""
    prepare: Duration | None = None
    """Until the fetcher started: its image, the volumes. Default: unknown."""
    fetch: Duration | None = None
    """Until the weights were there, verified: measured by the fetcher, to the millisecond. Default: unknown."""
    image: Duration | None = None
    """Until the server started: its image. Default: unknown."""
    load: Duration | None = None
    """Until the model answered. Default: unknown."""
    ready: Duration | None = None
    """Until the pod was ready: readiness gates, if it has any. Default: unknown."""


class ReplicaStatus(Block):
    """How one replica started, and where its weights came from. It stays as it was when the replica got ready."""

    pod: Annotated[str, Field(max_length=253)]
    """Name of the pod."""
    node: Annotated[str, Field(max_length=253)] | None = None
    """Node of the pod. Default: unknown."""
    created: Time | None = None
    """When the pod was created. Default: unknown."""
    ready: Time | None = None
    """When it got ready. Default: not yet, or it never did."""
    restarts: Count | None = None
    """How often its containers had been started again by then. Default: never."""
    phases: Phases | None = None
    """How long each phase took. Default: unknown."""
    files: Count | None = None
    """Number of files. Default: unknown."""
    bytes: FetchedBytes | None = None
    """Bytes by where they came from. Default: unknown."""
    direct: Count | None = None
    """Bytes of `bytes.origin` that the fetcher read itself though peers were to be asked: small files, what dfdaemon cannot read, what peers did not deliver. Default: peers were not to be asked."""
    parents: Annotated[dict[str, Count], Field(max_length=4)] | None = None
    """Bytes of `bytes.peer` by the host that gave them: the three that gave most, and `others`. Default: none."""
    retries: Count | None = None
    """How often the fetcher tried again. Default: unknown."""
    fallback: Annotated[str, Field(max_length=256)] | None = None
    """Why the store was read in place of peers: a word, and a sentence. Default: it was not."""
    fingerprint: Annotated[str, Field(max_length=80)] | None = None
    """Checksum over names, sizes and etags of the files: replicas of a version must agree on it. Default: unknown."""


class GrantStatus(Block):
    """One thing that was asked of the provider of cards, rounded up to its unit."""

    resource: Annotated[str, Field(max_length=253)]
    """The provider's resource, such as nvidia.com/gpumem."""
    asked: Annotated[str, Field(max_length=64)]
    """As the spec says it."""
    granted: Annotated[str, Field(max_length=64)]
    """What a replica gets, for each card."""
    unit: Annotated[str, Field(max_length=64)]
    """The provider's unit, to which it is rounded up."""
    amount: Count
    """Units in the pod's request."""


class AcceleratorStatus(Block):
    """What a replica asks for, in the provider's own terms."""

    provider: Annotated[str, Field(max_length=32)]
    """Who hands out the cards, also where the spec leaves that to the installation."""
    grants: Annotated[tuple[GrantStatus, ...], Field(max_length=8), list_map("resource")] | None = None
    """What was asked, and what is granted. Default: nothing that can be counted."""
    utilization: Annotated[str, Field(max_length=512)] | None = None
    """The metric by which an autoscaler may see how busy the cards of one replica are, or why there is none. Default: unknown."""
    warnings: Annotated[tuple[Annotated[str, Field(max_length=512)], ...], Field(max_length=8), atomic()] | None = None
    """What the user should know although nothing is refused. Default: nothing."""


class LastScale(Block):
    """The last change of the number of replicas by the autoscaler."""

    time: Time
    """When it was."""
    from_replicas: Count | None = None
    """Replicas before. Default: unknown."""
    to_replicas: Count
    """Replicas after."""
    why: Annotated[str, Field(max_length=256)] | None = None
    """The measure that decided, with its value and its target at that time. Default: unknown."""


class AutoscalerStatus(Block):
    """What the autoscaler of a version does."""

    engine: Literal["HPA", "KEDA"]
    """Who decides about the number of replicas: as the spec asks, but for a moment after that changed."""
    desired_replicas: Count | None = None
    """Replicas that it wants. Default: unknown."""
    limited: Annotated[str, Field(max_length=256)] | None = None
    """What keeps it from what the measures ask for: a bound, or how fast it may change. Default: nothing."""
    missing: Annotated[tuple[Annotated[str, Field(max_length=64)], ...], Field(max_length=16), atomic()] | None = None
    """Measures that it has no value of. Default: none."""
    last_scale: LastScale | None = None
    """Its last change. Default: none yet."""


class VersionStatus(Block):
    """What is true of one version."""

    name: Annotated[str, Field(max_length=20)]
    """Name of the version."""
    state: VersionState | None = None
    """Starting, Serving, Mirroring (gets copies of requests), Idle (nothing asks for it any more, its replicas are kept for a while), Parked (zero replicas: nothing asks for it), Frozen (left the spec, answers until its successor is ready) or Failed. Default: unknown."""
    desired_replicas: Annotated[int, Field(ge=0)] | None = None
    """Replicas that there shall be. Default: unknown."""
    ready_replicas: Annotated[int, Field(ge=0)] | None = None
    """Replicas that answer. Default: unknown."""
    image: Annotated[str, Field(max_length=512)] | None = None
    """Image of the model server. Default: unknown."""
    idle_since: Time | None = None
    """Since when nothing asks for the version any more while its replicas are kept for the way back. Default: it is asked for, or parked."""
    autoscaler: AutoscalerStatus | None = None
    """What its autoscaler does. Default: the number of replicas is fixed."""
    accelerator: AcceleratorStatus | None = None
    """Its cards, or shares of cards. Default: none are asked for."""
    fetch: FetchStatus | None = None
    """What all replicas that got ready have fetched, taken together. Default: none did yet."""
    replicas: Annotated[tuple[ReplicaStatus, ...], Field(max_length=20), list_map("pod")] | None = None
    """The ledger: how the last 20 replicas started, and where their weights came from; fewer if they take much room. Default: none yet."""
    message: Annotated[str, Field(max_length=1024)] | None = None
    """What is in its way. Default: nothing."""


class Measured(Block):
    """What Prometheus says about the requests of a version in the last five minutes."""

    requests: Count | None = None
    """Requests, in all. Default: unknown."""
    error_percent: Annotated[str, Field(max_length=8)] | None = None
    """Answers 5xx, in percent of the requests, with one decimal. Default: unknown."""
    p50: Duration | None = None
    """Time within which half of the requests were answered. Default: unknown."""
    p99: Duration | None = None
    """Time within which 99 of 100 requests were answered. Default: unknown."""


class TrafficStatus(Block):
    """The share of one version in the requests, or in copies of them."""

    version: Annotated[str, Field(max_length=20)]
    """Name of the version."""
    asked: Annotated[int, Field(ge=0, le=100)] | None = None
    """Share that the spec asks for, in percent. Default: none."""
    configured: Annotated[int, Field(ge=0, le=100)] | None = None
    """Share that the live route gives, in percent: less than asked while the version is not ready. Default: none."""
    observed: Annotated[int, Field(ge=0, le=100)] | None = None
    """Share in the requests that were counted in the last five minutes, in percent. Default: unknown, or there were none."""
    mirror: Annotated[int, Field(ge=0, le=100)] | None = None
    """Percent of requests of which the live route gives it copies. Default: none."""
    measured: Measured | None = None
    """Errors and latencies of its requests; those of a version with `mirror` are of copies, which no user waits for. Default: unknown."""


class AllocatedPorts(Block):
    """Ports of every node that lead to the model."""

    http: int | None = None
    """Port for HTTP. Default: none."""
    grpc: int | None = None
    """Port for gRPC. Default: none."""


class Status(Block):
    """What is true of the model."""

    observed_generation: Annotated[int, Field(ge=0)] | None = None
    """Generation of the resource that the status is about. Default: none."""
    conditions: Annotated[tuple[Condition, ...], Field(max_length=16), list_map("type")] | None = None
    """Statements about the model: Ready is the one to wait for. Default: none."""
    version: Annotated[str, Field(max_length=20)] | None = None
    """Version that answers. Default: none yet."""
    url: Annotated[str, Field(max_length=512)] | None = None
    """URL that answers: at the gateway, or else inside of the cluster. Default: none yet."""
    example: Annotated[str, Field(max_length=1024)] | None = None
    """A command line that asks the model something. Default: none yet."""
    hosts: Annotated[tuple[Annotated[str, Field(max_length=253)], ...], Field(max_length=8), atomic()] | None = None
    """Hosts that the live route has at the gateway. Default: none."""
    load_balancer: (
        Annotated[tuple[Annotated[str, Field(max_length=253)], ...], Field(max_length=8), atomic()] | None
    ) = None
    """Addresses of the Service of type LoadBalancer. Default: none yet."""
    traffic: Annotated[tuple[TrafficStatus, ...], Field(max_length=32), list_map("version")] | None = None
    """Shares of the versions, as asked, as configured and as counted. Default: none, all requests go to `version`."""
    node_port: AllocatedPorts | None = None
    """Ports of every node that lead to the model. Default: none."""
    replicas: Annotated[str, Field(max_length=16)] | None = None
    """Ready and wanted replicas of the version that answers, such as 1/2. Default: none yet."""
    versions: Annotated[tuple[VersionStatus, ...], Field(max_length=32), list_map("name")] | None = None
    """What is true of each version. Default: none yet."""
