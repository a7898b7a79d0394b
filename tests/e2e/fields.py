"""The fields of the resource, read off the CRD, and changes of them with what must come of each."""

from collections.abc import Callable, Iterable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

_CRD = Path(__file__).resolve().parents[2] / "crds/pantala.dev_inferencemodels.yaml"
OWN_BLOCKS = frozenset({"runtime", "resources", "accelerator", "storage", "distribution", "scaling"})
"""Blocks that a version may carry itself: each is one field of the version here, since it replaces the shared one whole."""


@dataclass(frozen=True)
class Change:
    """A field (or a block of fields), its new value, and whether what is seen in the cluster is due to it."""

    path: str
    value: Any
    seen: Callable[[Any], bool]
    """Takes what the test looked at; false before the change, true after it."""


def schema() -> dict[str, Any]:
    """The schema of spec."""
    (version,) = yaml.safe_load(_CRD.read_text())["spec"]["versions"]
    found: dict[str, Any] = version["schema"]["openAPIV3Schema"]["properties"]["spec"]
    return found


def leaves(node: dict[str, Any] | None = None, path: str = "") -> Iterator[str]:
    """The paths of all fields without fields of their own; `[]` stands for an item of a list."""
    node = schema() if node is None else node
    if path in {f"versions[].{block}" for block in OWN_BLOCKS}:
        yield path
    elif "properties" in node:
        for name, child in node["properties"].items():
            yield from leaves(child, f"{path}.{name}" if path else name)
    elif "properties" in node.get("items", {}):
        yield from leaves(node["items"], f"{path}[]")
    else:
        yield path


def touched(changes: Iterable[Change]) -> set[str]:
    """The leaves that changes set."""
    known = set(leaves())
    return {leaf for change in changes for leaf in _flat(change.path, change.value, known)}


def _flat(path: str, value: Any, known: set[str]) -> Iterator[str]:
    if path in known:
        yield path
    elif isinstance(value, dict):
        for name, child in value.items():
            yield from _flat(f"{path}.{name}", child, known)
    elif isinstance(value, list):
        for item in value:
            yield from _flat(f"{path}[]", item, known)
    # else it is below a leaf, such as a volume's source


def applied(spec: dict[str, Any], changes: Iterable[Change]) -> dict[str, Any]:
    """A copy of a spec with the changes; `versions[]` means the first version."""
    made = deepcopy(spec)
    for change in changes:
        *parents, last = change.path.split(".")
        block = made
        for name in parents:
            block = block["versions"][0] if name == "versions[]" else block.setdefault(name, {})
        block[last] = change.value
    return made


def check(changes: Iterable[Change], before: Any, after: Any) -> None:
    """Each change is to be seen after it, and not before: what is seen is due to it."""
    changes = list(changes)
    early, missing = (
        [change.path for change in changes if change.seen(found) is wrong]
        for found, wrong in ((before, True), (after, False))
    )
    assert not early, f"seen before the change: {early}"
    assert not missing, f"not seen after the change: {missing}"
