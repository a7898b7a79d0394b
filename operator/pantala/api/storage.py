"""Where the weights are, how they get to a node, and where they land."""

from typing import Annotated, Literal

from pydantic import Field

from pantala.api.base import Block, Duration, NameRef, ObjectName, Path, Port, Quantity, atomic


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


class HostPathCache(Block):
    """A folder of the node that all replicas on it share, and that outlives them."""

    path: Path = Field(examples=["/var/lib/pantala"])
    """Folder of the node below which the weights lie, in a folder of their own for each version; it must be below one that the installation allows."""
    max_size: Quantity | None = Field(default=None, examples=["200Gi"])
    """Most bytes that the weights of all models below `path` may take; beyond it those that were unused longest are removed, never used ones. Default: nine tenths of the file system."""
    max_age: Duration | None = Field(default=None, examples=["168h"])
    """How long weights stay that no pod of the node uses. Default: 168h."""


class Cache(Block):
    """The volume of the weights: set exactly one."""

    empty_dir: EmptyDirCache | None = Field(default=None, examples=[{"sizeLimit": "20Gi"}])
    """A volume that lives as long as the pod. Default: none."""
    pvc: PvcCache | None = Field(default=None, examples=[{"claimName": "resnet-cache"}])
    """A volume that outlives the pod. Default: none."""
    host_path: HostPathCache | None = Field(default=None, examples=[{"path": "/var/lib/pantala"}])
    """A folder of the node that all replicas on it share. Default: none."""


class Storage(Block):
    """How the store of the weights is reached."""

    secret_ref: NameRef | None = Field(default=None, examples=[{"name": "model-store"}])
    """Secret in the namespace of the model, with the keys of the store. s3: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and, if used, AWS_SESSION_TOKEN. gs: GOOGLE_CREDENTIALS. abs: AZURE_STORAGE_ACCOUNT, AZURE_STORAGE_KEY. oss: ALIBABA_CLOUD_ACCESS_KEY_ID, ALIBABA_CLOUD_ACCESS_KEY_SECRET and, if used, ALIBABA_CLOUD_SECURITY_TOKEN. obs: HUAWEI_CLOUD_ACCESS_KEY_ID, HUAWEI_CLOUD_SECRET_ACCESS_KEY. cos: TENCENTCLOUD_SECRET_ID, TENCENTCLOUD_SECRET_KEY and, if used, TENCENTCLOUD_SECURITY_TOKEN. hf: HF_TOKEN. modelscope: MODELSCOPE_API_TOKEN. hdfs: HDFS_DELEGATION_TOKEN. https: HTTP_USERNAME and HTTP_PASSWORD, or HTTP_BEARER_TOKEN. Default: none, the store is read anonymously."""
    endpoint: Annotated[str, Field(max_length=512)] | None = Field(default=None, examples=["https://s3.example.com"])
    """URL of the service: required for abs://, oss://, obs:// and cos://; for s3://, gs://, hf:// and modelscope:// it is that of another one than the public one. Default: that of AWS in the region, of Google, of Hugging Face, of ModelScope."""
    region: Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[A-Za-z0-9-]+$")] | None = Field(
        default=None, examples=["eu-central-1"]
    )
    """Region of the S3 service, for s3:// URIs. Default: us-east-1."""
    cache: Cache | None = None
    """The volume where the weights land. Default: an emptyDir without a limit."""


HeaderName = Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[A-Za-z0-9-]+$")]
HeaderValue = Annotated[str, Field(max_length=512, pattern=r"^[\x20-\x7e]*$")]
QueryParameter = Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[A-Za-z0-9_.~-]+$")]


class Proxy(Block):
    """The HTTP proxy of the node's dfdaemon."""

    port: Port = Field(default=4001, examples=[4001])
    """Port of the proxy on every node: 4001 since Dragonfly 2.2, 65001 before."""
    headers: Annotated[dict[HeaderName, HeaderValue], Field(max_length=16)] | None = Field(
        default=None, examples=[{"X-Dragonfly-Priority": "3"}]
    )
    """Headers of each request to the proxy; no place for secrets, as everybody who may see the pod may read them. Default: none."""
    filters: Annotated[tuple[QueryParameter, ...], Field(max_length=64), atomic()] | None = Field(
        default=None, examples=[["X-Custom-Signature"]]
    )
    """Query parameters that do not tell one file from another, beside those of the signatures of the known stores. Default: none."""


class Distribution(Block):
    """How the weights travel from the store to the node."""

    mode: Literal["Direct", "Dragonfly"] = Field(default="Direct", examples=["Dragonfly"])
    """Direct reads the store from every replica. Dragonfly asks the node's dfdaemon, which has the bytes from other nodes where they are, and else from the store."""
    fallback: Literal["Origin", "Fail"] | None = Field(default=None, examples=["Fail"])
    """What happens to files that Dragonfly does not deliver: Origin reads what is missing from the store; Fail waits for Dragonfly, and lets its seed peers alone read the store. Default: Origin."""
    fallback_after: Duration | None = Field(default=None, examples=["2m"])
    """How long Dragonfly may deliver nothing of a file before `fallback` is done. Default: 1m."""
    proxy: Proxy | None = Field(default=None, examples=[{"port": 4001}])
    """Goes through the HTTP proxy of the node's dfdaemon in place of its socket, for namespaces that forbid hostPath. The proxy does not tell where bytes come from. Default: the socket."""
