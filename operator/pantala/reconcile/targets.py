"""Which Service's requests are whose: what Prometheus is asked about, from the status of all models. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from pantala import naming
from pantala.cluster.cache import Key
from pantala.manifest.types import Manifest
from pantala.planner.measured import Service
from pantala.reconcile.measurements import Target


def targets(models: Iterable[Manifest]) -> dict[Service, Target]:
    """The Services of all versions that a route gives requests or copies; models without a route have none."""
    found: dict[Service, Target] = {}
    for model in models:
        key = Key(model["metadata"]["namespace"], model["metadata"]["name"])
        for entry in (model.get("status") or {}).get("traffic") or ():
            name = entry["version"]
            copies = bool(entry.get("mirror"))
            found[key.namespace, naming.child_name(key.name, name)] = Target(
                key, name, share=bool(entry.get("configured") or entry.get("asked")), copies=copies
            )
    return found
