"""The reference of the resource, one heading per field, generated from the types.

``python -m pantala.api.reference`` prints it as Markdown; the file is ``docs/reference.md``.
"""

import json
import sys
from collections.abc import Iterator
from typing import Any

import yaml

from pantala.api import base, crd, durations
from pantala.api.model import InferenceModel
from pantala.api.rules import rules_of

CONDITIONS = {
    "Accepted": "The resource can be served as it is: nothing that it names is missing, and every object could be"
    " written. False names the object in the way, such as an object of the same name that belongs to somebody else.",
    "Distributed": "The weights of the version that is to answer were fetched and verified. False says why not: a"
    " missing Secret, a store that denies access, a wrong checksum, a full disk, replicas with different weights.",
    "Ready": "A request would be answered now. This is the one to wait for:"
    " `kubectl wait --for=condition=Ready imodel/NAME`.",
    "Reconciling": "The operator is still on its way to what the spec asks for. Present only while true.",
    "Stalled": "The operator cannot get there without a change by somebody. Present only while true.",
}
"""The conditions and what they say."""

_HEAD = """\
# Reference of InferenceModel

<!-- Generated from operator/pantala/api by `make crds`; do not edit. -->

Group `{group}`, version `{version}`, kind `{kind}`, plural `{plural}`, short name `imodel`; `kubectl get pantala` and
`kubectl get ml` list it too. `kubectl explain imodel.spec` shows the same texts.

- A field that is left out is absent: no field may be null.
- A default that is shown as **stored** is written into the resource by the API server, so another version of the operator
  with other defaults changes no running pod.
- A duration is written as in `1h30m` or `250ms`: numbers with the units h, m, s, ms.
- A quantity is written as everywhere in Kubernetes: `500m`, `2`, `1.5Gi`.
- The same rules hold in the API server and in `pantala validate FILE`, which finds misspelt fields too.

The smallest useful resource:

```yaml
apiVersion: {api_version}
kind: {kind}
metadata: {{name: resnet}}
spec:
  runtime: {{name: triton}}
  versions:
  - {{name: v1, uri: "s3://models/resnet/1/"}}
```

`metadata.name` has at most 40 characters out of a-z, 0-9 and -, and begins with a letter, because Services are named after
it. What clients call the model is `spec.modelName`.
"""

_BLOCKS = {
    "spec.versions[].runtime": "spec.runtime",
    "spec.versions[].resources": "spec.resources",
    "spec.versions[].accelerator": "spec.accelerator",
    "spec.versions[].storage": "spec.storage",
    "spec.versions[].distribution": "spec.distribution",
    "spec.versions[].scaling": "spec.scaling",
}
"""Blocks of a version that are described once, as the shared ones."""


def _kind(node: dict[str, Any]) -> str:
    """The type of a field in words, with its bounds."""
    if "x-kubernetes-int-or-string" in node:
        return "integer or percentage" if "%" in node["pattern"] else "quantity"
    words = {"array": _list, "object": _object, "string": _string, "integer": _integer}
    return words[node["type"]](node) if node["type"] in words else str(node["type"])


def _list(node: dict[str, Any]) -> str:
    return f"list of at most {node['maxItems']}: {_kind(node['items'])}"


def _object(node: dict[str, Any]) -> str:
    if "additionalProperties" not in node:
        return "object"
    return f"map of at most {node['maxProperties']}: text to {_kind(node['additionalProperties'])}"


def _string(node: dict[str, Any]) -> str:
    if "enum" in node:
        return " | ".join(f"`{value}`" for value in node["enum"])
    if node.get("pattern") == durations.PATTERN:
        return "duration"
    return f"text of at most {node['maxLength']} characters"


def _integer(node: dict[str, Any]) -> str:
    bounds = [f"{word} {node[key]}" for word, key in (("from", "minimum"), ("to", "maximum")) if key in node]
    return "integer" + ("," if bounds else "") + "".join(f" {bound}" for bound in bounds)


