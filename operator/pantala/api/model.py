"""The resource as a whole."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import ConfigDict, Field

from pantala.api.base import API_VERSION, KIND, Block
from pantala.api.spec import Spec
from pantala.api.status import Status


class ObjectMeta(Block):
    """The metadata that the operator reads; the rest is Kubernetes' own."""

    model_config = ConfigDict(extra="ignore")

    name: str
    namespace: str = "default"
    uid: str = ""
    generation: int = 0
    resource_version: str = ""
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)
    creation_timestamp: str | None = None
    deletion_timestamp: str | None = None


class InferenceModel(Block):
    """A model that is served: which weights, by which model server, on what, and how it is reached."""

    api_version: Literal["pantala.dev/v1alpha1"] = API_VERSION
    kind: Literal["InferenceModel"] = KIND
    metadata: ObjectMeta
    spec: Spec
    """What is served, and how."""
    status: Status | None = None
    """What is true of it, written by the operator. Default: none yet."""

    @classmethod
    def read(cls, obj: Mapping[str, Any]) -> "InferenceModel":
        """Read a stored object; fields that a newer operator stored are ignored.

        Raises:
            pydantic.ValidationError: A field that this operator knows has a value that it cannot understand.
        """
        return cls.model_validate(obj, extra="ignore")

    @property
    def served_name(self) -> str:
        """The name that clients use for the model."""
        return self.spec.model_name or self.metadata.name
