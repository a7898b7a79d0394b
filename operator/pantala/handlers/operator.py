"""The operator's process: caches, lease, kopf, workers, and the end of all of them."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Coroutine
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import kopf
from aiohttp import web

from pantala import naming
from pantala.cluster.audit import ModelAudit
from pantala.cluster.cache import Cache
from pantala.cluster.client import Client
from pantala.cluster.events import Recorder
from pantala.cluster.lease import Lease
from pantala.cluster.objects import Key
from pantala.cluster.optional import OptionalKinds
from pantala.cluster.reflector import SILENCE, Reflector
from pantala.cluster.resources import MODEL, WATCHED
from pantala.errors import ApiError, Unavailable
from pantala.handlers import health, models, remotes
from pantala.manifest.settings import Settings
from pantala.planner.report import Started
from pantala.reconcile import metrics
from pantala.reconcile.exposition import EXPOSITION
from pantala.reconcile.queue import WorkQueue
from pantala.reconcile.reconciler import Reconciler
from pantala.reconcile.workers import RESERVED_WORKERS, WORKERS, work

log = logging.getLogger(__name__)

SELECTOR = f"{naming.LABEL_MANAGED_BY}={naming.MANAGED_BY}"
COALESCE = 0.05
"""Seconds that news of children wait for more of their kind."""
UNHURRIED = 30.0
"""Seconds that news of what limits an autoscaler wait: near a bound they come with each of its looks."""
AUDIT_SECONDS = 180.0


@dataclass(frozen=True)
class Options:
    """How one operator process runs."""

    namespaces: tuple[str, ...] = ()
    """Namespaces to watch; empty: all."""
    lease_namespace: str = "default"
    lease_name: str = "pantala-operator"
    identity: str = "pantala"
    address: str = "0.0.0.0"  # noqa: S104 -- in a pod the probes come from outside
    port: int = 8080
    settings: Settings = field(default_factory=Settings)
    otlp_endpoint: str | None = None
    """Where traces are sent, by OTLP over HTTP. None: nothing is sent."""
    watch_nodes: bool = True
    """Whether nodes are watched, so that the status says where cards are. With single namespaces they never are."""


class Operator:
    """One process; `run` returns when it is told to stop or may not go on."""

    def __init__(self, client: Client, options: Options) -> None:
        self._client = client
        self._options = options
        self._queue: WorkQueue[Key] = WorkQueue(jitter=lambda: random.uniform(0.8, 1.2))  # noqa: S311 -- no secret
        self._cache = Cache(
            self._queue.add,
            lambda key: self._queue.add_after(key, COALESCE),
            lambda key: self._queue.add(key, first=True),
            limits_changed=lambda key: self._queue.add_after(key, UNHURRIED),
            mesh=options.settings.mesh,
            domain=options.settings.domain,
            allowed_domains=options.settings.allowed_domains,
        )
        namespaces: tuple[str | None, ...] = options.namespaces or (None,)
        self._reflectors = [
            Reflector(client, resource, namespace, SELECTOR, self._cache, time.monotonic)
            for resource in WATCHED
            for namespace in namespaces
        ]
        self._audit = ModelAudit(client, self._cache, namespaces, time.monotonic)
        self._stop = asyncio.Event()
        self._ready = False
        self._crashed: list[str] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._optional = OptionalKinds(
            client,
            self._cache,
            namespaces,
            SELECTOR,
            time.monotonic,
            self._spawn,
            nodes=options.watch_nodes,
        )
        self._traces = remotes.traces(options.otlp_endpoint)
        metrics.QUEUE_DEPTH.set_function(lambda: float(len(self._queue)))

    def stop(self) -> None:
        """Ask for an orderly end."""
        self._stop.set()

    async def run(self) -> None:
        """Serve health, fill the caches, wait for the Lease, work."""
        options = self._options
        runner = web.AppRunner(health.application(self.problems, lambda: self._ready), access_log=None)
        await runner.setup()
        await web.TCPSite(runner, options.address, options.port).start()
        lease = Lease(self._client, options.lease_namespace, options.lease_name, options.identity, time.monotonic)
        work_until_told = asyncio.create_task(self._work(lease))
        told = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait({work_until_told, told}, return_when=asyncio.FIRST_COMPLETED)
            if work_until_told.done():
                work_until_told.result()
        finally:
            await _cancel([work_until_told, told, *self._tasks])
            await lease.release()
            await runner.cleanup()
            if self._traces is not None:
                await asyncio.to_thread(self._traces.close)

    def problems(self) -> list[str]:
        """What only a restart can mend."""
        found = list(self._crashed)
        found += [
            f"the watch of {reflector.resource.title} has been silent for {reflector.silent_for():.0f} s"
            for reflector in (*self._reflectors, *self._optional.reflectors())
            if reflector.synced.is_set() and reflector.silent_for() > 4 * SILENCE
        ]
        if self._audit.dead:
            found.append(f"the watch of {naming.PLURAL} delivers nothing")
        return found

    async def _work(self, lease: Lease) -> None:
        await self._wait_for_resource()
        for reflector in self._reflectors:
            self._spawn(reflector.run(), f"watch of {reflector.resource.plural}")
        self._spawn(self._optional.run(), "optional kinds")
        await asyncio.gather(*(reflector.synced.wait() for reflector in self._reflectors))
        await self._optional.settled.wait()
        self._ready = True
        await lease.acquire()
        metrics.LEADER.set(1)
        EXPOSITION.tell(self._cache)
        recorder = Recorder(self._client, self._options.identity)
        settings, wake = self._options.settings, self._queue.add
        measurer = remotes.measurer(self._cache, settings, wake)
        probe = remotes.probe(self._client, settings, wake)
        reconciler = Reconciler(
            self._client,
            self._cache,
            recorder,
            settings,
            lambda: datetime.now(UTC),
            self._trace,
            measurer.measured if measurer else None,
            probe,
        )
        self._spawn(probe.run(), "probe of measures")
        if measurer is not None:
            self._spawn(measurer.run(), "measurements")
        for _ in range(WORKERS):
            self._spawn(work(self._queue, reconciler), "worker")
        for _ in range(RESERVED_WORKERS):
            self._spawn(work(self._queue, reconciler, reserved=True), "reserved worker")
        self._spawn(self._look_again(), "audit")
        # Last: at its end kopf waits five seconds for all tasks that are younger than itself, its own waiter for a
        # stop flag among them. So it gets none, and is cancelled.
        self._spawn(self._watch_models(), f"watch of {naming.PLURAL}")
        await lease.keep()
        self._crashed.append("the lease is lost")

    async def _wait_for_resource(self) -> None:
        """Until the CRD is there and may be read; says every time what is missing."""
        namespace = self._options.namespaces[0] if self._options.namespaces else None
        wait = 1.0
        while True:
            try:
                await self._client.list(MODEL, namespace, {"limit": "1"})
            except ApiError as error:
                step = "apply crds/" if error.status == 404 else "check the operator's Role"  # noqa: PLR2004 -- HTTP
                log.warning("%s cannot be listed (%s): %s", MODEL.plural, error, step)
            except Unavailable as error:
                log.warning("%s", error)
            else:
                return
            await asyncio.sleep(wait)
            wait = min(30.0, wait * 2)

    async def _watch_models(self) -> None:
        options = self._options
        where: dict[str, Any] = {"namespaces": options.namespaces} if options.namespaces else {"clusterwide": True}
        await kopf.operator(
            registry=models.registry(self._cache),
            settings=models.settings(),
            standalone=True,
            **where,
        )
        # kopf takes the signals of the process for itself and returns when one comes; its failures it raises.
        self.stop()

    async def _look_again(self) -> None:
        while True:
            await asyncio.sleep(AUDIT_SECONDS)
            try:
                await self._audit.look()
            except (ApiError, Unavailable) as error:
                log.warning("the models cannot be listed: %s", error)

    def _trace(self, key: Key, started: Started) -> None:
        if self._traces is not None:
            self._traces.send(key.namespace, key.name, started)

    def _spawn(self, job: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        task = asyncio.create_task(job, name=name)
        task.add_done_callback(self._ended)
        self._tasks.add(task)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        """None of these tasks ends by itself: the process must not go on without it."""
        self._tasks.discard(task)
        if task.cancelled() or self._stop.is_set():
            return
        error = task.exception()
        self._crashed.append(f"{task.get_name()} ended: {error!r}")
        log.error("%s ended", task.get_name(), exc_info=error)
        self.stop()


async def _cancel(tasks: list[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
