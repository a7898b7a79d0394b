"""Follows the kinds that a cluster may have or not: starts and stops reflectors as their APIs come and go.

Nodes are followed here too: every cluster has them, but not everybody may see them.

A kind counts as present once its objects are known. Before that a plan would take everything that is not listed yet for
missing; so kinds that come together are published together, when the last of them is known.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

from pantala.cluster import metrics
from pantala.cluster.cache import Cache
from pantala.cluster.client import Client
from pantala.cluster.discovery import PERIOD, Discovery
from pantala.cluster.reflector import SILENCE, Reflector
from pantala.cluster.resources import FOREIGN, GATEWAYS, NODE, OPTIONAL, Resource

log = logging.getLogger(__name__)

RETRY_SECONDS = 60.0
_FORBIDDEN = 403
_FOLLOWED = (*OPTIONAL, NODE)


class OptionalKinds:
    """The reflectors of optional kinds.

    Args:
        client: To the API server.
        cache: Where objects go, and what is present.
        namespaces: Where to watch; (None,) for all. In single namespaces Gateways are not watched: they are elsewhere.
        selector: Labels of the objects that are ours.
        clock: Seconds, for silence.
        spawn: Starts a task whose failure ends the process.
        period: Seconds between two questions what is served.
        retry: Seconds between two attempts to watch what the Role did not allow.
        nodes: Whether to watch nodes; with single namespaces they are not.
    """

    def __init__(
        self,
        client: Client,
        cache: Cache,
        namespaces: tuple[str | None, ...],
        selector: str,
        clock: Callable[[], float],
        spawn: Callable[[Coroutine[Any, Any, None], str], asyncio.Task[None]],
        period: float = PERIOD,
        retry: float = RETRY_SECONDS,
        *,
        nodes: bool = False,
    ) -> None:
        self.settled = asyncio.Event()
        """Set once it is known which kinds there are, and all of their objects that may be read."""
        self._client, self._cache = client, cache
        self._namespaces, self._selector = namespaces, selector
        self._clock, self._spawn, self._retry = clock, spawn, retry
        everywhere = namespaces == (None,)
        wanted = OPTIONAL if everywhere else frozenset(OPTIONAL).difference(GATEWAYS)
        self._always = frozenset({NODE}) if nodes and everywhere else frozenset()
        self._discovery = Discovery(client, self._change, wanted, namespaces[0], period)
        self._served: frozenset[Resource] = frozenset()
        self._synced: set[Resource] = set()
        self._refused: set[Resource] = set()
        self._running: dict[Resource, tuple[list[Reflector], asyncio.Task[None]]] = {}
        self._published: frozenset[Resource] = frozenset()
        self._told: tuple[frozenset[Resource], frozenset[Resource]] = frozenset(), frozenset()
        self._tell(frozenset())

    def reflectors(self) -> Iterator[Reflector]:
        """All that are running."""
        for reflectors, _ in self._running.values():
            yield from reflectors

    def _change(self, found: frozenset[Resource]) -> None:
        """The API server serves exactly these of the optional kinds."""
        found |= self._always
        before, self._served = self._served, found
        for resource in before - found:
            log.info("%s: no longer served", resource.title)
            self._stop(resource)
            self._refused.discard(resource)
        for resource in sorted(found - before, key=_FOLLOWED.index):
            log.info("%s: served", resource.title)
            self._start(resource)
        self._publish()

    async def run(self) -> None:
        """Follow what is served until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._discovery.run())
            group.create_task(self._try_again())

    async def _try_again(self) -> None:
        """Start what was refused, for the Role may have grown."""
        while True:
            await asyncio.sleep(self._retry)
            for resource in self._refused - self._running.keys():
                self._start(resource)

    def _start(self, resource: Resource) -> None:
        reflectors = [
            Reflector(
                self._client,
                resource,
                namespace,
                "" if resource in FOREIGN else self._selector,
                self._cache,
                self._clock,
                self._on_refusal,
            )
            for namespace in self._namespaces
        ]
        task = self._spawn(self._follow(resource, reflectors), f"watch of {resource.title}")
        self._running[resource] = (reflectors, task)

    async def _follow(self, resource: Resource, reflectors: list[Reflector]) -> None:
        async with asyncio.TaskGroup() as group:
            for reflector in reflectors:
                group.create_task(reflector.run())
            for reflector in reflectors:
                await reflector.synced.wait()
            if resource in self._refused:
                log.info("%s: may be watched now", resource.title)
            self._refused.discard(resource)
            self._synced.add(resource)
            self._publish()

    def _stop(self, resource: Resource) -> None:
        """End the watch; what it delivered is forgotten when the kind is no longer published."""
        self._synced.discard(resource)
        running = self._running.pop(resource, None)
        if running is not None:
            running[1].cancel()

    def _on_refusal(self, reflector: Reflector, status: int) -> None:
        """The kind is gone, or the Role does not name it; a Role that shrinks later is given time to come back."""
        resource = reflector.resource
        if status != _FORBIDDEN:
            self._discovery.look_soon()
        elif not reflector.synced.is_set() or reflector.silent_for() > SILENCE:
            if resource not in self._refused:
                log.warning("%s: may not be watched and is left alone; check the operator's Role", resource.title)
            self._refused.add(resource)
            self._stop(resource)
            self._publish()

    def _publish(self) -> None:
        """Tell the cache what goes at once, and what comes when everything that comes with it is known."""
        pending = self._served - self._synced - self._refused
        known = frozenset(self._synced)
        if pending:
            known &= self._published
        told = known, frozenset(self._refused)
        if told != self._told:
            self._cache.apis(*told)
        self._published, self._told = known, told
        self._tell(known)
        # Nodes serve messages only: whoever cannot list them plans as well.
        if not pending - self._always:
            self.settled.set()

    def _tell(self, known: frozenset[Resource]) -> None:
        for resource in _FOLLOWED:
            metrics.API_PRESENT.labels(resource.group, resource.kind).set(resource in known)
            metrics.API_REFUSED.labels(resource.group, resource.kind).set(resource in self._refused)
