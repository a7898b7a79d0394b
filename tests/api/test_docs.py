"""The resources and blocks that the documentation shows are valid."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from pantala.api.check import check

ROOT = Path(__file__).parents[2]
PAGES = (*sorted((ROOT / "docs").rglob("*.md")), ROOT / "README.md")
NAMES = ("v1", "v2", "v3")
SPEC: dict[str, Any] = {
    "runtime": {"name": "triton"},
    "storage": {"endpoint": "https://s3.example.com"},
    "versions": [{"name": name, "uri": f"s3://models/resnet/{name}/"} for name in NAMES],
    "traffic": {"target": "v1"},
}
"""What a block is put into."""


def _blocks(path: Path) -> list[tuple[str, str]]:
    """The YAML of a page, each with its place."""
    text = path.read_text()
    found = re.finditer(r"^```yaml\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [(f"{path.relative_to(ROOT)}:{text[: it.start()].count(chr(10)) + 1}", it[1]) for it in found]


BLOCKS = [block for page in PAGES for block in _blocks(page)]
PARTS = [(place, text) for place, text in BLOCKS if re.match(r"(traffic|expose|accelerator|spec):", text)]
WHOLE = [(place, text) for place, text in BLOCKS if "kind: InferenceModel" in text]
SAMPLES = [
    (str(path.relative_to(ROOT)), path.read_text()) for path in sorted((ROOT / "manifests/samples").glob("*.yaml"))
]


def _ids(blocks: list[tuple[str, str]]) -> list[str]:
    return [place for place, _ in blocks]


def test_there_are_blocks() -> None:
    """The pages are read as they are written: the page on traffic shows parts, the README a whole resource."""
    assert sum(place.startswith("docs/traffic.md:") for place, _ in PARTS) >= 6
    assert sum(place.startswith("docs/accelerators.md:") for place, _ in PARTS) >= 6
    assert any(place.startswith("README.md:") for place, _ in WHOLE)


@pytest.mark.parametrize(("place", "text"), PARTS, ids=_ids(PARTS))
def test_a_part_is_valid(place: str, text: str) -> None:
    """What a page shows of `spec` is accepted as a part of a whole resource, and every field of it exists."""
    part = yaml.safe_load(text)
    spec = SPEC | part.get("spec", part)
    if not {"target", "split"} & set(spec["traffic"]):
        spec["traffic"] = {"target": "v1", **spec["traffic"]}
    assert [problem.line for problem in check(_resource(spec))] == [], place


@pytest.mark.parametrize(("place", "text"), [*WHOLE, *SAMPLES], ids=_ids([*WHOLE, *SAMPLES]))
def test_a_resource_is_valid(place: str, text: str) -> None:
    """A whole resource of a page, and each sample, is accepted as it stands."""
    models = [found for found in yaml.safe_load_all(text) if found and found["kind"] == "InferenceModel"]
    assert models, place
    for model in models:
        assert [problem.line for problem in check(model)] == [], place


def _resource(spec: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "pantala.dev/v1alpha1",
        "kind": "InferenceModel",
        "metadata": {"name": "resnet"},
        "spec": spec,
    }
