"""The spec: versions, and all of it together."""

from typing import Annotated

from pydantic import Field

from pantala.api.accelerator import Accelerator
from pantala.api.base import Block, list_map
from pantala.api.pod import Resources, Template, Update
from pantala.api.runtime import Runtime
from pantala.api.scaling import Scaling
from pantala.api.storage import Distribution, Storage
from pantala.api.traffic import Expose, Traffic, VersionName


class Version(Block):
    """One set of weights under a name. A block of its own replaces the shared block whole."""

    name: VersionName = Field(examples=["v1"])
    """Name of the version: a DNS label of at most 20 characters."""
    uri: Annotated[str, Field(min_length=1, max_length=1024)] = Field(examples=["s3://models/resnet/1/resnet.mar"])
    """Where the weights are: s3://BUCKET/PATH (also gs, abs, oss, obs, cos), hf://OWNER/REPO or modelscope://OWNER/REPO (with @REVISION and /PATH behind it, if wanted), hdfs://HOST:PORT/PATH, https://HOST/FILE, or pvc://CLAIM/PATH; a path that ends in / is a folder, which a web server lists in its index.json. It cannot change under a name. http:// is for test set-ups: nothing protects the weights on their way."""
    digest: Annotated[str, Field(max_length=71)] | None = Field(
        default=None, examples=["sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"]
    )
    """Checksum that the weights must have, sha256: and 64 hexadecimal digits (`pantala digest URI` prints it). It cannot change under a name. Default: none, no checksum is demanded."""
    runtime: Runtime | None = None
    """Model server of this version, in place of the shared one. Default: the shared block."""
    resources: Resources | None = None
    """Resources of this version, in place of the shared ones. Default: the shared block."""
    accelerator: Accelerator | None = None
    """Cards of this version, in place of the shared ones. Default: the shared block."""
    storage: Storage | None = None
    """Store of this version, in place of the shared one. Default: the shared block."""
    distribution: Distribution | None = None
    """Distribution of this version, in place of the shared one. Default: the shared block."""
    scaling: Scaling | None = None
    """Scaling of this version, in place of the shared one. Default: the shared block."""


class Spec(Block):
    """What is served, and how."""

    model_name: (
        Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?$")] | None
    ) = Field(default=None, examples=["resnet_50"])
    """Name that clients use for the model, in /predictions/NAME of TorchServe and /v2/models/NAME of Triton; it may hold underscores. Default: the name of the resource."""
    paused: bool = Field(default=False, examples=[True])
    """Whether the operator leaves everything of this model as it is, for people on call."""
    runtime: Runtime = Field(examples=[{"name": "triton"}])
    """The model server that versions share."""
    resources: Resources | None = None
    """What one replica needs. Default: none."""
    accelerator: Accelerator | None = None
    """Cards for one replica. Default: none."""
    template: Template | None = None
    """A subset of a PodTemplateSpec for the pods. Default: none."""
    update: Update | None = None
    """How a change reaches the replicas. Default: one pod more and none fewer; with an accelerator and several replicas, one pod fewer and none more."""
    storage: Storage | None = None
    """How the store of the weights is reached. Default: anonymously."""
    distribution: Distribution = Field(
        default=Distribution(), json_schema_extra={"default": {"mode": "Direct"}}, examples=[{"mode": "Direct"}]
    )
    """How the weights travel from the store to the node."""
    versions: Annotated[tuple[Version, ...], Field(min_length=1, max_length=16), list_map("name")] = Field(
        examples=[[{"name": "v1", "uri": "s3://models/resnet/1/resnet.mar"}]]
    )
    """The sets of weights, each under a name; at most 16."""
    traffic: Traffic | None = None
    """Which version answers, and what is done to requests on the way; required with more than one version. Default: the only version."""
    expose: Expose | None = None
    """How the model is reached from outside of the cluster. Default: from inside only."""
    scaling: Scaling = Field(
        default=Scaling(),
        json_schema_extra={"default": {"minReplicas": 1, "engine": "HPA"}},
        examples=[{"minReplicas": 2}],
    )
    """How many replicas run."""
