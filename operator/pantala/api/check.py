"""The verdict of the API server on a resource, without an API server.

Walks the schema of the CRD as the API server does: unknown fields, types and bounds, defaults, then the rules. The
messages are the API server's own (k8s.io/apiextensions-apiserver and k8s.io/kube-openapi 1.36), so that a person reads the
same words before and after ``kubectl apply``.
"""

import difflib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from types import NoneType
from typing import Any

from pantala.api import crd
from pantala.api.rules import Rule, all_rules

Schema = Mapping[str, Any]

METADATA = (
    "annotations",
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "finalizers",
    "generateName",
    "generation",
    "labels",
    "managedFields",
    "name",
    "namespace",
    "ownerReferences",
    "resourceVersion",
    "selfLink",
    "uid",
)
"""Fields of ObjectMeta, which the schema of a CRD does not list."""

NOT_CHECKED = "some validation rules were not checked because the object was invalid; correct the existing errors to complete validation"
"""What the API server adds when the shape is so wrong that the rules cannot be asked."""


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a resource."""

    path: str
    """Path of the field, such as ``spec.versions[0].uri``; empty for the resource as a whole."""
    message: str
    """What is wrong with it."""
    blocks: bool = False
    """Whether the rules cannot be asked any more."""

    @property
    def line(self) -> str:
        """The path and the message, as a line."""
        return f"{self.path}: {self.message}" if self.path else self.message


def check(obj: Mapping[str, Any]) -> list[Problem]:
    """Everything that is wrong with a resource; fields that do not exist are wrong, as they would have no effect."""
    schema = _schema()
    problems = [*_unknown(obj, schema, ""), *_metadata(obj.get("metadata"))]
    stored = deepcopy(dict(obj))
    _fill(stored, schema)
    wrong = [*_shape(stored, schema, "")]
    if not any(problem.blocks for problem in wrong):
        wrong += _broken(stored, schema, "")
    return problems + wrong


@cache
def _schema() -> Schema:
    return crd.schema()


@cache
def _rule(cel: str, message: str) -> Rule:
    # Two kinds of blocks may share a rule, word for word.
    return next(rule for rule in all_rules() if (rule.cel, rule.message) == (cel, message))


def _below(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _children(value: Any, schema: Schema, path: str) -> Iterator[tuple[Any, Schema, str]]:
    """The parts of a value that have a schema of their own, with their paths."""
    if isinstance(value, Mapping):
        for name, part in value.items():
            if inner := schema.get("properties", {}).get(name):
                yield part, inner, _below(path, name)
            elif inner := schema.get("additionalProperties"):
                yield part, inner, _below(path, str(name))
    elif isinstance(value, list) and "items" in schema:
        for index, part in enumerate(value):
            yield part, schema["items"], f"{path}[{index}]"


def _unknown(value: Any, schema: Schema, path: str) -> Iterator[Problem]:
    """Fields that the schema does not have: the API server drops them in silence, or warns."""
    properties = schema.get("properties")
    open_ended = "additionalProperties" in schema or schema.get("x-kubernetes-preserve-unknown-fields")
    if isinstance(value, Mapping) and properties and not open_ended:
        for name in value:
            if name not in properties:
                yield _stranger(_below(path, str(name)), str(name), properties)
    for part, inner, below in _children(value, schema, path):
        yield from _unknown(part, inner, below)


def _stranger(path: str, name: str, known: Iterable[str]) -> Problem:
    """An unknown field, with the name that was meant."""
    near = difflib.get_close_matches(name, known, n=1)
    return Problem(
        path, "unknown field: " + (f"did you mean {near[0]}?" if near else f"known are {', '.join(sorted(known))}")
    )


def _metadata(metadata: Any) -> Iterator[Problem]:
    """Unknown fields of the metadata, and labels that are no text."""
    if not isinstance(metadata, Mapping):
        return
    for name in metadata:
        if name not in METADATA:
            yield _stranger(f"metadata.{name}", str(name), METADATA)
    for part in ("labels", "annotations"):
        pairs = metadata.get(part)
        for name, value in pairs.items() if isinstance(pairs, Mapping) else ():
            if not isinstance(value, str | NoneType):
                yield Problem(
                    f"metadata.{part}.{name}", f'must be of type string: "{_kind(value)}"; put it into quotes'
                )


def _fill(value: Any, schema: Schema) -> None:
    """Write the defaults into a value, as the API server does before it checks."""
    if isinstance(value, dict):
        for name, inner in schema.get("properties", {}).items():
            if name in value and value[name] is None:
                del value[name]  # null in a field that is not nullable means absent
            if name not in value and "default" in inner:
                value[name] = deepcopy(inner["default"])
        if "additionalProperties" in schema:
            for name in [name for name, inner in value.items() if inner is None]:
                del value[name]
    for part, inner, _ in _children(value, schema, ""):
        _fill(part, inner)


_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "boolean": (bool,),
    "object": (Mapping,),
    "array": (list,),
}


def _shape(value: Any, schema: Schema, path: str) -> Iterator[Problem]:
    """What the schema alone says about a value and its parts."""
    wanted = (schema["type"],) if "type" in schema else ("integer", "string")
    if not isinstance(value, tuple(kind for name in wanted for kind in _TYPES[name])) or (
        isinstance(value, bool) and "boolean" not in wanted
    ):
        if "enum" in schema:
            yield _unsupported(value, schema, path)
        yield Problem(path, f'{path} in body must be of type {",".join(wanted)}: "{_kind(value)}"', blocks=True)
        return
    if isinstance(value, str):
        yield from _text(value, schema, path)
    elif isinstance(value, int):
        yield from _number(value, schema, path)
    else:
        yield from _collection(value, schema, path)
    for part, inner, below in _children(value, schema, path):
        yield from _shape(part, inner, below)


def _kind(value: Any) -> str:
    """The type of a value as the API server calls it."""
    if value is None or isinstance(value, bool):
        return "null" if value is None else "boolean"
    return next((name for name, kinds in _TYPES.items() if isinstance(value, kinds)), "number")


def _unsupported(value: Any, schema: Schema, path: str) -> Problem:
    shown = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    supported = ", ".join(f'"{name}"' for name in schema["enum"])
    return Problem(path, f"Unsupported value: {shown}: supported values: {supported}", blocks=True)


def _text(value: str, schema: Schema, path: str) -> Iterator[Problem]:
    if "enum" in schema and value not in schema["enum"]:
        yield _unsupported(value, schema, path)
    if len(value) > schema.get("maxLength", len(value)):
        yield Problem(path, f"Too long: may not be more than {schema['maxLength']} bytes", blocks=True)
    elif len(value) < schema.get("minLength", 0):
        yield Problem(path, f"{path} in body should be at least {schema['minLength']} chars long")
    elif "pattern" in schema and not re.search(schema["pattern"].replace("$", r"\Z"), value):
        yield Problem(path, f"{path} in body should match '{schema['pattern']}'")


def _number(value: int, schema: Schema, path: str) -> Iterator[Problem]:
    if value < schema.get("minimum", value):
        yield Problem(path, f"{path} in body should be greater than or equal to {schema['minimum']}")
    if value > schema.get("maximum", value):
        yield Problem(path, f"{path} in body should be less than or equal to {schema['maximum']}")


def _collection(value: Any, schema: Schema, path: str) -> Iterator[Problem]:
    """Bounds of a map or a list, required fields, and keys of a list that appear twice."""
    noun, most, least = (
        ("items", "maxItems", "minItems")
        if isinstance(value, list)
        else ("properties", "maxProperties", "minProperties")
    )
    if len(value) > schema.get(most, len(value)):
        yield Problem(path, f"Too many: {len(value)}: must have at most {schema[most]} items", blocks=True)
    if len(value) < schema.get(least, 0):
        yield Problem(path, f"{path} in body should have at least {schema[least]} {noun}")
    if isinstance(value, Mapping):
        for name in schema.get("required", ()):
            if name not in value:
                yield Problem(_below(path, name), "Required value", blocks=True)
    elif keys := schema.get("x-kubernetes-list-map-keys"):
        yield from _keys(value, keys, path)


def _keys(items: list[Any], keys: list[str], path: str) -> Iterator[Problem]:
    """Items of a list that is merged by keys: each is an object, and no key appears twice."""
    strangers = [index for index, item in enumerate(items) if not isinstance(item, Mapping | NoneType)]
    if strangers:
        yield Problem(f"{path}[{strangers[0]}]", "must be an object for an array of list-type map", blocks=True)
        return
    found = [{name: item[name] for name in keys if name in item} if item else {} for item in items]
    for index, key in enumerate(found):
        if items[index] is not None and found[:index].count(key) == 1:
            yield Problem(f"{path}[{index}]", f"Duplicate value: {json.dumps(key, separators=(',', ':'))}")


def _broken(value: Any, schema: Schema, path: str) -> Iterator[Problem]:
    """Rules that do not hold. A rule that cannot read a malformed value is left out: that value is a problem already."""
    for entry in schema.get("x-kubernetes-validations", ()):
        rule = _rule(entry["rule"], entry["message"])
        try:
            holds = rule.holds(value)
        except (ValueError, KeyError, TypeError):
            continue
        if not holds:
            yield Problem((path + rule.field).lstrip("."), rule.message)
    for part, inner, below in _children(value, schema, path):
        yield from _broken(part, inner, below)
