"""Quantities are compared as values."""

from decimal import Decimal

import pytest

from pantala.api import quantity


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("1000m", "1"),
        ("1Gi", "1024Mi"),
        ("1024", "1Ki"),
        ("0.5", "500m"),
        (".5", "500m"),
        ("2e3", "2k"),
        ("2E3", "2000"),
        ("+1", "1"),
        ("1.", "1"),
        ("1000000u", "1"),
        ("1Ei", "1024Pi"),
        ("-1", "-1000m"),
    ],
)
def test_equal(left: str, right: str) -> None:
    """Two ways of writing one amount have one value."""
    assert quantity.parse(left) == quantity.parse(right)


def test_exact() -> None:
    """Nothing is rounded: a nano is a nano."""
    assert quantity.parse("1n") == Decimal("1e-9")
    assert quantity.parse("9007199254740993") == Decimal(9007199254740993)


@pytest.mark.parametrize("text", ["", "Gi", "1GiB", "1 Gi", "one", "1e", "0x10", "1Kb", "--1"])
def test_not_a_quantity(text: str) -> None:
    """What is not a quantity has no value, and raises nothing."""
    assert quantity.parse(text) is None
