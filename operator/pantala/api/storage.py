"""Where the weights are, how they get to a node, and where they land."""

from typing import Annotated, Literal

from pydantic import Field

from pantala.api.base import Block, NameRef, ObjectName, Quantity


class EmptyDirCache(Block):
    """A volume that lives as long as the pod."""

    size_limit: Quantity | None = Field(default=None, examples=["20Gi"])
    """Most bytes of the volume, a quantity; a pod that writes more is evicted. Default: none."""
    medium: Literal["Memory"] | None = Field(default=None, examples=["Memory"])
    """Memory keeps the weights in RAM, counted in the memory limit. Default: the disk of the node."""


class PvcCache(Block):
    """A volume that outlives the pod."""

    claim_name: ObjectName = Field(examples=["resnet-cache"])
    """Name of the PersistentVolumeClaim, in the namespace of the model. With more than one replica it must be ReadWriteMany."""


class Cache(Block):
    """The volume of the weights: set exactly one."""

    empty_dir: EmptyDirCache | None = Field(default=None, examples=[{"sizeLimit": "20Gi"}])
    """A volume that lives as long as the pod. Default: none."""
    pvc: PvcCache | None = Field(default=None, examples=[{"claimName": "resnet-cache"}])
    """A volume that outlives the pod. Default: none."""


class Storage(Block):
    """How the store of the weights is reached."""

    secret_ref: NameRef | None = Field(default=None, examples=[{"name": "model-store"}])
    """Secret with the keys of the store: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and, if used, AWS_SESSION_TOKEN for s3; HTTP_USERNAME and HTTP_PASSWORD, or HTTP_BEARER_TOKEN, for https. Default: none, the store is read anonymously."""
    endpoint: Annotated[str, Field(max_length=512)] | None = Field(default=None, examples=["https://s3.example.com"])
    """URL of the S3 service, for s3:// URIs. Default: that of AWS in the region."""
    region: Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[A-Za-z0-9-]+$")] | None = Field(
        default=None, examples=["eu-central-1"]
    )
    """Region of the S3 service, for s3:// URIs. Default: us-east-1."""
    cache: Cache | None = None
    """The volume where the weights land. Default: an emptyDir without a limit."""


class Distribution(Block):
    """How the weights travel from the store to the node."""

    mode: Literal["Direct"] = Field(default="Direct", examples=["Direct"])
    """Direct reads the store from every replica."""
