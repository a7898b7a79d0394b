"""Gateways: somebody else's objects, of which only what decides about routes is kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pantala.manifest.types import Manifest

GatewayName = tuple[str, str]
"""Namespace and name."""


class Gateways:
    """The Gateways of one API; every method says whether there is news that a plan could depend on.

    The status of a Gateway changes with every route that attaches to it (`attachedRoutes`). Were that news, each of a
    thousand models would wake all others.
    """

    def __init__(self) -> None:
        self._known: dict[GatewayName, Manifest] = {}

    def __len__(self) -> int:
        """How many there are."""
        return len(self._known)

    def all(self) -> Mapping[GatewayName, Manifest]:
        """A copy by namespace and name."""
        return dict(self._known)

    def clear(self) -> bool:
        """Forget all."""
        had = bool(self._known)
        self._known.clear()
        return had

    def replace(self, objects: list[Manifest]) -> bool:
        """There are exactly these."""
        before = dict(self._known)
        self._known = {_name(obj): slim(obj) for obj in objects}
        return self._known != before

    def upsert(self, obj: Manifest) -> bool:
        """One appeared or changed."""
        kept = slim(obj)
        if self._known.get(_name(obj)) == kept:
            return False
        self._known[_name(obj)] = kept
        return True

    def remove(self, obj: Manifest) -> bool:
        """One is gone."""
        return self._known.pop(_name(obj), None) is not None


def slim(obj: Manifest) -> Manifest:
    """The spec, the addresses and the conditions, without times, counts and revisions."""
    meta, status = obj["metadata"], obj.get("status") or {}
    listeners = [
        {**{key: listener[key] for key in ("name", "supportedKinds") if key in listener}, **_conditions(listener)}
        for listener in status.get("listeners") or ()
    ]
    told = {**({"addresses": status["addresses"]} if status.get("addresses") else {}), **_conditions(status)}
    return {
        "apiVersion": obj["apiVersion"],
        "kind": obj["kind"],
        "metadata": {key: meta[key] for key in ("name", "namespace", "labels") if key in meta},
        "spec": obj.get("spec") or {},
        "status": {**told, **({"listeners": listeners} if listeners else {})},
    }


def _conditions(status: Mapping[str, Any]) -> dict[str, Any]:
    parts = ("type", "status", "reason", "message")
    found = [{key: it[key] for key in parts if key in it} for it in status.get("conditions") or ()]
    return {"conditions": found} if found else {}


def _name(obj: Manifest) -> GatewayName:
    return obj["metadata"]["namespace"], obj["metadata"]["name"]
