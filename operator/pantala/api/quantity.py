"""Kubernetes quantities as exact numbers."""

import re
from fractions import Fraction

_QUANTITY = re.compile(r"([+-]?[0-9]+(?:\.[0-9]*)?|[+-]?\.[0-9]+)(?:([eE][+-]?[0-9]+)|([numkMGTPE]|[KMGTPE]i)?)")
_SCALE = {
    **{suffix: Fraction(1, 1000**power) for power, suffix in enumerate(("", "m", "u", "n"))},
    **{suffix: Fraction(1000**power) for power, suffix in enumerate(("", "k", "M", "G", "T", "P", "E"))},
    **{suffix: Fraction(1024**power) for power, suffix in enumerate(("", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"))},
}


def parse(text: str | int) -> Fraction:
    """Read a quantity such as ``500m``, ``1.5Gi`` or ``1e3`` as a number of its base unit.

    Format: k8s.io/apimachinery, pkg/api/resource, type Quantity.

    Raises:
        ValueError: The text is not a quantity.
    """
    match = _QUANTITY.fullmatch(str(text))
    if not match:
        raise ValueError(f"{text!r} is not a quantity: write a number with a suffix such as 500m, 2, 1.5Gi")
    number, exponent, suffix = match.groups()
    if exponent:
        return Fraction(number + exponent)
    return Fraction(number) * _SCALE[suffix or ""]
