"""What every vendor module offers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from pantala.api.accelerator import Accelerator as AcceleratorSpec
from pantala.manifest.settings import AcceleratorSettings
from pantala.manifest.types import Manifest, PodParts


@dataclass(frozen=True)
class Grant:
    """One thing that was asked for, in the vendor's unit: rounded up, never down."""

    resource: str
    """The vendor's resource: `nvidia.com/gpumem`. For what is not a resource, such as an annotation, its name."""
    asked: str
    """As the user wrote it: `1000Mi`, `50%`, `2`."""
    granted: str
    """The same after rounding: `1Gi`, `50%`, `2`."""
    unit: str
    """What one of the vendor's units is: `256Mi`, `1%`, `1 card`."""
    amount: int
    """How many units the pod asks for, over all of its cards if the vendor counts them together."""


@dataclass(frozen=True)
class Memory:
    """Memory that a replica may use on each of its cards."""

    bytes: int
    enforced: bool
    """Whether something keeps the replica from taking more. If not, the server itself must be told."""


@dataclass(frozen=True)
class Claim:
    """What a pod needs so that it gets its cards, and no others."""

    parts: PodParts
    grants: tuple[Grant, ...] = ()
    cards: int = 1
    """Devices that the server sees."""
    memory: Memory | None = None
    """None: whatever the card has, which only the node knows."""
    warnings: tuple[str, ...] = ()
    """What the user should know, each a sentence with the next step."""
    template: Mapping[str, object] | None = None
    """Spec of the ResourceClaimTemplate that `parts.resource_claims` names as `TEMPLATE_NAME`; only DRA has one."""


TEMPLATE_NAME = "$(template)"
"""Stands for the name of the ResourceClaimTemplate, which the planner knows."""


@dataclass(frozen=True)
class Utilization:
    """The series that says how busy the cards of one pod are."""

    series: str
    """Name of the metric in Prometheus."""
    percent: float
    """Factor that makes it percent of a card's compute: 1 of what is percent already, 100 of what is a ratio."""
    pod_label: str
    namespace_label: str
    """Labels that name the pod, as the exporter writes them (dcgm-exporter's own may arrive as `exported_*`)."""
    selector: Mapping[str, str] = field(default_factory=dict)
    """Further labels: a series of several values has one that is the sum."""
    granted: int = 100
    """Percent of a card that the pod was granted, over all of its cards where the series is their sum: what full use shows as."""

    @property
    def scale(self) -> float:
        """Factor that makes the series percent, 0 to 100, of what was granted (of a card's compute, if nothing limits it)."""
        return self.percent * 100 / self.granted


@dataclass(frozen=True)
class NoUtilization:
    """There is no such series, and why: a sentence for people."""

    why: str
    shared: bool = False
    """Whether there is one, but of the whole card, which other pods use too."""


@dataclass(frozen=True)
class Offer:
    """What one node has for one provider, of one resource."""

    provider: str
    resource: str
    """The resource that is counted, such as `nvidia.com/gpumem`."""
    total: int
    """In the resource's unit."""
    unit: str
    """For people: `cards`, `MiB`, `%`, `shares`, `256 MiB`, `GiB`."""
    card: str = ""
    """Name of the card, if the node tells; of several kinds all, with commas."""
    cards: int = 0
    """Physical cards that it is of. 0: the node does not tell."""
    largest: int = 0
    """The most that one card has of it, in the resource's unit. 0: the node does not tell."""


class Accelerator(Protocol):
    """One vendor's way of asking for cards. Pure."""

    def claim(self, spec: AcceleratorSpec, settings: AcceleratorSettings) -> Claim:
        """What a pod needs so that the scheduler finds a node with the cards and the server sees them, and no others.

        `spec` has passed the rules of this provider (`registry.claim` sees to it).
        """
        ...

    def utilization(self, spec: AcceleratorSpec) -> Utilization | NoUtilization:
        """How an autoscaler learns how busy the cards of one pod are."""
        ...

    def offers(self, node: Manifest, settings: AcceleratorSettings) -> tuple[Offer, ...]:
        """What a node has of this provider, from its labels, its annotations and `status.allocatable`."""
        ...
