"""Rules on cards and shares of cards: which provider takes which field, and what its units can say."""

from collections.abc import Callable

from pantala.api import quantity
from pantala.api.rules import Node, Rule, search

FIELDS = {
    "memoryPerCard": ("hami", "volcano", "tencent", "aliyun"),
    "memoryPercent": ("hami",),
    "corePercent": ("hami", "volcano", "tencent"),
    "coreLimit": ("tencent",),
    "oversubscribe": ("hami",),
    "sharing": ("nvidia",),
    "profile": ("mig", "dra"),
    "strategy": ("mig",),
    "mode": ("hami", "volcano"),
    "nodePolicy": ("hami",),
    "cardPolicy": ("hami",),
    "cardType": ("hami", "volcano", "dra"),
    "devices": ("hami", "visible-devices"),
    "deviceClass": ("dra",),
    "selectors": ("dra",),
}
"""The providers that can express a field; `provider` and `count` are for all."""

PROFILE = "^[1-7]g[.][1-9][0-9]{0,2}gb([+-][a-z]+([.][a-z]+)*)?$"
"""A MIG profile without compute instances of its own (`1c.3g.20gb`), which device plugins do not offer."""
CARD = "^[A-Za-z0-9]([A-Za-z0-9 ._-]*[A-Za-z0-9])?$"
"""A part of a card's name: vendors separate names by commas."""
UUID = "^(GPU|MIG)-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"
"""The UUID of a card or of a slice, as nvidia-smi prints it."""
NUMBER = "^(0|[1-9][0-9]?)$"
"""The number of a card on its node."""

LEAST, MOST = "64Mi", "1Ti"
"""Bounds of memoryPerCard: a CUDA context alone takes more than the least, and a bare number means bytes."""


def _of(provider: str, cel: str) -> str:
    """A condition that counts for one provider only."""
    return f"!has(self.provider) || self.provider != '{provider}' || ({cel})"


def _rule(provider: str, cel: str, holds: Callable[[Node], bool], message: str, field: str = "") -> Rule:
    return Rule(
        "Accelerator",
        _of(provider, cel),
        lambda it: it.get("provider") != provider or holds(it),
        message,
        field,
    )


def _takes(field: str, providers: tuple[str, ...]) -> Rule:
    words = ", ".join(providers)
    return Rule(
        "Accelerator",
        f"!has(self.{field}) || !has(self.provider) || self.provider in {list(providers)}",
        lambda it: field not in it or it.get("provider", providers[0]) in providers,
        f"{field} cannot be expressed by this provider: remove it, or use one that can ({words})",
        f".{field}",
    )


def _in_bounds(block: Node) -> bool:
    least, most = quantity.parse(LEAST), quantity.parse(MOST)
    asked = quantity.parse(str(block.get("memoryPerCard", LEAST)))
    return asked is None or least is None or most is None or least <= asked <= most


def _exclude(left: str, right: str, why: str) -> Rule:
    return Rule(
        "Accelerator",
        f"!has(self.{left}) || !has(self.{right})",
        lambda it: left not in it or right not in it,
        f"{left} and {right} exclude each other: {why}",
        f".{right}",
    )


_MEMORY = (
    Rule(
        "Accelerator",
        "!has(self.memoryPerCard) || !isQuantity(self.memoryPerCard)"
        f" || (quantity(self.memoryPerCard).compareTo(quantity('{LEAST}')) >= 0"
        f" && quantity(self.memoryPerCard).compareTo(quantity('{MOST}')) <= 0)",
        _in_bounds,
        f"memoryPerCard must lie between {LEAST} and {MOST}, and a number without a unit means bytes: write for example 8Gi",
        ".memoryPerCard",
    ),
    _exclude("memoryPerCard", "memoryPercent", "keep the one that you mean"),
    *(_takes(field, providers) for field, providers in FIELDS.items()),
)

_NVIDIA = (
    Rule(
        "Accelerator",
        "!has(self.sharing) || self.count == 1",
        lambda it: "sharing" not in it or it["count"] == 1,
        "count must be 1 with sharing: two shares may be of the same card, and the device plugin refuses them;"
        " set count: 1, or ask for whole cards without sharing",
        ".count",
    ),
    _rule(
        "mig",
        "has(self.profile)",
        lambda it: "profile" in it,
        "provider mig needs profile: write the profile of the slices, such as 1g.10gb (`pantala gpus` lists them)",
        ".profile",
    ),
    Rule(
        "Accelerator",
        f"!has(self.profile) || self.profile.matches('{PROFILE}')",
        lambda it: "profile" not in it or search(PROFILE, it["profile"]),
        "profile must be a MIG profile as nvidia-smi names it: write for example 1g.10gb or 1g.10gb+me, in lower case",
        ".profile",
    ),
    _exclude("profile", "cardType", "keep profile, and say the kind of card with selectors"),
)

