"""One active operator among several: a Lease that the active one renews and gives back when it stops.

Not the election of the `kubernetes` package: that one never gives the Lease back, so that each upgrade would wait for it
to run out.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from pantala.cluster.client import Client
from pantala.cluster.resources import LEASE
from pantala.errors import ApiError, Unavailable
from pantala.manifest.types import Manifest

log = logging.getLogger(__name__)

_NOT_FOUND, _CONFLICT = 404, 409


@dataclass(frozen=True)
class Timing:
    """Seconds; a successor takes over at most `duration + retry` after the active one has died."""

    duration: int = 12
    renew: float = 4.0
    retry: float = 2.0


class Lease:
    """The right to be the active operator."""

    def __init__(
        self,
        client: Client,
        namespace: str,
        name: str,
        identity: str,
        clock: Callable[[], float],
        timing: Timing | None = None,
    ) -> None:
        self._client = client
        self._namespace = namespace
        self._name = name
        self._identity = identity
        self._clock = clock
        self._timing = timing or Timing()
        self._seen: tuple[str, str] = ("", "")
        self._seen_at = 0.0
        self._held: Manifest | None = None

    async def acquire(self) -> None:
        """Wait until this process is the active one."""
        while not await self._try():  # noqa: ASYNC110 -- another machine's Lease has no event
            await asyncio.sleep(self._timing.retry)
        log.info("this is the active operator: lease %s/%s", self._namespace, self._name)

    async def keep(self) -> None:
        """Renew until the Lease is lost, and return then: the process must stop writing at once."""
        limit = self._timing.duration - self._timing.retry
        renewed = self._clock()
        while (left := renewed + limit - self._clock()) > 0:
            fresh = limit - left < self._timing.renew
            await asyncio.sleep(min(left, self._timing.renew if fresh else self._timing.retry))
            asked = self._clock()
            try:
                # A request that hangs must not outlive the Lease.
                async with asyncio.timeout(max(0.0, renewed + limit - asked)):
                    done = await self._try()
            except TimeoutError:
                break
            if done:
                renewed = asked
            elif self._held is None:
                break
        log.error("lease %s/%s is lost", self._namespace, self._name)

    async def release(self) -> None:
        """Give the Lease back, so that a successor need not wait for it to run out."""
        if self._held is None:
            return
        held, self._held = self._held, None
        try:
            await self._replace({**held, "spec": {**held["spec"], "holderIdentity": "", "leaseDurationSeconds": 1}})
        except (ApiError, Unavailable) as error:
            log.info("the lease was not given back: %s", error)

    async def _try(self) -> bool:
        """One attempt to get or to renew; False if somebody else has it or the API server does not answer."""
        try:
            if self._held is not None:
                self._held = await self._replace(self._mine(self._held))
                return True
            live = await self._client.get(LEASE, self._namespace, self._name)
            if not self._free(live):
                return False
            self._held = await self._replace(self._mine(live))
        except ApiError as error:
            if error.status == _NOT_FOUND:
                return await self._create()
            # Whoever changed it in between holds it now, or is about to: look again.
            self._held = None if error.status == _CONFLICT else self._held
            log.info("lease %s/%s: %s", self._namespace, self._name, error)
            return False
        except Unavailable as error:
            log.warning("%s", error)
            return False
        return True

    async def _create(self) -> bool:
        empty = {
            "apiVersion": LEASE.api_version,
            "kind": LEASE.kind,
            "metadata": {"name": self._name, "namespace": self._namespace},
            "spec": {},
        }
        try:
            self._held = await self._client.create(LEASE, self._mine(empty))
        except (ApiError, Unavailable) as error:
            log.warning("lease %s/%s cannot be made: %s", self._namespace, self._name, error)
            return False
        return True

    async def _replace(self, manifest: Manifest) -> Manifest:
        # A PUT with the resourceVersion of what was read: of two candidates exactly one gets through.
        return await self._client.request("PUT", LEASE.path(self._namespace, self._name), body=manifest)

    def _free(self, live: Manifest) -> bool:
        """Whether the holder has gone, judged by our own clock: clocks of two machines need not agree."""
        spec = live.get("spec", {})
        holder = spec.get("holderIdentity", "")
        if holder in {"", self._identity}:
            return True
        state = (holder, spec.get("renewTime", ""))
        if state != self._seen:
            self._seen, self._seen_at = state, self._clock()
        return self._clock() - self._seen_at > float(spec.get("leaseDurationSeconds", self._timing.duration))

    def _mine(self, lease: Manifest) -> Manifest:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        spec = lease.get("spec", {})
        same = spec.get("holderIdentity") == self._identity
        return {
            **lease,
            "spec": {
                "holderIdentity": self._identity,
                "leaseDurationSeconds": self._timing.duration,
                "renewTime": now,
                "acquireTime": spec.get("acquireTime", now) if same else now,
                "leaseTransitions": int(spec.get("leaseTransitions", 0)) + (0 if same else 1),
            },
        }
