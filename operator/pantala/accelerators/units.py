"""Vendors' units: amounts rounded up, never down, and what a node has of them."""

from collections.abc import Iterable
from decimal import ROUND_CEILING

from pantala.accelerators.base import Grant
from pantala.api import quantity
from pantala.manifest.types import Manifest

MIB = 1 << 20
GIB = 1 << 30
CORES = "1%"
"""Unit of compute: a hundredth of a card."""

_DIGITS = 12
_SUFFIXES = (("Gi", GIB), ("Mi", MIB), ("Ki", 1 << 10), ("", 1))


def cards(resource: str, count: int) -> Grant:
    """So many whole cards."""
    return Grant(resource, str(count), str(count), "1 card", count)


def percent(resource: str, asked: int) -> Grant:
    """A part of each card, in percent; all vendors that have such a resource count in whole ones."""
    return Grant(resource, f"{asked}%", f"{asked}%", CORES, asked)


def memory(resource: str, asked: str, unit: int) -> Grant:
    """The least number of units that holds what is asked for.

    Args:
        resource: The vendor's resource.
        asked: A quantity; `1500M` is less than `1500Mi`.
        unit: Bytes of one of the vendor's units.

    Raises:
        ValueError: `asked` is not a quantity above zero, which the rules refuse.
    """
    value = quantity.parse(asked)
    if value is None or value <= 0:
        raise ValueError(f"{asked!r} is not an amount of memory")
    amount = -(-int(value.to_integral_value(ROUND_CEILING)) // unit)
    return Grant(resource, asked, written(amount * unit), written(unit), amount)


def written(size: int) -> str:
    """Bytes as a quantity in the largest binary unit that needs no fraction: `1Gi`, `1280Mi`."""
    return next(f"{size // unit}{suffix}" for suffix, unit in _SUFFIXES if size % unit == 0)


def limits(grants: Iterable[Grant]) -> dict[str, str]:
    """The grants as limits of a container: plain integers, as extended resources must be.

    HAMi takes a suffix for a factor (Project-HAMi/HAMi, pkg/device/nvidia/device.go), and an API server writes `8k` for
    `8000`, which is the same number.
    """
    return {grant.resource: str(grant.amount) for grant in grants}


def allocatable(node: Manifest, resource: str) -> int:
    """What the node has of a resource for pods; 0 if it has none, or writes what is no number."""
    value = quantity.parse(str(node.get("status", {}).get("allocatable", {}).get(resource, "0")))
    return int(value) if value is not None else 0


def labels(node: Manifest) -> dict[str, str]:
    """The node's labels."""
    return node["metadata"].get("labels") or {}


def annotations(node: Manifest) -> dict[str, str]:
    """The node's annotations."""
    return node["metadata"].get("annotations") or {}


def whole(text: str) -> int:
    """A number that a vendor wrote into a label or an annotation; 0 if it is none, a negative one, or beyond all cards."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _DIGITS else 0


def names(cards: Iterable[str]) -> str:
    """Names of cards for people, each once."""
    return ", ".join(dict.fromkeys(name for name in cards if name))
