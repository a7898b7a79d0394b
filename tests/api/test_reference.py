"""The reference says everything that the schema says."""

import re
from pathlib import Path

import yaml

from pantala.api import crd, reference
from pantala.api.rules import all_rules

FILE = Path(__file__).parents[2] / "docs" / "reference.md"


def test_file_is_current() -> None:
    """The file in docs/ is what the types say; `make crds` writes it."""
    assert FILE.read_text() == reference.as_markdown()


def test_every_field_has_a_heading() -> None:
    """Every field has one heading; the own blocks of a version refer to the shared ones."""
    headings = re.findall(r"^#+ ((?:spec|status)\S*)$", FILE.read_text(), re.MULTILINE)
    fields = [path for path, _ in crd.fields(crd.schema()) if path.startswith(("spec", "status"))]
    own = tuple(
        f"spec.versions[].{name}."
        for name in ("runtime", "resources", "accelerator", "storage", "distribution", "scaling")
    )
    assert headings == [path for path in fields if not path.startswith(own)]


def test_every_rule_is_told() -> None:
    """Whatever a resource can be refused with can be found in the reference."""
    text = FILE.read_text()
    assert [rule.message for rule in all_rules() if rule.message not in text] == []


def test_examples_are_yaml() -> None:
    """Every example is YAML with one field."""
    for example in re.findall(r"```yaml\n(.*?)```", FILE.read_text(), re.DOTALL)[1:]:
        assert len(yaml.safe_load(example)) == 1, example
