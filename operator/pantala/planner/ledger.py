"""The ledger: how each replica started, and where its weights came from. Pure.

An entry is made when a replica's fetcher has ended well, and is finished when the replica is ready: that is when its
figures are added to the totals, once. What was written stays, whatever becomes of the pod. All state is in the status; so
that a pod which is counted, but whose entry had to make room, is not counted again, the totals keep a mark of it for as
long as it exists.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from pantala.api import durations
from pantala.manifest.canonical import canonical, digest
from pantala.manifest.types import Manifest
from pantala.planner import account, phases
from pantala.status.conditions import timestamp

LISTED = 20
"""Entries of a version."""
UNLISTED = 1000
"""So many pods of a model may be counted without being listed; while they are, new replicas are not looked at."""
MARKS_BYTES = 1400 * 11
"""Bytes of their marks in the status: those, and as many as can be listed and lose their place at once."""
_HOLDERS = 8
_BEFORE_READY = phases.PHASES[:3]


@dataclass(frozen=True)
class Ledger:
    """What is known of all replicas of a version."""

    entries: tuple[Manifest, ...] = ()
    """Oldest first."""
    totals: Manifest = field(default_factory=dict)
    """Without the marks."""
    unlisted: frozenset[str] = frozenset()
    """Marks of pods that exist and are counted, but not listed."""
    present: frozenset[str] = frozenset()
    """Marks of all pods that exist."""
    started: tuple[Manifest, ...] = ()
    """Entries of replicas that just got ready."""

    def status(self) -> Manifest:
        """The fields of a version's status."""
        found: Manifest = {}
        if self.totals:
            marks = {"unlisted": sorted(self.unlisted)} if self.unlisted else {}
            found["fetch"] = {**self.totals, **marks}
        if self.entries:
            found["replicas"] = [*self.entries]
        return found


def entries(version: Mapping[str, Any]) -> list[Manifest]:
    """The entries in the status of a version."""
    found = version.get("replicas")
    return found if isinstance(found, list) else []


def seconds(item: Mapping[str, Any]) -> dict[str, float]:
    """Seconds of the phases of an entry, in their order."""
    told = item.get("phases", {})
    return {name: durations.parse(told[name]).total_seconds() for name in phases.PHASES if name in told}


def total_seconds(item: Mapping[str, Any]) -> float | None:
    """Seconds from created to ready; None if a container was started again: then it may have been ready before."""
    created, ready = phases.instant(item.get("created")), phases.instant(item.get("ready"))
    if created is None or ready is None or item.get("restarts"):
        return None
    return max(0.0, (ready - created).total_seconds())


def entry(pod: Manifest, now: datetime) -> Manifest | None:
    """What a pod itself says of its start; None before its weights are there.

    Args:
        pod: The pod.
        now: When it got ready, should it not say when.
    """
    told = account.of(pod)
    if told is None:
        return None
    start = phases.start(pod)
    ready = _ready(pod)
    spans = dict(start.phases)
    if told.seconds is not None:
        spans["fetch"] = told.seconds
    meta, node = pod["metadata"], (pod.get("spec") or {}).get("nodeName")
    found: Manifest = {"pod": meta["name"]}
    if node:
        found["node"] = node
    if start.created is not None:
        found["created"] = timestamp(start.created)
    if ready:
        found["ready"] = timestamp(start.ready or now)
        if start.restarts:
            found["restarts"] = start.restarts
    # Before it is ready nothing is told that changes once more on the way: each change is a write.
    over = {name: spans[name] for name in (phases.PHASES if ready else _BEFORE_READY) if name in spans}
    if over:
        found["phases"] = {name: durations.format(span) for name, span in over.items()}
    return found | told.figures


def update(before: Mapping[str, Any], pods: Iterable[Manifest], now: datetime, *, room: int = UNLISTED) -> Ledger:
    """The ledger of a version after a look at its pods; `bounded` makes it short enough for the status.

    Args:
        before: The version's status.
        pods: All its pods, also those on their way out.
        now: For pods that do not say when they got ready.
        room: How many pods may be counted without being listed.
    """
    known = {item["pod"]: item for item in entries(before)}
    totals = _totals(before)
    pods = tuple(pods)
    present = frozenset(_mark(pod["metadata"]["name"]) for pod in pods)
    unlisted = present.intersection((before.get("fetch") or {}).get("unlisted", ()))
    started: list[Manifest] = []
    for pod in sorted(pods, key=phases.age):
        old = known.get(pod["metadata"]["name"])
        if _mark(pod["metadata"]["name"]) in unlisted or (old is None and len(unlisted) + len(started) >= room):
            continue
        found = entry(pod, now)
        if found is None:
            continue
        if old is not None and old.get("created") != found.get("created"):
            old = None  # a pod of the same name
        known[found["pod"]] = merged = _merged(old, found)
        if "ready" in merged and (old is None or "ready" not in old):
            started.append(merged)
            totals = _added(totals, merged)
    return Ledger(tuple(sorted(known.values(), key=_age)), totals, unlisted, present, tuple(started))


