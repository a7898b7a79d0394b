"""A second look at the models, past the watch: finds a dead watch, and deletions that a broken one missed.

kopf can outlive its own watch (kopf#1276) and tells of no object that went away while it was reconnecting. So every few
minutes the models are listed as metadata only, out of the API server's watch cache, and held against the cache.
"""

from __future__ import annotations

from collections.abc import Callable

from pantala.cluster.cache import Cache
from pantala.cluster.client import Client
from pantala.cluster.objects import Key
from pantala.cluster.resources import MODEL

GRACE = 60.0
"""Seconds that a watch may lag behind a list before it counts as dead."""


class ModelAudit:
    """Compares what the watch delivered with what there is."""

    def __init__(
        self, client: Client, cache: Cache, namespaces: tuple[str | None, ...], clock: Callable[[], float]
    ) -> None:
        self._client = client
        self._cache = cache
        self._namespaces = namespaces
        self._clock = clock
        self._behind: dict[Key, tuple[str, float]] = {}

    @property
    def dead(self) -> bool:
        """Whether a change has not been delivered for longer than `GRACE`."""
        return any(self._clock() - since > GRACE for _, since in self._behind.values())

    async def look(self) -> None:
        """List once. A model that the watch has not delivered is remembered; one that is gone leaves the cache."""
        before = frozenset(self._cache.keys())
        present: dict[Key, str] = {}
        for namespace in self._namespaces:
            for item in await self._client.list_metadata(MODEL, namespace):
                meta = item["metadata"]
                present[Key(meta["namespace"], meta["name"])] = meta["resourceVersion"]
        behind = {}
        for key, version in present.items():
            if not self._cache.has(key, version):
                known = self._behind.get(key)
                behind[key] = known if known is not None else (version, self._clock())
        self._behind = behind
        # Only what was known before the list was asked for: a model may have been made meanwhile.
        for key in before - present.keys():
            self._cache.drop(key)
