"""What the nodes of a cluster offer of cards, what is taken, and what is left: nodes and pods in, rows out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from operator import attrgetter

from pantala.accelerators import hami, tencent, volcano
from pantala.accelerators.base import Offer
from pantala.accelerators.devices import Device
from pantala.accelerators.registry import PROVIDERS
from pantala.accelerators.rows import Card, Holder, Row, Total
from pantala.accelerators.taken import INDEXED, VISIBLE, Taken
from pantala.manifest.settings import AcceleratorSettings
from pantala.manifest.types import Manifest

_WRITTEN = {"MiB": attrgetter("memory"), "%": attrgetter("cores")}
"""By the unit of what HAMi or Volcano offer: the part of a card that their schedulers wrote on pods. The number of cards, the
rest, is what the pods ask for."""
UNRESERVED = "visible-devices"
"""Provider of rows that count pods which see cards that nobody reserves for them."""


def rows(
    nodes: Iterable[Manifest],
    pods: Iterable[Taken] | None,
    devices: Iterable[Device],
    settings: AcceleratorSettings,
) -> list[Row]:
    """All rows, by node, provider and resource.

    Args:
        nodes: Those to look at.
        pods: What pods take; None if that is not known.
        devices: Those of DynamicResourceAllocation.
        settings: The installation's names and units.
    """
    by_node: dict[str, list[Taken]] | None = None
    if pods is not None:
        by_node = defaultdict(list)
        for pod in pods:
            by_node[pod.node].append(pod)
    found = [_of_devices(list(group)) for _, group in groupby(sorted(devices, key=_kind), _kind)]
    for node in nodes:
        here = None if by_node is None else by_node.get(node["metadata"]["name"], [])
        found += _of_node(node, here, settings)
    return sorted(found, key=lambda row: (row.node, row.provider, row.resource, row.card))


def totals(found: Iterable[Row], closed: frozenset[str]) -> list[Total]:
    """The sums by provider and resource.

    Args:
        found: Rows.
        closed: Names of the nodes that take no new pods.
    """
    groups: dict[tuple[str, str, str], list[Row]] = defaultdict(list)
    for row in found:
        groups[row.provider, row.resource, row.unit].append(row)
    return [
        Total(
            *key,
            nodes=len({row.node for row in group}),
            total=_sum(row.total for row in group),
            taken=_sum(row.taken for row in group),
            free=_sum(row.free for row in group),
            closed=sum(row.free or 0 for row in group if row.node in closed),
        )
        for key, group in sorted(groups.items())
    ]


def _sum(amounts: Iterable[int | None]) -> int | None:
    known = list(amounts)
    return None if None in known else sum(amount or 0 for amount in known)


def _of_node(node: Manifest, pods: Sequence[Taken] | None, settings: AcceleratorSettings) -> Iterator[Row]:
    name, cards = node["metadata"]["name"], {"hami": hami.devices(node), "volcano": volcano.devices(node)}
    offers = [offer for module in PROVIDERS.values() for offer in module.offers(node, settings)]
    for offer in offers:
        if pods is None:
            yield _row(name, offer, None)
        elif offer.provider in cards and offer.unit in _WRITTEN:
            yield _by_cards(name, offer, cards[offer.provider], pods)
        else:
            yield _by_requests(name, offer, pods, settings)
    offered = {offer.resource for offer in offers}
    seeing = {pod.pod: 1 for pod in pods or () if any(not view.requests & offered for view in pod.views)}
    if seeing:
        yield Row(name, UNRESERVED, VISIBLE, "", "pods", None, len(seeing), None, holders=_holders(seeing))


def _by_requests(node: str, offer: Offer, pods: Sequence[Taken], settings: AcceleratorSettings) -> Row:
    """A row of what pods ask Kubernetes for; card by card if their scheduler wrote on all of them which cards they got."""
    by_card: dict[str, int] = defaultdict(int)
    by_pod: dict[str, int] = defaultdict(int)
    told = offer.provider in INDEXED and offer.cards > 0
    for pod in pods:
        placed = [one for one in pod.placed if one.provider == offer.provider]
        by_pod[pod.pod] = sum(_requested(one.requests, offer, settings) for one in placed)
        if not placed:
            by_pod[pod.pod] = _requested(pod.requests, offer, settings)
            told = told and not by_pod[pod.pod]
        for one in placed:
            for card in one.cards:
                by_card[card] += _requested(one.requests, offer, settings) // len(one.cards)
    single = (_card(name, offer.largest, by_card[name]) for name in map(str, range(offer.cards if told else 0)))
    return _row(node, offer, by_pod, tuple(single))


def _requested(requests: Mapping[str, int], offer: Offer, settings: AcceleratorSettings) -> int:
    """What a pod, or one of its containers, takes of a resource that it asks Kubernetes for."""
    asked = requests.get(offer.resource, 0)
    memory, compute = (settings.resource_names.get(name, name) for name in (tencent.MEMORY, tencent.CORES))
    if offer.resource == memory and requests.get(compute, 0) >= tencent.CARD:
        # A whole card goes with all of its memory, whatever the pod asks (tkestack/gpu-manager, allocator.go).
        return max(asked, requests[compute] // tencent.CARD * offer.largest)
    return asked


def _row(node: str, offer: Offer, pods: Mapping[str, int] | None, cards: tuple[Card, ...] = ()) -> Row:
    """A row of what pods take."""
    taken = None if pods is None else sum(pods.values())
    free = None if taken is None else max(0, offer.total - taken)
    if cards:
        free = sum(card.free for card in cards)
    return Row(
        node,
        offer.provider,
        offer.resource,
        offer.card,
        offer.unit,
        offer.total,
        taken,
        free,
        cards,
        _holders(pods or {}),
    )


def _by_cards(node: str, offer: Offer, cards: Sequence[hami.Device], pods: Sequence[Taken]) -> Row:
    """A row of what a scheduler wrote on pods."""
    part = _WRITTEN[offer.unit]
    by_card: dict[str, int] = defaultdict(int)
    by_pod: dict[str, int] = defaultdict(int)
    for pod in pods:
        for one in pod.slices.get(offer.provider, ()):
            by_card[one.card] += part(one)
            by_pod[pod.pod] += part(one)
    return _row(node, offer, by_pod, tuple(_card(card.uuid, part(card), by_card[card.uuid]) for card in cards))


def _card(name: str, total: int, taken: int) -> Card:
    return Card(name, total, taken, max(0, total - taken))


def _holders(pods: Mapping[str, int]) -> tuple[Holder, ...]:
    found = (Holder(pod, amount) for pod, amount in pods.items() if amount)
    return tuple(sorted(found, key=lambda holder: (-holder.amount, holder.pod)))


def _kind(device: Device) -> tuple[str, str, str]:
    return device.node, device.resource, device.model


def _of_devices(devices: Sequence[Device]) -> Row:
    """Devices of one kind on one node, each of which somebody has or nobody."""
    cards = tuple(
        Card(device.name, 1, int(bool(device.holders)), int(not device.holders and not device.closed))
        for device in devices
    )
    by_pod: dict[str, int] = defaultdict(int)
    for device in devices:
        for pod in device.holders:
            by_pod[pod] += 1
    first = devices[0]
    taken, free = sum(card.taken for card in cards), sum(card.free for card in cards)
    return Row(
        *(first.node, "dra", first.resource, first.model, "devices", len(cards), taken, free),
        cards=cards,
        holders=_holders(by_pod),
    )
