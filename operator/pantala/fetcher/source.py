"""How the node's dfdaemon reads the same store as the fetcher."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote

from pantala.distribution import identity

_PLAIN = "/-._~"


@dataclass(frozen=True)
class PeerSource:
    """What goes into the fields of a request to dfdaemon. No secret is ever shown, not even by repr."""

    base: str
    """URL of the operator's root, with a trailing slash (`s3://bucket/`)."""
    object_storage: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Fields of `common.v2.ObjectStorage`."""
    hdfs: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Fields of `common.v2.HDFS`."""
    hugging_face: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Fields of `common.v2.HuggingFace`."""
    model_scope: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Fields of `common.v2.ModelScope`."""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Headers of the requests that dfdaemon sends, where its backend sends any."""
    if_match: bool = False
    """Whether dfdaemon's backend forwards request headers, so that If-Match guards every piece (http alone does)."""
    secret: str = field(default="", repr=False)
    """Keys the tag: who has not got it cannot name the task."""
    endpoint: str = ""
    """Part of the tag: the same URL at another endpoint is another object."""

    @property
    def revision(self) -> str:
        """Revision of the repository, which is a part of the task's identity."""
        return self.hugging_face.get("revision") or self.model_scope.get("revision") or ""

    def url(self, key: str) -> str:
        """URL of an object, as it is in the request."""
        return self.base + quote(key, safe=_PLAIN)

    def tag(self, etag: str) -> str:
        """Tag of an object with this etag."""
        return identity.tag(self.secret, self.endpoint, etag)

    def task_id(self, key: str, etag: str) -> str:
        """Name of the object's task."""
        return identity.task_id(self.url(key), tag=self.tag(etag), revision=self.revision)