def _field(path: str, node: dict[str, Any], example: Any, refusals: list[str]) -> Iterator[str]:
    """The section of one field."""
    yield f"{'#' * min(6, 2 + path.count('.'))} {path}\n"
    yield f"{node['description']}\n"
    facts = [f"Type: {_kind(node)}"]
    if "default" in node:
        facts.append(f"Default: `{json.dumps(node['default'])}` (**stored**)")
    if node.get("x-kubernetes-list-type") == "map":
        facts.append(f"Merged by {', '.join(f'`{key}`' for key in node['x-kubernetes-list-map-keys'])}")
    yield "\n".join(f"- {fact}" for fact in facts) + "\n"
    if example is not None:
        text = yaml.safe_dump(example, default_flow_style=True, width=1000).removesuffix("\n...\n").strip()
        yield f"```yaml\n{path.rpartition('.')[2]}: {text}\n```\n"
    if refusals:
        yield "Refused with:\n"
        yield "\n".join(f"- {message}" for message in refusals) + "\n"


def _refusals() -> dict[str, list[str]]:
    """The messages of the rules by the path of the field that they blame."""
    found: dict[str, list[str]] = {}
    for path, node in crd.fields(crd.schema()):
        for holder, suffix in ((node, ""), (node.get("items", {}), "[]")):
            for rule in holder.get("x-kubernetes-validations", ()):
                blamed = path + suffix + rule["fieldPath"] if "fieldPath" in rule else path
                own = next((own for own in _BLOCKS if blamed.startswith(own + ".")), None)
                if own and not suffix and path.startswith(own):
                    continue  # told at the shared block
                blamed = own or blamed
                found.setdefault(blamed, []).append(rule["message"])
    return found


def sections() -> Iterator[str]:
    """The parts of the reference, in the order of the schema."""
    yield _HEAD.format(
        group=base.GROUP, version=base.VERSION, kind=base.KIND, plural=base.PLURAL, api_version=base.API_VERSION
    )
    yield "The resource as a whole is refused with:\n"
    yield "\n".join(f"- {rule.message}" for rule in rules_of("InferenceModel")) + "\n"
    examples, refusals = _all_examples(), _refusals()
    for path, node in crd.fields(crd.schema()):
        if not path.startswith(("spec", "status")):
            continue
        shared = next((own for own in _BLOCKS if path.startswith(own + ".")), None)
        if shared:
            continue
        yield from _field(path, node, examples.get(path), refusals.get(path, []))
        if path in _BLOCKS:
            yield f"The fields are those of [{_BLOCKS[path]}](#{_BLOCKS[path].replace('.', '').lower()}).\n"
        if path == "status.conditions":
            for name, text in CONDITIONS.items():
                yield f"#### Condition {name}\n"
                yield f"{text}\n"


def _all_examples() -> dict[str, Any]:
    """The first example of every field, by its path."""
    generated = InferenceModel.model_json_schema(by_alias=True)
    definitions = generated["$defs"]
    found: dict[str, Any] = {}

    def walk(block: str, path: str) -> None:
        for name, node in definitions[block]["properties"].items():
            here = f"{path}.{name}"
            if node.get("examples"):
                found[here] = node["examples"][0]
            for reference, suffix in _references(node):
                walk(reference, here + suffix)

    walk("Spec", "spec")
    return found


def _references(node: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The blocks that a field holds, with what their paths begin with."""
    for variant in (node, *node.get("anyOf", ())):
        if "$ref" in variant:
            yield variant["$ref"].rpartition("/")[2], ""
        if "$ref" in variant.get("items", {}):
            yield variant["items"]["$ref"].rpartition("/")[2], "[]"


def as_markdown() -> str:
    """The reference as the file in ``docs/`` holds it."""
    return "\n".join(sections())


if __name__ == "__main__":
    sys.stdout.write(as_markdown())