def bounded(ledgers: Mapping[str, Ledger], size: int) -> dict[str, Ledger]:
    """The ledgers with the newest entries: at most `LISTED` of a version, and at most `size` bytes of all together."""
    listed = [(name, item) for name, ledger in ledgers.items() for item in ledger.entries[-LISTED:]]
    kept: dict[str, list[Manifest]] = {name: [] for name in ledgers}
    for name, item in sorted(listed, key=lambda pair: _age(pair[1]), reverse=True):
        size -= len(canonical(item)) + 1
        if size < 0:
            break
        kept[name].insert(0, item)
    return {name: _shortened(ledger, kept[name]) for name, ledger in ledgers.items()}


def holders(status: Mapping[str, Any], version: str, *, host_path: bool = False) -> tuple[str, ...]:
    """Nodes that by the ledger have the bytes of a version, those of the newest replicas first, at most eight.

    Args:
        status: Status of the model.
        version: Name of the version.
        host_path: Whether the weights lie in a folder of the node: then every node with a replica has them. Otherwise it is
            the nodes whose dfdaemon brought some.
    """
    found: dict[str, None] = {}
    for item in status.get("versions") or ():
        if item.get("name") == version:
            for each in sorted(entries(item), key=_age, reverse=True):
                if "node" in each and (host_path or _by_daemon(each)):
                    found.setdefault(each["node"])
    return tuple(found)[:_HOLDERS]


def _by_daemon(item: Mapping[str, Any]) -> bool:
    """Whether the node's dfdaemon carried bytes: what it read from the store, too, it keeps."""
    told = item.get("bytes") or {}
    carried = sum(told.get(source, 0) for source in ("peer", "local", "proxy"))
    through = told.get("origin", 0) - item["direct"] if "direct" in item else 0
    return carried > 0 or through > 0


def _ready(pod: Manifest) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)


def _merged(old: Manifest | None, new: Manifest) -> Manifest:
    """An entry with what is news: the first account stays, but the weights are those that the pod has now."""
    if old is None:
        return new
    fingerprint = {key: new[key] for key in ("fingerprint",) if key in new}
    if "ready" in old:
        return {**old, **fingerprint}
    spans = {**new.get("phases", {}), **old.get("phases", {})}
    return {**new, **old, **({"phases": spans} if spans else {}), **fingerprint}


def _shortened(ledger: Ledger, kept: list[Manifest]) -> Ledger:
    names = {item["pod"] for item in kept}
    dropped = {_mark(item["pod"]) for item in ledger.entries if item["pod"] not in names and "ready" in item}
    return replace(ledger, entries=tuple(kept), unlisted=ledger.unlisted | (dropped & ledger.present))


def _totals(before: Mapping[str, Any]) -> Manifest:
    found = before.get("fetch")
    if not isinstance(found, Mapping) or not isinstance(found.get("bytes", {}), Mapping):
        return {}
    return {key: value for key, value in found.items() if key != "unlisted"}


def _added(totals: Manifest, item: Manifest) -> Manifest:
    spent, told = totals.get("bytes", {}), item.get("bytes", {})
    sums = {name: _sum(spent.get(name), told.get(name)) for name in account.SOURCES if name in spent or name in told}
    found: Manifest = {"replicas": _sum(totals.get("replicas"), 1)}
    if "files" in totals or "files" in item:
        found["files"] = _sum(totals.get("files"), item.get("files"))
    if sums:
        found["bytes"] = sums
    if "fallbacks" in totals or "fallback" in item:
        found["fallbacks"] = _sum(totals.get("fallbacks"), int("fallback" in item))
    return found


def _sum(left: int | None, right: int | None) -> int:
    return min(account.LARGEST, (left or 0) + (right or 0))


def _mark(pod: str) -> str:
    return digest(pod, 8)


def _age(item: Mapping[str, Any]) -> tuple[str, str]:
    return str(item.get("created", "")), str(item["pod"])
