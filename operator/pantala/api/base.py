"""The base of all typed blocks of the resource, and the scalar types that they share.

A field's docstring is its description in the CRD, in ``kubectl explain`` and in the reference. A field that may be left
out is ``None`` when it is, never null in the stored object. A field with another default is stored with that default by
the API server, so that a later operator with other defaults changes no running pod.
"""

from typing import Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema
from pydantic.alias_generators import to_camel

from pantala import naming
from pantala.api import durations

GROUP = naming.GROUP
"""API group of all kinds."""
VERSION = naming.VERSION
"""The one served and stored version."""
API_VERSION: Final = "pantala.dev/v1alpha1"
"""`apiVersion` of the objects."""
KIND: Final = "InferenceModel"
"""`kind` of the objects."""
PLURAL = naming.PLURAL
"""The resource's name in URLs."""

QUANTITY_PATTERN = r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$"
"""Kubernetes quantities without sign and exponent (they have no use for a size here)."""


class Block(BaseModel):
    """A part of the resource: immutable, camelCase outside, snake_case inside."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=to_camel,
        populate_by_name=True,
        use_attribute_docstrings=True,
        protected_namespaces=(),  # `model_name` is a field of ours
    )

    def as_dict(self) -> dict[str, Any]:
        """The block as the API server stores it: camelCase, absent fields left out."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


def _text(value: object) -> object:
    """Integers are legal where Kubernetes takes an int-or-string; inside there is only text."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def list_map(key: str) -> Any:
    """Mark a list whose items are merged by a key (server-side apply owns each item apart)."""
    return Field(json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [key]})


def atomic() -> Any:
    """Mark a list that is replaced as a whole."""
    return Field(json_schema_extra={"x-kubernetes-list-type": "atomic"})


Duration = Annotated[str, Field(pattern=durations.PATTERN, max_length=durations.MAX_LENGTH)]
"""A duration as text; `durations.parse` reads it."""

Quantity = Annotated[
    str,
    BeforeValidator(_text),
    WithJsonSchema({"x-kubernetes-int-or-string": True, "pattern": QUANTITY_PATTERN, "maxLength": 32}),
]
"""A Kubernetes quantity as text; integers are read as text."""

IntOrPercent = Annotated[
    int | str,
    WithJsonSchema({"x-kubernetes-int-or-string": True, "pattern": r"^(100|[1-9]?[0-9])%$", "maxLength": 4}),
]
"""A number of pods (an integer), or a percentage such as ``25%``."""

ObjectName = Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")]
"""The name of another Kubernetes object (DNS subdomain)."""

Label = Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]
"""A DNS label."""

Port = Annotated[int, Field(ge=1, le=65535)]
"""A TCP port of a container."""

ShortText = Annotated[str, Field(max_length=253)]
"""Text of a line."""

Path = Annotated[str, Field(min_length=1, max_length=253, pattern=r"^/\S*$")]
"""The path of a URL or a file."""


class NameRef(Block):
    """The name of an object in the model's namespace."""

    name: ObjectName = Field(examples=["model-store"])
    """Name of the object, in the namespace of the model."""