_SHARES = (
    Rule(
        "Accelerator",
        "!has(self.mode) || self.mode != 'MIG' || !has(self.oversubscribe) || !self.oversubscribe",
        lambda it: it.get("mode") != "MIG" or not it.get("oversubscribe", False),
        "oversubscribe has no effect with mode MIG, where a slice has its own memory: remove oversubscribe, or mode",
        ".oversubscribe",
    ),
    Rule(
        "Accelerator",
        "!has(self.mode) || self.mode != 'MIG' || !has(self.corePercent)",
        lambda it: it.get("mode") != "MIG" or "corePercent" not in it,
        "corePercent has no effect with mode MIG, where a slice has its own cores: remove corePercent, or mode",
        ".corePercent",
    ),
    _rule(
        "tencent",
        "!has(self.memoryPerCard) || (has(self.corePercent) && self.corePercent < 100)",
        lambda it: "memoryPerCard" not in it or it.get("corePercent", 100) < 100,  # noqa: PLR2004
        "memoryPerCard has no effect on whole cards of provider tencent: set corePercent below 100, or remove memoryPerCard",
        ".memoryPerCard",
    ),
    _rule(
        "tencent",
        "!has(self.corePercent) || self.corePercent == 100 || has(self.memoryPerCard)",
        lambda it: it.get("corePercent", 100) == 100 or "memoryPerCard" in it,  # noqa: PLR2004
        "corePercent below 100 needs memoryPerCard with provider tencent, or the kubelet refuses the pod: set memoryPerCard",
        ".memoryPerCard",
    ),
    _rule(
        "tencent",
        "!has(self.corePercent) || self.corePercent == 100 || self.count == 1",
        lambda it: it.get("corePercent", 100) == 100 or it["count"] == 1,  # noqa: PLR2004
        "count must be 1 with corePercent below 100 and provider tencent, which has shares of one card only: set count: 1",
        ".count",
    ),
    Rule(
        "Accelerator",
        "!has(self.coreLimit) || (has(self.corePercent) && self.corePercent < self.coreLimit)",
        lambda it: "coreLimit" not in it or it.get("corePercent", 100) < it["coreLimit"],
        "coreLimit must be more than corePercent, which it raises while the card is idle: set both, or remove coreLimit",
        ".coreLimit",
    ),
    _rule(
        "aliyun",
        "has(self.memoryPerCard)",
        lambda it: "memoryPerCard" in it,
        "provider aliyun needs memoryPerCard, the only thing that it can divide: set memoryPerCard, or use nvidia for whole cards",
        ".memoryPerCard",
    ),
    _rule(
        "aliyun",
        "self.count == 1",
        lambda it: it["count"] == 1,
        "count must be 1 with provider aliyun, which gives a pod a share of one card: set count: 1, or use hami or volcano",
        ".count",
    ),
)


def _all_match(pattern: str) -> tuple[str, Callable[[Node], bool]]:
    return f"self.devices.all(d, d.matches('{pattern}'))", lambda it: all(
        search(pattern, device) for device in it["devices"]
    )


_UUIDS, _are_uuids = _all_match(UUID)
_NAMES, _are_names = _all_match(f"{NUMBER}|{UUID}")

MOST_DEVICES = 32
"""Devices of one ResourceClaim (k8s.io/api/resource/v1, AllocationResultsMaxSize)."""

_CARDS = (
    _rule(
        "dra",
        f"self.count <= {MOST_DEVICES}",
        lambda it: it["count"] <= MOST_DEVICES,
        f"count must be at most {MOST_DEVICES} with provider dra: a ResourceClaim holds no more devices",
        ".count",
    ),
    _rule(
        "visible-devices",
        "has(self.devices)",
        lambda it: "devices" in it,
        'provider visible-devices needs devices: write the numbers or UUIDs of the cards, such as ["0", "1"]',
        ".devices",
    ),
    _rule(
        "visible-devices",
        "!has(self.devices) || self.count == 1 || self.count == self.devices.size()",
        lambda it: "devices" not in it or it["count"] in {1, len(it["devices"])},
        "count must be the number of devices with provider visible-devices: remove count",
        ".count",
    ),
    _rule(
        "visible-devices",
        f"!has(self.devices) || {_NAMES}",
        lambda it: "devices" not in it or _are_names(it),
        "devices must be numbers of cards from 0 to 99, or UUIDs: write what nvidia-smi -L prints",
        ".devices",
    ),
    _rule(
        "hami",
        f"!has(self.devices) || {_UUIDS}",
        lambda it: "devices" not in it or _are_uuids(it),
        "devices must be UUIDs with provider hami, because numbers differ from node to node: write what nvidia-smi -L prints",
        ".devices",
    ),
    _rule(
        "hami",
        "!has(self.devices) || self.devices.size() >= self.count",
        lambda it: "devices" not in it or len(it["devices"]) >= it["count"],
        "devices names fewer cards than count: name at least as many, or lower count",
        ".devices",
    ),
    Rule(
        "Accelerator",
        "!has(self.devices) || self.devices.all(d, self.devices.exists_one(e, e == d))",
        lambda it: len(set(it.get("devices", ()))) == len(it.get("devices", ())),
        "devices names a card twice: remove one of them",
        ".devices",
    ),
    _rule(
        "volcano",
        "!has(self.cardType) || !has(self.cardType.deny)",
        lambda it: "deny" not in it.get("cardType", {}),
        "cardType.deny cannot be relied on with provider volcano, some of whose versions ignore it: name the kinds in"
        " cardType.allow",
        ".cardType.deny",
    ),
    Rule(
        "CardType",
        "has(self.allow) || has(self.deny)",
        lambda it: "allow" in it or "deny" in it,
        "cardType needs allow or deny: name a part of a card's name, such as A100, or remove cardType",
    ),
    *(
        Rule(
            "CardType",
            f"!has(self.{field}) || self.{field}.all(n, n.matches('{CARD}'))",
            lambda it, field=field: all(search(CARD, name) for name in it.get(field, ())),  # type: ignore[misc]
            f"{field} must hold parts of names of cards, each out of letters, digits, blanks, dots, dashes and underscores:"
            " write for example A100",
            f".{field}",
        )
        for field in ("allow", "deny")
    ),
)

RULES = _MEMORY + _NVIDIA + _SHARES + _CARDS
"""All rules on the block `accelerator`."""
