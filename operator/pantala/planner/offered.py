"""Which nodes offer what a version asks for, and what keeps its pods from them. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

from pantala.accelerators import hami, mig
from pantala.accelerators.base import Offer
from pantala.accelerators.registry import PROVIDERS
from pantala.manifest import words as words_of
from pantala.manifest.settings import AcceleratorSettings
from pantala.manifest.types import Manifest
from pantala.planner import nodes as judge
from pantala.planner.cards import Cards
from pantala.status.reasons import Reason

_EACH = frozenset({"hami", "volcano"})
"""Providers that count memory and compute on each card; with the others they are the pod's, or there is one card."""
_OF_THE_NODE = ("node.kubernetes.io/", "node.cloudprovider.kubernetes.io/")
"""Beginnings of taints by which Kubernetes itself says what is wrong with a node."""
_NAMED = 3
_LOOK = "`pantala gpus` shows what there is."


class _Bar(IntEnum):
    """The first thing that keeps a pod from a node that offers its cards, in the order in which they are looked at."""

    OTHERWISE = 0
    """The node hands its cards out in another way than was asked."""
    SMALL = 1
    SELECTOR = 2
    AFFINITY = 3
    TAINT = 4
    NONE = 5


_REASONS = {
    _Bar.OTHERWISE: Reason.CARDS_MISSING,
    _Bar.SMALL: Reason.ASKED_TOO_MUCH,
    _Bar.SELECTOR: Reason.CARDS_NOT_SELECTED,
    _Bar.AFFINITY: Reason.CARDS_NOT_SELECTED,
    _Bar.TAINT: Reason.CARDS_TAINTED,
}


@dataclass(frozen=True)
class _Short:
    """A node that has less than what is asked for."""

    place: int
    """Place of the resource in the claim."""
    resource: str
    asked: int
    had: int
    unit: str
    each: bool
    """Whether `had` is what one card has."""
    card: str


@dataclass(frozen=True)
class _Place:
    """A node that offers what the claim is for."""

    node: Manifest
    offers: Mapping[str, Offer]
    bar: _Bar
    short: _Short | None = None

    @property
    def name(self) -> str:
        return str(self.node["metadata"]["name"])


def lacking(
    cards: Cards, spec: Manifest, settings: AcceleratorSettings, nodes: Sequence[Manifest]
) -> tuple[Reason, str] | None:
    """Why no node at all could take the pod, even if all cards were free: a reason, and sentences with the next step.

    Args:
        cards: What is asked of the provider.
        spec: The spec of the pod template.
        settings: The installation's.
        nodes: All nodes.

    Returns:
        None if there is a node, or if the claim is for nothing that nodes offer.
    """
    if not cards.claim.parts.limits:
        return None
    places = _places(cards, spec, settings, nodes)
    if not places:
        return Reason.CARDS_MISSING, _missing(cards, settings, nodes)
    best = max(place.bar for place in places)
    if best is _Bar.NONE:
        return None
    return _REASONS[best], _words(best, cards, spec, [place for place in places if place.bar is best])


def _words(bar: _Bar, cards: Cards, spec: Manifest, those: Sequence[_Place]) -> str:
    if bar is _Bar.SMALL:
        return _small(those)
    who = f"the {_nodes(len(those))} with {_main(cards)} ({_names(those)})"
    if bar is _Bar.OTHERWISE:
        return _otherwise(cards, those, who)
    if bar is _Bar.TAINT:
        return f"taints keep it from {who}: {_taints(spec, those)}"
    field = "affinity"
    if bar is _Bar.SELECTOR:
        field = f"nodeSelector ({', '.join(f'{key}={value}' for key, value in spec['nodeSelector'].items())})"
    return f"template.spec.{field} rules out {who}. Change it, or label a node. {_LOOK}"


def have(resource: str, cards: Cards, spec: Manifest, settings: AcceleratorSettings, nodes: Sequence[Manifest]) -> str:
    """A sentence on the nodes that could take the pod if their cards were free; begins with a blank, may be empty."""
    those = [place for place in _places(cards, spec, settings, nodes) if place.bar is _Bar.NONE]
    offers = [offer for place in those if (offer := place.offers.get(resource))]
    if not offers:
        return ""
    most = max(offers, key=lambda offer: offer.total)
    return f" It could be on {_names(those)}, which {_has(those)} {_amount(most.total, most.unit)}{_at_most(those)}."


def _places(cards: Cards, spec: Manifest, settings: AcceleratorSettings, nodes: Sequence[Manifest]) -> list[_Place]:
    found = []
    for node in nodes:
        offers = {offer.resource: offer for offer in _offers(cards.provider, node, settings)}
        if _main(cards) in offers:
            short = _short(cards, offers)
            found.append(_Place(node, offers, _bar(cards, spec, node, short), short))
    return found


def _bar(cards: Cards, spec: Manifest, node: Manifest, short: _Short | None) -> _Bar:
    if not judge.meets(cards.claim.parts.node_requirements, node["metadata"]["labels"]):
        return _Bar.OTHERWISE
    if short is not None:
        return _Bar.SMALL
    if not judge.selected(spec, node):
        return _Bar.SELECTOR
    if not judge.fits_affinity(spec, node):
        return _Bar.AFFINITY
    return _Bar.TAINT if judge.untolerated(spec, node) else _Bar.NONE


