"""Kubernetes objects as YAML and JSON that people read and API servers take."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

import yaml
from typing_extensions import override

from pantala import naming
from pantala.manifest.types import Manifest

_FIRST = (
    *("apiVersion", "kind", "metadata", "spec", "data", "name", "namespace", "labels", "annotations"),
    *("replicas", "type", "selector", "strategy", "template", "initContainers", "containers", "image"),
    *("imagePullPolicy", "command", "args", "env", "ports"),
)
_RANK = {name: index for index, name in enumerate(_FIRST)}
# Plain text to YAML 1.2 and to PyYAML, a number or a boolean to the parser of Kubernetes (`12e3456`, `1_000`, `y`).
_AMBIGUOUS = re.compile(r"[-+]?[.0-9][0-9a-fA-FxXoObBpP_.+\-:]*|[yYnN]")


class _Dumper(yaml.SafeDumper):
    """Indented lists, text of several lines as blocks, no anchors."""

    @override
    def ignore_aliases(self, data: Any) -> bool:
        return True

    @override
    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # PyYAML's signature
        super().increase_indent(flow, indentless=False)


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    style = "|" if "\n" in value else "'" if _AMBIGUOUS.fullmatch(value) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)


def ordered(value: Any) -> Any:
    """The value with its keys as people expect them: what it is, its name, what it does; the rest by alphabet."""
    if isinstance(value, Mapping):
        keys = sorted(value, key=lambda key: (_RANK.get(key, len(_RANK)), key))
        return {key: ordered(value[key]) for key in keys}
    if isinstance(value, list | tuple):
        return [ordered(item) for item in value]
    return value


def as_yaml(value: Any, *, sort: bool = True) -> str:
    """One document; lines are never folded, so that `diff` and `grep` work."""
    return yaml.dump(
        ordered(value) if sort else value, Dumper=_Dumper, sort_keys=False, width=2**20, allow_unicode=True
    )


def as_json(value: Any, *, sort: bool = True) -> str:
    """Indented JSON, keys in the same order."""
    return json.dumps(ordered(value) if sort else value, indent=2, ensure_ascii=False)


def manifests(objects: Iterable[Manifest], output: str) -> str:
    """Objects as `kubectl apply -f -` takes them: YAML documents, or a List in JSON."""
    if output == "json":
        return as_json({"apiVersion": "v1", "kind": "List", "items": list(objects)}) + "\n"
    return "---\n".join(as_yaml(obj) for obj in objects)


OPERATORS_OWN = (naming.ANNOTATION_APPLIED, naming.ANNOTATION_RENDERED_WITH)
"""Annotations that the operator keeps its books in."""


def without(obj: Manifest, names: Iterable[str]) -> Manifest:
    """The object without some annotations."""
    left = {key: value for key, value in obj["metadata"].get("annotations", {}).items() if key not in set(names)}
    meta = {key: value for key, value in obj["metadata"].items() if key != "annotations"}
    return {**obj, "metadata": {**meta, "annotations": left} if left else meta}


def readable(obj: Manifest) -> Manifest:
    """The object with `pantala.dev/rendered-with` unpacked, its compressed body as a digest."""
    annotations = obj.get("metadata", {}).get("annotations", {})
    text = annotations.get(naming.ANNOTATION_RENDERED_WITH)
    try:
        record = json.loads(text) if text else None
        body = record["body"] if record else ""
    except (ValueError, TypeError, KeyError):
        return obj
    if not record:
        return obj
    short = f"{len(body)} characters, sha256 {hashlib.sha256(body.encode()).hexdigest()[:16]}"
    shown = {**annotations, naming.ANNOTATION_RENDERED_WITH: {**record, "body": short}}
    return {**obj, "metadata": {**obj["metadata"], "annotations": shown}}
