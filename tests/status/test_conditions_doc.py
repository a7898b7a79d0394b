"""The documentation of conditions is complete."""

import re
from pathlib import Path

import pytest

from pantala.status.reasons import TERMINAL, Reason

TEXT = (Path(__file__).parents[2] / "docs/conditions.md").read_text()
SECTIONS = dict(re.findall(r"^### (\w+)\n(.*?)(?=^#|\Z)", TEXT, re.MULTILINE | re.DOTALL))
TYPES = {"Accepted", "Distributed", "Ready", "TrafficReady", "MetricsAvailable", "Reconciling", "Stalled"}


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_has_a_section(reason: Reason) -> None:
    """Whoever meets a reason finds a heading of its name, and whether it is waited out or needs somebody."""
    assert reason.value in SECTIONS
    assert ("Stalled" in SECTIONS[reason.value]) == (reason in TERMINAL)


def test_every_section_is_of_something_that_exists() -> None:
    """No section tells of a reason or a condition that the operator does not know."""
    assert set(SECTIONS) == {reason.value for reason in Reason} | TYPES


@pytest.mark.parametrize("kind", sorted(TYPES))
def test_every_condition_type_has_a_section(kind: str) -> None:
    """Whoever meets a condition finds what it says while it is true, false or absent."""
    assert f"### {kind}\n" in TEXT