def _short(cards: Cards, offers: Mapping[str, Offer]) -> _Short | None:
    """What the node has too little of, though nothing were taken; None if it has enough, or does not tell."""
    claim = cards.claim
    each = claim.cards == 1 or cards.provider in _EACH
    apart = claim.parts.annotations.get(hami.MODE) != hami.MODES["MIG"]
    for place, (resource, amount) in enumerate(claim.parts.limits.items()):
        offer = offers.get(resource)
        if offer is None:
            continue  # such as a percentage, which every card has
        if place == 0 and apart and offer.cards and claim.cards > offer.cards:
            return _Short(place, resource, claim.cards, offer.cards, "cards", each=False, card=offer.card)
        counts_cards = place == 0 and claim.cards > 1  # of each card one share is asked for
        of_one = each and bool(offer.largest) and not counts_cards
        most = offer.largest if of_one else offer.total
        if int(amount) > most:
            return _Short(place, resource, int(amount), most, offer.unit, each=of_one, card=offer.card)
    return None


def _missing(cards: Cards, settings: AcceleratorSettings, nodes: Sequence[Manifest]) -> str:
    there = {name: [offers for node in nodes if (offers := _offers(name, node, settings))] for name in PROVIDERS}
    own = sorted({offer.resource for offers in there.get(cards.provider, ()) for offer in offers})
    forms = f" ({', '.join(own[:_NAMED])}{', ...' if len(own) > _NAMED else ''})" if own else ""
    others = ", ".join(
        f"{name} on {_nodes(len(found))}{forms if name == cards.provider else ''}"
        for name, found in there.items()
        if found
    )
    rest = f"There is {others}." if others else "No node offers any cards."
    return (
        f"none of {_nodes(len(nodes))} offers {_wanted(cards)} (provider {cards.provider}). {rest} Add a node with that provider's"
        f" device plugin, or change `accelerator`. {_LOOK}"
    )


def _wanted(cards: Cards) -> str:
    """The resource in words: nodes that call their whole cards nvidia.com/gpu do not offer slices under that name."""
    alike = cards.provider == "mig" and not _main(cards).startswith(mig.PREFIX)
    return f"slices as {_main(cards)}" if alike else _main(cards)


def _main(cards: Cards) -> str:
    """The resource that says whether a node has what is asked for: the first, with all vendors the number of cards, if any."""
    return next(iter(cards.claim.parts.limits))


def _offers(provider: str, node: Manifest, settings: AcceleratorSettings) -> tuple[Offer, ...]:
    module = PROVIDERS.get(provider)
    if module is None or not node["status"]["allocatable"]:
        return ()  # no device plugin at all: most nodes of a large cluster
    return module.offers(node, settings)


def _otherwise(cards: Cards, those: Sequence[_Place], who: str) -> str:
    labels = those[0].node["metadata"]["labels"]
    words = [
        f"{it['key']} is {labels.get(it['key'], 'missing')}"
        for it in cards.claim.parts.node_requirements
        if not judge.meets([it], labels)
    ]
    return (
        f"it is handed out in another way than is asked for on {who}: label {', '.join(words)} on {those[0].name}. Ask for it"
        f" as it is there (`accelerator.sharing`, `provider`, `profile`), or add a node. {_LOOK}"
    )


def _small(those: Sequence[_Place]) -> str:
    shorts = [(place, place.short) for place in those if place.short is not None]
    # Who fails for a later resource has enough of those before it.
    place, short = max(shorts, key=lambda it: (it[1].place, it[1].had))
    asked, had = _amount(short.asked, short.unit), _amount(short.had, short.unit)
    card = f" ({short.card})" if short.card else ""
    return (
        f"no {'card' if short.each else 'node'} has {asked} of {short.resource}: the most is {had}, on node {place.name}{card}."
        f" Ask for less in `accelerator`, or add a node with more. {_LOOK}"
    )


def _taints(spec: Manifest, those: Sequence[_Place]) -> str:
    """Which taints there are, and what to do about them."""
    by_taint: dict[tuple[str, str, str], list[_Place]] = {}
    for place in those:
        for taint in judge.untolerated(spec, place.node):
            key = (taint["key"], taint.get("value", ""), taint.get("effect", ""))
            by_taint.setdefault(key, []).append(place)
    told = sorted(by_taint.items(), key=lambda it: (_own(it[0][0]), -len(it[1])))
    words = [f"{words_of.taint(*key)} on {_names(found)}" for key, found in told[:_NAMED]]
    tolerable = [key for key, _ in told if not _own(key[0])]
    if tolerable:
        lines = ", ".join(
            f"{{key: {key}, operator: Exists, effect: {effect}}}" for key, _, effect in tolerable[:_NAMED]
        )
        step = f"Add to `template.spec.tolerations`: {lines}."
    elif any(key[0] == judge.CORDONED["key"] for key, _ in told):
        step = f"Let pods onto it: kubectl uncordon {told[0][1][0].name}."
    else:
        step = "Kubernetes takes these away when the nodes are well."
    return f"{'; '.join(words)}. {step}"


def _own(key: str) -> bool:
    return key.startswith(_OF_THE_NODE)


def _nodes(count: int) -> str:
    return f"{count} node{'' if count == 1 else 's'}"


def _names(those: Sequence[_Place]) -> str:
    return words_of.some([place.name for place in those], _NAMED)


def _has(those: Sequence[_Place]) -> str:
    return "has" if len(those) == 1 else "have"


def _at_most(those: Sequence[_Place]) -> str:
    return " in all" if len(those) == 1 else " each at most"


def _amount(count: int, unit: str) -> str:
    if unit[:1].isdigit():
        return f"{count} x {unit}"
    return f"{count} {unit.removesuffix('s') if count == 1 and unit != '%' else unit}".replace(" %", "%")
