"""Whole percents of amounts."""

from collections.abc import Mapping
from fractions import Fraction
from math import floor


def percents(amounts: Mapping[str, float]) -> dict[str, int]:
    """The amounts scaled so that they make 100, by the largest remainders, of equal ones by name.

    Args:
        amounts: None is negative.

    Returns:
        As many percents as there are amounts, or none where these make nothing.
    """
    total = sum(map(Fraction, amounts.values()))
    if not total:
        return {}
    exact = {name: 100 * Fraction(amount) / total for name, amount in amounts.items()}
    found = {name: floor(share) for name, share in exact.items()}
    for name in sorted(exact, key=lambda it: (found[it] - exact[it], it))[: 100 - sum(found.values())]:
        found[name] += 1
    return found
