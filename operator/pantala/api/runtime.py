"""The model server of a version."""

from typing import Annotated, Literal

from pydantic import Field

from pantala.api.base import Block, Duration, Path, Port, atomic, list_map
from pantala.api.pod import EnvVar

RuntimeName = Literal["torchserve", "triton", "custom"]
"""The model servers that the operator knows; custom is any image that serves HTTP."""


class Batching(Block):
    """Joining of single requests into batches by the model server."""

    max_size: Annotated[int, Field(ge=1, le=1024)] | None = Field(default=None, examples=[8])
    """Most requests in one batch. Default: none (no batching)."""
    max_delay: Duration | None = Field(default=None, examples=["30ms"])
    """How long a request waits for others, a duration of at most 1m. Needs `maxSize`. Default: the server's own."""


class Custom(Block):
    """How to talk to a model server that the operator does not know."""

    port: Port = Field(examples=[8080])
    """Port on which the server answers HTTP, inside the container."""
    health_path: Path = Field(default="/", examples=["/healthz"])
    """Path that answers 200 on `port` once the model is loaded; all probes ask it."""
    grpc_port: Port | None = Field(default=None, examples=[9000])
    """Port on which the server answers gRPC. Default: none."""
    metrics_port: Port | None = Field(default=None, examples=[9090])
    """Port of the Prometheus metrics. Default: none, no metrics are announced."""
    metrics_path: Path | None = Field(default=None, examples=["/metrics"])
    """Path of the Prometheus metrics. Needs `metricsPort`. Default: /metrics."""
    command: Annotated[tuple[Annotated[str, Field(max_length=1024)], ...], Field(max_length=32), atomic()] | None = (
        Field(default=None, examples=[["python", "-m", "server"]])
    )
    """Command in place of the image's entrypoint. The weights lie under /models. Default: that of the image."""


class Runtime(Block):
    """The model server and its settings."""

    name: RuntimeName = Field(examples=["triton"])
    """Which model server: torchserve, triton, or custom for any image that serves HTTP."""
    image: Annotated[str, Field(min_length=1, max_length=512, pattern=r"^\S+$")] | None = Field(
        default=None, examples=["example.com/torchserve:1"]
    )
    """Image of the model server. Default: the pinned image of the installation, recorded at the first start of a version. Required for custom."""
    args: Annotated[tuple[Annotated[str, Field(max_length=512)], ...], Field(max_length=32), atomic()] | None = Field(
        default=None, examples=[["--log-verbose=1"]]
    )
    """Arguments appended to the command line of the server. Default: none."""
    env: Annotated[tuple[EnvVar, ...], Field(max_length=64), list_map("name")] | None = Field(
        default=None, examples=[[{"name": "OMP_NUM_THREADS", "value": "4"}]]
    )
    """Environment variables of the server. Default: none."""
    batching: Batching | None = None
    """Joining of single requests into batches. Default: none."""
    workers: Annotated[int, Field(ge=1, le=256)] | None = Field(default=None, examples=[2])
    """Copies of the model that one replica runs: workers of TorchServe, instances of Triton, in equal parts on each of its cards. Default: 1, with Triton 1 on each card."""
    config: Annotated[dict[str, Annotated[str, Field(max_length=2048)]], Field(max_length=64)] | None = Field(
        default=None, examples=[{"default_response_timeout": "300"}]
    )
    """Native settings of the server by name: lines of config.properties for torchserve, flags of tritonserver, without the dashes, for triton. Names that the operator sets itself are rejected. Default: none."""
    startup_timeout: Duration = Field(default="30m", examples=["30m"])
    """How long a replica may take from its start to ready, a duration: the deadline of the startup probe and of the Deployment's progress."""
    custom: Custom | None = None
    """Ports and paths of a custom server; required for custom, rejected otherwise. Default: none."""
