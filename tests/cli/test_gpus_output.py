"""`pantala gpus`, from objects to lines."""

import json
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


def counted(*, pods: bool = True) -> Counted:
    """The figures of the fleet, as the command has them with and without the right to list pods."""
    held = [one for pod in fleet.PODS if (one := taken(pod)) is not None] if pods else None
    offered = devices(fleet.SLICES, fleet.CLAIMS)
    found = rows(fleet.NODES, held, offered, AcceleratorSettings())
    closed = frozenset(node["metadata"]["name"] for node in fleet.NODES if notes.takes_no_pods(node))
    return found, totals(found, closed), notes.of_nodes(fleet.NODES, found, held or (), offered)


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
