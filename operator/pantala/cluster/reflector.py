"""Follows one collection of the API: a list, then a watch, and again whenever the watch cannot go on.

Why not kopf here: it gives no sign that the first list has been delivered (a restart would then plan against an empty
cache), runs a worker per object, and can outlive its own watch (kopf#1276). Measured in docs/decisions/003-watches.md.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from typing import Protocol

from pantala.cluster import metrics
from pantala.cluster.client import Client
from pantala.cluster.resources import Resource
from pantala.errors import ApiError, Unavailable
from pantala.manifest.types import Manifest

log = logging.getLogger(__name__)

PAGE = 500
SILENCE = 90.0
"""Seconds without an event or a bookmark (the API server sends one each minute) after which a watch counts as dead."""
_TIMEOUT = 300
_REFUSALS = frozenset({403, 404})
"""HTTP: the rights are missing, or the kind is."""


class Sink(Protocol):
    """Where a reflector puts what it sees."""

    def replace(self, resource: Resource, namespace: str | None, objects: list[Manifest]) -> None:
        """The collection is exactly this."""

    def upsert(self, resource: Resource, obj: Manifest) -> None:
        """An object appeared or changed."""

    def remove(self, resource: Resource, obj: Manifest) -> None:
        """An object is gone."""


class Reflector:
    """Keeps a `Sink` in step with one resource of one namespace (None: of all).

    `refused` is called with the status where the API server says that the rights (403) or the kind (404) are missing.
    """

    def __init__(
        self,
        client: Client,
        resource: Resource,
        namespace: str | None,
        selector: str,
        sink: Sink,
        clock: Callable[[], float],
        refused: Callable[[Reflector, int], None] | None = None,
    ) -> None:
        self.resource = resource
        self.synced = asyncio.Event()
        """Set once the first list has been delivered."""
        self._client = client
        self._namespace = namespace
        self._selector = selector
        self._sink = sink
        self._clock = clock
        self._refused = refused
        self._last_heard = clock()
        self._version = ""

    def silent_for(self) -> float:
        """Seconds since the API server last said anything on this watch."""
        return self._clock() - self._last_heard

    async def run(self) -> None:
        """List and watch until cancelled; trouble is logged, waited out and never ends the loop."""
        failures = 0
        while True:
            try:
                if not self._version:
                    await self._list()
                await self._watch()
                failures = 0
            except ApiError as error:
                # 410: the version that we want to go on from is no longer known.
                self._version = "" if error.status in {400, 410} else self._version
                failures = 0 if error.status == 410 else failures + 1  # noqa: PLR2004 -- HTTP Gone
                # Who listens decides what is worth a line in the log.
                level = logging.WARNING if self._refused is None or error.status not in _REFUSALS else logging.DEBUG
                log.log(level, "watch of %s: %s", self.resource.title, error)
                if self._refused is not None and error.status in _REFUSALS:
                    self._refused(self, error.status)
            except Unavailable as error:
                failures += 1
                log.log(logging.DEBUG if failures == 1 else logging.WARNING, "%s", error)
            if failures:
                # Jitter, so that not all watches come back in one moment after the API server did.
                await asyncio.sleep(min(30.0, 0.2 * 2**failures) * random.uniform(0.5, 1.0))  # noqa: S311

    async def _list(self) -> None:
        params = {"limit": str(PAGE), "labelSelector": self._selector}
        objects: list[Manifest] = []
        while True:
            page = await self._client.list(self.resource, self._namespace, params)
            for item in page.get("items") or []:
                # Items of a list carry neither.
                item.setdefault("apiVersion", self.resource.api_version)
                item.setdefault("kind", self.resource.kind)
                objects.append(item)
            following = page["metadata"].get("continue")
            if not following:
                break
            params = {**params, "continue": following}
        self._last_heard = self._clock()
        metrics.WATCH_RESTARTS.labels(self.resource.title).inc()
        self._sink.replace(self.resource, self._namespace, objects)
        self._version = page["metadata"]["resourceVersion"]
        self.synced.set()

    async def _watch(self) -> None:
        params = {
            "labelSelector": self._selector,
            "resourceVersion": self._version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(_TIMEOUT),
        }
        events = metrics.WATCH_EVENTS.labels(self.resource.title)
        async for event in self._client.watch(self.resource, self._namespace, params, SILENCE):
            self._last_heard = self._clock()
            obj = event["object"]
            if event["type"] == "ERROR":
                raise ApiError(obj.get("code", 500), obj.get("reason", ""), obj.get("message", ""))
            self._version = obj["metadata"]["resourceVersion"]
            if event["type"] == "BOOKMARK":
                continue
            events.inc()
            if event["type"] == "DELETED":
                self._sink.remove(self.resource, obj)
            else:
                self._sink.upsert(self.resource, obj)
        self._last_heard = self._clock()
