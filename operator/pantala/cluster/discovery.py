"""Which of the optional kinds the API server serves: asked again and again, because they come and go with their CRDs.

Every authenticated user may ask (ClusterRole `system:discovery`), so this works with rights in single namespaces too. A
list of the groups alone would not do: a kind that joins its group later, as CRDs do that are applied one by one, leaves
that list as it was. Aggregated discovery has all kinds in one answer, and an ETag by which nothing is sent while nothing
changes.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any

from pantala.cluster.client import Client
from pantala.cluster.resources import GATEWAYS, MODEL, OPTIONAL, Resource
from pantala.errors import ApiError, Unavailable

log = logging.getLogger(__name__)

PERIOD = 10.0
"""Seconds between two questions."""
_FIRST = 1.0
"""Seconds between two questions while nothing is known: everything waits for the first answer."""
_NOT_FOUND, _FORBIDDEN = 404, 403
_READ = frozenset({"list", "watch"})
_WRITE = _READ | {"create", "patch", "delete"}


def present(groups: Mapping[str, Any], wanted: Iterable[Resource] = OPTIONAL) -> frozenset[Resource]:
    """Those of the wanted kinds that can be used, from an `APIGroupDiscoveryList`. Pure.

    A CRD that is being deleted is still served, without `create` and `patch`
    (apiextensions-apiserver, customresource_discovery_controller.go): that is as good as gone.
    """
    verbs = _verbs(groups)
    return frozenset(
        resource
        for resource in wanted
        if verbs.get(_identity(resource), frozenset()) >= (_READ if resource in GATEWAYS else _WRITE)
    )


def _verbs(groups: Mapping[str, Any]) -> Mapping[tuple[str, str, str], frozenset[str]]:
    """Verbs by group, version and plural."""
    return {
        (group["metadata"]["name"], version["version"], resource["resource"]): frozenset(resource.get("verbs") or ())
        for group in groups.get("items") or ()
        for version in group.get("versions") or ()
        for resource in version.get("resources") or ()
    }


def _identity(resource: Resource) -> tuple[str, str, str]:
    return resource.group, resource.version, resource.plural


class Discovery:
    """Asks at intervals, and tells what is present when that is known first and whenever it changes.

    An API server that has just started may leave out what it does not know of yet. So an answer without our own kind
    counts for nothing, and a kind that was present and is missing is believed gone when asking for its objects gives 404
    as well (the API server answers 503 there until it knows all CRDs: `CRDInformerHasNotSynced`).

    Args:
        client: To the API server.
        changed: Told what is present.
        wanted: The kinds to look for.
        namespace: Where their objects may be listed; None for everywhere.
        period: Seconds between two questions.
    """

    def __init__(
        self,
        client: Client,
        changed: Callable[[frozenset[Resource]], None],
        wanted: Iterable[Resource] = OPTIONAL,
        namespace: str | None = None,
        period: float = PERIOD,
    ) -> None:
        self._client = client
        self._changed = changed
        self._wanted = frozenset(wanted)
        self._namespace = namespace
        self._period = period
        self._tag = ""
        self._known: frozenset[Resource] | None = None
        self._soon = asyncio.Event()

    def look_soon(self) -> None:
        """Ask now: something that was there is not."""
        self._soon.set()

    async def run(self) -> None:
        """Ask until cancelled; an API server that does not answer is asked again."""
        while True:
            try:
                await self.look()
            except (ApiError, Unavailable) as error:
                log.warning("the API server does not say what it serves: %s", error)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._soon.wait(), _FIRST if self._known is None else self._period)
            self._soon.clear()

    async def look(self) -> None:
        """Ask once."""
        groups, tag = await self._client.discover(self._tag)
        if groups is None:
            return
        verbs = _verbs(groups)
        if _identity(MODEL) not in verbs:
            return
        found = present(groups, self._wanted)
        missing = [kind for kind in self._known or () if _identity(kind) not in verbs]
        doubtful = {kind for kind in missing if not await self._is_gone(kind)}
        self._tag = "" if doubtful else tag
        found |= doubtful
        if found != self._known:
            self._known = found
            self._changed(found)

    async def _is_gone(self, resource: Resource) -> bool:
        try:
            await self._client.list(resource, self._namespace, {"limit": "1"})
        except ApiError as error:
            # Who may not read it does not use it either.
            return error.status in {_NOT_FOUND, _FORBIDDEN}
        return False
