"""The cards of a version: who hands them out, what is asked of them, and how that is recorded beside the pod template. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, TypeVar

from pantala.accelerators import registry as accelerators
from pantala.accelerators.base import Claim, Grant, Memory
from pantala.api.resolve import ResolvedVersion
from pantala.manifest.canonical import digest
from pantala.manifest.settings import Settings
from pantala.manifest.types import Invalid, Manifest, PodParts

T = TypeVar("T")
_MIB = 1 << 20


@dataclass(frozen=True)
class Cards:
    """What a version's pods ask of the provider of their cards."""

    provider: str
    choice: str
    """Digest of what decides on the provider besides the installation: while it is the same a recorded provider stays."""
    claim: Claim


def of(version: ResolvedVersion, settings: Settings, recorded: Cards | None = None) -> Cards | Invalid | None:
    """What the version asks of the provider of its cards; None if it asks for none.

    Args:
        version: The version.
        settings: The installation's: their default provider counts where the spec names none.
        recorded: What the version's pods were rendered with: another default of the installation moves none of them.
    """
    asked = version.accelerator
    if asked is None:
        return None
    selector = _node_selector(version)
    choice = digest([asked.as_dict(), dict(selector)])
    if recorded is not None and recorded.choice == choice:
        provider = recorded.provider
    else:
        provider = accelerators.provider(asked, selector, settings.accelerators)
    around = {"runtime": version.runtime.as_dict(), "template": version.template.as_dict() if version.template else {}}
    claim = accelerators.claim(asked, provider, settings.accelerators, around)
    return claim if isinstance(claim, Invalid) else Cards(provider, choice, claim)


def variables(version: ResolvedVersion, claim: Claim | None) -> list[Manifest]:
    """What the server is told of its share of a card, so that it can keep to it: MiB of each card, or percent.

    The total that CUDA reports is the whole card's wherever the vendor only counts. A slice is told nothing: it reports its own
    total, of which the profile's name says up to an eighth too much.
    """
    asked = version.accelerator
    if claim is None or asked is None:
        return []
    if claim.memory is not None and asked.profile is None:
        return [{"name": "PANTALA_GPU_MEMORY_MIB", "value": str(claim.memory.bytes // _MIB)}]
    if asked.memory_percent is not None:
        return [{"name": "PANTALA_GPU_MEMORY_PERCENT", "value": str(asked.memory_percent)}]
    return []


def dump(cards: Cards) -> Manifest:
    """The cards as JSON has them; `load` reads it."""
    return asdict(cards)


def load(content: Mapping[str, Any]) -> Cards:
    """The cards out of a record. What this operator does not know it passes over, what it misses has its default.

    Raises:
        ValueError, KeyError, TypeError, AttributeError: It is no such record.
    """
    told = content["claim"]
    memory = told.get("memory")
    claim = _known(
        Claim,
        dict(told)
        | {
            "parts": _known(PodParts, told["parts"]),
            "grants": tuple(_known(Grant, grant) for grant in told["grants"]),
            "memory": None if memory is None else _known(Memory, memory),
        },
    )
    return Cards(str(content["provider"]), str(content["choice"]), claim)


def _known(kind: type[T], content: Mapping[str, Any]) -> T:
    """A value out of the fields of it that this operator knows: a later one may record more."""
    names = {field.name for field in fields(kind)}  # type: ignore[arg-type]  # every caller's is a dataclass
    return kind(
        **{name: tuple(value) if isinstance(value, list) else value for name, value in content.items() if name in names}
    )


def _node_selector(version: ResolvedVersion) -> Mapping[str, str]:
    spec = version.template.spec if version.template else None
    return (spec.node_selector if spec else None) or {}
