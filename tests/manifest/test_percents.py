"""Whole percents of amounts."""

import random

import pytest

from pantala.manifest.percents import percents


@pytest.mark.parametrize(
    ("amounts", "expected"),
    [
        ({"a": 1, "b": 1, "c": 1}, {"a": 34, "b": 33, "c": 33}),
        ({"a": 10, "b": 1, "c": 19}, {"a": 34, "b": 3, "c": 63}),
        ({"a": 0.5, "b": 1.5}, {"a": 25, "b": 75}),
        ({"a": 1, "b": 0}, {"a": 100, "b": 0}),
        ({"a": 0}, {}),
        ({}, {}),
    ],
)
def test_percents(amounts: dict[str, float], expected: dict[str, int]) -> None:
    """The largest remainders are rounded up, and of equal ones the first by name."""
    assert percents(amounts) == expected


def test_percents_make_100() -> None:
    """Percents are whole numbers that make 100, each less than one away from what it is exactly."""
    draw = random.Random(7)
    for _ in range(1000):
        amounts = {f"v{number}": draw.choice([draw.randint(1, 1000), draw.random()]) for number in range(16)}
        found = percents(amounts)
        assert sum(found.values()) == 100
        total = sum(amounts.values())
        assert all(abs(found[name] - amount * 100 / total) < 1 + 1e-9 for name, amount in amounts.items())
