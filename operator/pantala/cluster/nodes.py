"""Nodes: somebody else's objects, of which only what decides about cards is kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pantala.manifest.types import Manifest

_REGISTERS = ("hami.io/", "volcano.sh/")
"""Beginnings of annotations in which vendors' device plugins describe the cards of a node."""
_TIMES = frozenset({"nvidia.com/gfd.timestamp"})
"""Labels that only say when they were written (NVIDIA/k8s-device-plugin, internal/lm/timestamp.go)."""


class Nodes:
    """The nodes of the cluster; every method says whether there is news that a plan could depend on.

    A node's object changes with every heartbeat, and HAMi and Volcano write an annotation every 30 seconds
    (`hami.io/node-handshake`). Were that news, it would wake models for nothing.
    """

    def __init__(self) -> None:
        self._known: dict[str, Manifest] = {}
        self._sorted: tuple[Manifest, ...] | None = None

    def __len__(self) -> int:
        """How many there are."""
        return len(self._known)

    def all(self) -> tuple[Manifest, ...]:
        """All of them by name: the same value until there is news."""
        if self._sorted is None:
            self._sorted = tuple(node for _, node in sorted(self._known.items()))
        return self._sorted

    def clear(self) -> bool:
        """Forget all."""
        return self._become({})

    def replace(self, objects: list[Manifest]) -> bool:
        """There are exactly these."""
        return self._become({obj["metadata"]["name"]: slim(obj) for obj in objects})

    def upsert(self, obj: Manifest) -> bool:
        """One appeared or changed."""
        name, kept = obj["metadata"]["name"], slim(obj)
        if self._known.get(name) == kept:
            return False
        self._known[name] = kept
        self._sorted = None
        return True

    def remove(self, obj: Manifest) -> bool:
        """One is gone."""
        if self._known.pop(obj["metadata"]["name"], None) is None:
            return False
        self._sorted = None
        return True

    def _become(self, known: dict[str, Manifest]) -> bool:
        if known == self._known:
            return False
        self._known, self._sorted = known, None
        return True


def slim(obj: Manifest) -> Manifest:
    """Labels, taints, extended resources and what vendors say of the cards; no times, addresses, images or conditions."""
    meta, spec = obj["metadata"], obj.get("spec") or {}
    allocatable = (obj.get("status") or {}).get("allocatable") or {}
    labels = {key: value for key, value in (meta.get("labels") or {}).items() if key not in _TIMES}
    taints = [{key: it[key] for key in ("key", "value", "effect") if key in it} for it in spec.get("taints") or ()]
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": meta["name"], "labels": labels, "annotations": _said(meta.get("annotations") or {})},
        "spec": {**({"taints": taints} if taints else {}), **({"unschedulable": True} if _cordoned(spec) else {})},
        "status": {"allocatable": {key: value for key, value in allocatable.items() if _extended(key)}},
    }


def _cordoned(spec: Mapping[str, Any]) -> bool:
    return bool(spec.get("unschedulable"))


def _extended(resource: str) -> bool:
    """Whether a resource has a domain: cores and memory are left to the scheduler's words."""
    return "/" in resource


def _said(annotations: Mapping[str, str]) -> dict[str, str]:
    found = {}
    for key, value in annotations.items():
        if not key.startswith(_REGISTERS):
            continue
        if key.endswith("-register"):
            found[key] = value
        elif key.endswith("-handshake") and value.startswith("Deleted"):
            found[key] = "Deleted"  # the plugin is gone and its register stale; the rest of the value is a time
    return found
