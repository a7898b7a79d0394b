from fractions import Fraction

import pytest

from pantala.api import quantity


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("500m", Fraction(1, 2)),
        ("2", Fraction(2)),
        (3, Fraction(3)),
        ("1.5Gi", Fraction(3 * 2**29)),
        ("1G", Fraction(10**9)),
        ("1e3", Fraction(1000)),
        ("1E", Fraction(10**18)),
        ("1n", Fraction(1, 10**9)),
    ],
)
def test_parse(text: str | int, value: Fraction) -> None:
    """Binary and decimal suffixes, and exponents, give exact numbers; 1E is exa, 1e3 a thousand."""
    assert quantity.parse(text) == value


@pytest.mark.parametrize("text", ["", "4GB", "Gi", "1 Gi", "1e", "--1"])
def test_parse_refuses(text: str) -> None:
    """What is no quantity is refused, with the way out in the message."""
    with pytest.raises(ValueError, match="is not a quantity"):
        quantity.parse(text)
