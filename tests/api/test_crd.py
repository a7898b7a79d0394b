"""The generated schema keeps what the design promises of it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from pantala.api import crd
from pantala.api.rules import all_rules

ROOT = Path(__file__).parents[2]
FIELDS = [(path, node) for path, node in crd.fields(crd.schema()) if path.startswith(("spec", "status"))]


def nodes(value: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema in the schema, with its path."""
    yield path, value
    for name, inner in value.get("properties", {}).items():
        yield from nodes(inner, f"{path}.{name}")
    for key in ("items", "additionalProperties"):
        if key in value:
            yield from nodes(value[key], f"{path}[]")


NODES = [(path, node) for path, node in nodes(crd.schema()) if path.startswith((".spec", ".status"))]


def test_file_is_current() -> None:
    """The file in crds/ is what the types say; `make crds` writes it."""
    assert (ROOT / "crds" / "pantala.dev_inferencemodels.yaml").read_text() == crd.as_yaml()


def test_yaml_is_the_object() -> None:
    """The YAML reads back as the object, without anchors."""
    assert yaml.safe_load(crd.as_yaml()) == crd.generate()
    assert "&id" not in crd.as_yaml()


@pytest.mark.parametrize(("path", "node"), FIELDS, ids=[path for path, _ in FIELDS])
def test_description(path: str, node: dict[str, Any]) -> None:
    """Every field says what it means and what happens when it is left out."""
    text = node["description"]
    assert len(text) > 20, path
    assert "Default:" in text or "Required" in text, path


def test_no_unions_and_floats() -> None:
    """Optional means absent, never null; no number is a float; references are inlined."""
    for path, node in NODES:
        assert not {"anyOf", "oneOf", "allOf", "$ref", "nullable", "title", "examples"} & set(node), path
        assert node.get("type") != "number", path
        assert "type" in node or "x-kubernetes-int-or-string" in node, path


def test_bounds() -> None:
    """Every text, list and map is bounded, or the cost of the rules could not be."""
    for path, node in NODES:
        match node.get("type"):
            case "string":
                assert "maxLength" in node or "enum" in node, path
            case "array":
                assert "maxItems" in node, path
            case "object":
                bounded = "properties" in node or "maxProperties" in node
                assert bounded, path


def test_lists_say_how_they_merge() -> None:
    """Every list is a map with keys, or atomic."""
    for path, node in NODES:
        if node.get("type") == "array":
            kind = node["x-kubernetes-list-type"]
            assert kind == "atomic" or (kind == "map" and node["x-kubernetes-list-map-keys"]), path


def test_rules_are_all_used() -> None:
    """Every rule is on some block of the schema: a misspelt block would check nothing."""
    used = {rule["rule"] for _, node in nodes(crd.schema()) for rule in node.get("x-kubernetes-validations", ())}
    assert used == {rule.cel for rule in all_rules()}


def test_messages_say_the_next_step() -> None:
    """A message says what is wrong and, after a colon, what to do."""
    for rule in all_rules():
        assert ": " in rule.message, rule.message
        assert "\n" not in rule.message
