"""The CustomResourceDefinition, generated from the types and the rules.

``python -m pantala.api.crd`` prints it as YAML. The schema is structural: references are inlined, optional means absent
(no ``anyOf`` with null), and every field says in its description what happens when it is left out.
"""

import json
import sys
from collections.abc import Iterator
from typing import Any

import yaml

from pantala.api import base
from pantala.api.model import InferenceModel
from pantala.api.rules import rules_of

Schema = dict[str, Any]

COLUMNS = (
    ("Ready", "string", '.status.conditions[?(@.type=="Ready")].status', "Whether a request would be answered.", 0),
    ("Version", "string", ".status.version", "Version that answers.", 0),
    ("Replicas", "string", ".status.replicas", "Ready and wanted replicas of that version.", 0),
    ("URL", "string", ".status.url", "URL inside of the cluster.", 0),
    ("Age", "date", ".metadata.creationTimestamp", "Time since the model was created.", 0),
    ("Reason", "string", '.status.conditions[?(@.type=="Ready")].reason', "Why it is ready or not.", 1),
)
"""Columns of ``kubectl get``: name, type, JSON path, description, priority (1 is shown by ``-o wide``)."""

_ORDER = ("description", "type", "default", "enum", "format", "pattern", "minimum", "maximum", "minLength", "maxLength")


def schema() -> Schema:
    """The structural schema of the resource, rules included."""
    generated = InferenceModel.model_json_schema(by_alias=True, mode="validation")
    definitions = generated.get("$defs", {})
    properties = {
        "apiVersion": {"type": "string", "description": "Version of this schema of the object: pantala.dev/v1alpha1."},
        "kind": {"type": "string", "description": "Kind of the object: InferenceModel."},
        "metadata": {"type": "object"},
    }
    for name in ("spec", "status"):
        properties[name] = _structural(generated["properties"][name], definitions)
    properties["spec"]["description"] = "What is served, and how. Required."
    properties["status"]["description"] = "What is true of it, written by the operator. Default: none yet."
    whole = {
        "description": InferenceModel.__doc__,
        "type": "object",
        "required": ["spec"],
        "properties": properties,
    }
    return _with_rules("InferenceModel", whole)


def _with_rules(block: str, node: Schema) -> Schema:
    """Add the CEL rules of a block to its schema."""
    rules = [rule.as_schema() for rule in rules_of(block)]
    return node | {"x-kubernetes-validations": rules} if rules else node


def _structural(node: Schema, definitions: dict[str, Schema]) -> Schema:
    """Turn one node of pydantic's JSON schema into a structural one."""
    node = dict(node)
    if variants := node.pop("anyOf", None):
        (variant,) = [variant for variant in variants if variant.get("type") != "null"]
        node = variant | node
        if node.get("default", ...) is None:
            del node["default"]
    block = ""
    if reference := node.pop("$ref", None):
        block = reference.rpartition("/")[2]
        node = definitions[block] | node
    if "const" in node:
        node["enum"] = [node.pop("const")]
    # A structural schema knows no conditions on the keys of a map; an API server refuses a CRD that holds some.
    if patterns := node.pop("patternProperties", None):
        (node["additionalProperties"],) = patterns.values()
    noise = ("title", "examples", "propertyNames", *(["additionalProperties"] if "properties" in node else []))
    for name in noise:
        node.pop(name, None)
    if "properties" in node:
        required = node.get("required", [])
        node["properties"] = {
            name: _described(_structural(value, definitions), required=name in required)
            for name, value in node["properties"].items()
        }
    if "items" in node:
        node["items"] = _structural(node["items"], definitions)
    if isinstance(extra := node.get("additionalProperties"), dict):
        node["additionalProperties"] = _structural(extra, definitions)
    elif extra is True:
        del node["additionalProperties"]
    ordered = {key: node[key] for key in _ORDER if key in node}
    return _with_rules(block, ordered | node) if block else ordered | node


def _described(node: Schema, *, required: bool) -> Schema:
    """Say in the description what happens when the field is left out, unless it says so itself."""
    text = " ".join(node["description"].split())
    if required and not text.endswith("Required."):
        text += " Required."
    elif "default" in node and "Default:" not in text:
        text += f" Default: {_shown(node['default'])}."
    return node | {"description": text}


def _shown(value: Any) -> str:
    """A default as it is written in YAML."""
    return str(yaml.safe_dump(value, default_flow_style=True).removesuffix("\n").removesuffix("\n...").strip()) or '""'


def generate() -> dict[str, Any]:
    """The CustomResourceDefinition as an object."""
    columns = []
    for name, kind, path, description, priority in COLUMNS:
        column = {"name": name, "type": kind, "jsonPath": path, "description": description}
        columns.append(column | ({"priority": priority} if priority else {}))
    version = {
        "name": base.VERSION,
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": schema()},
        "subresources": {"status": {}},
        "additionalPrinterColumns": columns,
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{base.PLURAL}.{base.GROUP}"},
        "spec": {
            "group": base.GROUP,
            "names": {
                "kind": base.KIND,
                "listKind": f"{base.KIND}List",
                "plural": base.PLURAL,
                "singular": base.KIND.lower(),
                "shortNames": ["imodel"],
                "categories": ["pantala", "ml"],
            },
            "scope": "Namespaced",
            "versions": [version],
        },
    }


def fields(node: Schema, path: str = "") -> Iterator[tuple[str, Schema]]:
    """Every field of a schema with its path, such as ``spec.versions[].uri``, parents first."""
    for name, value in node.get("properties", {}).items():
        here = f"{path}.{name}" if path else name
        yield here, value
        yield from fields(value, here)
        if "items" in value:
            yield from fields(value["items"], here + "[]")


def as_yaml() -> str:
    """The CustomResourceDefinition as the file in ``crds/`` holds it."""
    head = "# Generated from operator/pantala/api by `make crds`; do not edit.\n"
    plain = json.loads(json.dumps(generate()))  # a block that appears twice becomes two, so that YAML writes no anchors
    return head + yaml.safe_dump(plain, sort_keys=False, width=120, allow_unicode=True)


if __name__ == "__main__":
    sys.stdout.write(as_yaml())
