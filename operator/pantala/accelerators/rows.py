"""What an inventory of cards is made of: a row for each resource of each provider on each node, and their sums."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Holder:
    """A pod and what it takes, in the unit of the row."""

    pod: str
    """`namespace/name`; of a claim where no pod uses that."""
    amount: int


@dataclass(frozen=True)
class Card:
    """One card or device of a row, in the unit of the row."""

    name: str
    """UUID, or the device's name."""
    total: int
    taken: int
    free: int


@dataclass(frozen=True)
class Row:
    """One resource of one provider on one node."""

    node: str
    """Empty: devices that several nodes can reach."""
    provider: str
    resource: str
    card: str
    """Names of the cards; empty if the node does not tell."""
    unit: str
    total: int | None
    """None: nobody knows (visible-devices)."""
    taken: int | None
    """None: the pods are not known."""
    free: int | None
    cards: tuple[Card, ...] = ()
    """Single cards, where the provider tells of them and the pods are known."""
    holders: tuple[Holder, ...] = ()
    """Who takes it, those that take most first."""

    @property
    def free_on_one(self) -> int | None:
        """The most that is free on one card: no share is put together from two. None: unknown, or nothing is shared."""
        if all(card.total == 1 for card in self.cards):
            return None
        return max(card.free for card in self.cards)


@dataclass(frozen=True)
class Total:
    """One resource of one provider on all nodes."""

    provider: str
    resource: str
    unit: str
    nodes: int
    total: int | None
    taken: int | None
    free: int | None
    closed: int
    """How much of `free` is on nodes that take no new pods."""
