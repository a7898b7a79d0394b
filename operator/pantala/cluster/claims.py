"""Which models claim which hosts: hosts are names of the whole cluster, and two models may ask for the same one.

Hosts are compared without regard to case (RFC 4343). A wildcard is a host like any other here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pantala.manifest.types import Manifest
from pantala.planner import hosts
from pantala.planner.observed import Rival

K = TypeVar("K", bound=tuple[str, str])


@dataclass(frozen=True)
class Claim:
    """The hosts that one model wants."""

    hosts: frozenset[str]
    prefix: str
    created: str

    @classmethod
    def of(cls, model: Manifest, domain: str | None, allowed: Mapping[str, tuple[str, ...]]) -> Claim:
        """Read a claim off a raw model.

        Args:
            model: As the API server has it.
            domain: Where a model without hosts gets one; None: it claims none.
            allowed: Domains below which the hosts of a namespace may be, as in `Settings.allowed_domains`. A host that a
                model may not have is not claimed: it would keep those out that may.
        """
        expose: Mapping[str, Any] = (model.get("spec") or {}).get("expose") or {}
        meta = model["metadata"]
        named = expose.get("hosts") or ()
        if not named and domain:
            named = (hosts.automatic(meta["name"], meta["namespace"], domain),)
        else:
            domains = hosts.domains_of(meta["namespace"], allowed)
            named = [
                host
                for host in named
                if not hosts.is_reserved(host, meta["namespace"], domain)
                and (domains is None or hosts.is_below(host, domains))
            ]
        return cls(
            frozenset(host.lower() for host in named), expose.get("prefix") or "/", meta.get("creationTimestamp", "")
        )


class Claims(Generic[K]):
    """Claims by host; `K` is (namespace, name). What changes one costs as many steps as the model has hosts."""

    def __init__(self) -> None:
        self._claims: dict[K, Claim] = {}
        self._claimants: dict[str, set[K]] = defaultdict(set)
        self._held: dict[K, frozenset[str]] = {}

    def claim(self, key: K, claim: Claim | None) -> set[K]:
        """What a model claims now (None: it is gone).

        Returns:
            The other models for which this makes a difference.
        """
        before = self._claims.get(key)
        if claim is not None and not claim.hosts:
            claim = None
        if before == claim:
            return set()
        old, new = (part.hosts if part is not None else frozenset() for part in (before, claim))
        concerned = self._others(key, old | new)
        for host in old - new:
            self._claimants[host].discard(key)
            if not self._claimants[host]:
                del self._claimants[host]
        for host in new - old:
            self._claimants[host].add(key)
        if claim is None:
            del self._claims[key]
        else:
            self._claims[key] = claim
        return concerned

    def hold(self, key: K, hosts: frozenset[str]) -> set[K]:
        """The hosts of a model's live routes.

        Returns:
            The other models for which this makes a difference.
        """
        before = self._held.pop(key, frozenset())
        if hosts:
            self._held[key] = hosts
        return self._others(key, before ^ hosts)

    def rivals(self, key: K) -> Mapping[str, tuple[Rival, ...]]:
        """Hosts of a model that others claim as well, with those others, oldest first."""
        claim = self._claims.get(key)
        if claim is None:
            return {}
        found = {host: self._rivals(key, host) for host in sorted(claim.hosts) if len(self._claimants[host]) > 1}
        return {host: rivals for host, rivals in found.items() if rivals}

    def _rivals(self, key: K, host: str) -> tuple[Rival, ...]:
        rivals = []
        for other in self._claimants[host] - {key}:
            claim = self._claims[other]
            holds = host in self._held.get(other, frozenset())
            rivals.append(Rival(other[0], other[1], claim.created, claim.prefix, holds))
        return tuple(sorted(rivals, key=lambda rival: (rival.created, rival.namespace, rival.name)))

    def _others(self, key: K, hosts: frozenset[str]) -> set[K]:
        return {other for host in hosts for other in self._claimants.get(host, ())} - {key}
