"""The status, written by the operator alone. Every field may be absent."""

from typing import Annotated, Literal

from pydantic import Field

from pantala.api.base import Block, Duration, list_map

VersionState = Literal["Starting", "Serving", "Parked", "Frozen", "Failed"]
"""Starting: on its way to ready. Serving: has the traffic. Parked: at zero replicas, nothing asks for it. Frozen: left the
spec but answers until its successor is ready. Failed: cannot get ready without a change."""


class Condition(Block):
    """One statement about the model, in the form that all Kubernetes tools read."""

    type: Annotated[str, Field(max_length=64)]
    """Which statement: Accepted, Distributed, Ready, Reconciling, Stalled."""
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


class FetchStatus(Block):
    """What the last replica of a version fetched."""

    files: Annotated[int, Field(ge=0)] | None = None
    """Number of files. Default: unknown."""
    bytes: Annotated[int, Field(ge=0)] | None = None
    """Bytes of all files. Default: unknown."""
    duration: Duration | None = None
    """How long it took, a duration to the millisecond. Default: unknown."""
    fingerprint: Annotated[str, Field(max_length=80)] | None = None
    """Checksum over names, sizes and etags of the files: replicas of a version must agree on it. Default: unknown."""


class VersionStatus(Block):
    """What is true of one version."""

    name: Annotated[str, Field(max_length=20)]
    """Name of the version."""
    state: VersionState | None = None
    """Starting, Serving, Parked (zero replicas: nothing asks for it), Frozen (left the spec, answers until its successor is ready) or Failed. Default: unknown."""
    replicas: Annotated[int, Field(ge=0)] | None = None
    """Replicas that exist. Default: unknown."""
    ready_replicas: Annotated[int, Field(ge=0)] | None = None
    """Replicas that answer. Default: unknown."""
    image: Annotated[str, Field(max_length=512)] | None = None
    """Image of the model server. Default: unknown."""
    fetch: FetchStatus | None = None
    """What the last replica fetched. Default: unknown."""
    message: Annotated[str, Field(max_length=1024)] | None = None
    """What is in its way. Default: nothing."""


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
    """URL that answers inside of the cluster. Default: none yet."""
    node_port: AllocatedPorts | None = None
    """Ports of every node that lead to the model. Default: none."""
    replicas: Annotated[str, Field(max_length=16)] | None = None
    """Ready and wanted replicas of the version that answers, such as 1/2. Default: none yet."""
    versions: Annotated[tuple[VersionStatus, ...], Field(max_length=32), list_map("name")] | None = None
    """What is true of each version. Default: none yet."""
