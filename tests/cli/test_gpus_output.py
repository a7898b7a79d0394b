"""`pantala gpus`, from objects to lines."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import pytest

from pantala.accelerators import notes
from pantala.accelerators.devices import devices
from pantala.accelerators.inventory import rows, totals
from pantala.accelerators.notes import Note
from pantala.accelerators.rows import Row, Total
from pantala.accelerators.taken import taken
from pantala.cli.gpus import document, lines
from pantala.manifest.settings import AcceleratorSettings
from tests.cli import fleet
from tests.golden import assert_golden

Counted = tuple[list[Row], list[Total], list[Note]]


def counted(
    nodes: Sequence[fleet.Object] = fleet.NODES, *, pods: bool = True, without: frozenset[str] = frozenset()
) -> Counted:
    """The figures of nodes of the fleet, as the command has them with and without the right to list pods.

    Args:
        nodes: Those that there are.
        pods: Whether their pods may be listed.
        without: Names of pods that are not there.
    """
    names = {node["metadata"]["name"] for node in nodes}
    there = [pod for pod in fleet.PODS if pod["spec"]["nodeName"] in names and pod["metadata"]["name"] not in without]
    held = [one for pod in there if (one := taken(pod)) is not None] if pods else None
    offered = [one for one in devices(fleet.SLICES, fleet.CLAIMS) if one.node in names]
    found = rows(nodes, held, offered, AcceleratorSettings())
    closed = frozenset(node["metadata"]["name"] for node in nodes if notes.takes_no_pods(node))
    return found, totals(found, closed), notes.of_nodes(nodes, found, held or (), offered)


def drawn(figures: Counted, *, wide: bool) -> str:
    """The lines without colour."""
    return "".join(click.unstyle(line) + "\n" for line in lines(*figures, wide=wide))


@pytest.mark.parametrize("form", ["table", "wide"])
def test_lines(form: str) -> None:
    """A line for each resource of each node, the sums, and what a person should know beside the figures."""
    assert_golden(f"cli-gpus/{form}.txt", drawn(counted(), wide=form == "wide"))


def test_without_pods() -> None:
    """What is taken is unknown, not nothing, where the pods are."""
    assert_golden("cli-gpus/unknown.txt", drawn(counted(pods=False), wide=False))


def test_notes_alone() -> None:
    """A cluster without cards may have something to say."""
    assert list(lines([], [], [Note("b", "x"), Note("a", "y"), Note("c", "x")], wide=False)) == ["b, c: x", "a: y"]


def test_json() -> None:
    """The JSON form has the documented fields, and survives being written and read."""
    found: dict[str, Any] = document(*counted(), ["pods"])
    assert json.loads(json.dumps(found)) == found
    assert_golden("cli-gpus/all.json", json.dumps(found, indent=2) + "\n")


SECTION = re.search(
    r"^## `pantala gpus`$(.*?)^## ", (Path(__file__).parents[2] / "docs/cli.md").read_text(), re.MULTILINE | re.DOTALL
)


def test_documented_example() -> None:
    """The example in docs/cli.md is what the command prints."""
    assert SECTION is not None
    nodes = [node for node in fleet.NODES if node["metadata"]["name"] in {"gpu-hami", "gpu-nvidia"}]
    printed = drawn(counted(nodes, without=frozenset({"hami-c", "peeks"})), wide=False)
    assert f"```\n{printed}```" in SECTION[1]


def test_documented_fields() -> None:
    """Each field of the JSON form is in docs/cli.md."""
    assert SECTION is not None
    found = document(*counted(), ["pods"])
    for part in ("resources", "totals", "notes"):
        line = next(line for line in SECTION[1].splitlines() if line.startswith(f"| `{part}[]`"))
        assert [key for key in found[part][0] if f"`{key}" not in line] == []
