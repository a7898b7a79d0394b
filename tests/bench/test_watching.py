"""What the choices of docs/decisions/002 and 003 cost: CPU per write and per watch event, each beside its alternative.

CPU seconds of this process, not wall time: a busy machine disturbs them little.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import kopf
import pytest
from kubernetes.aio import client as typed
from kubernetes.aio import config as kubernetes_config
from rich.console import Console
from rich.table import Table

from pantala.cluster.client import Client
from pantala.cluster.reflector import Reflector
from pantala.cluster.resources import CONFIG_MAP, Resource
from tests.cluster import Cluster, ClusterSpec
from tests.cluster.fixtures import running, unique

pytestmark = pytest.mark.bench

WRITES = 500
OBJECTS = 1000
MARK = "bench.pantala.dev/mark"


@pytest.fixture(scope="module")
def plane() -> Iterator[Cluster]:
    """An API server without controllers: nothing else is going on."""
    with running("bench", ClusterSpec(unique("bench"), controllers=False)) as started:
        yield started


def config_map(name: str, value: str) -> dict[str, Any]:
    """An object of the size of a small child."""
    labels = {MARK: "yes", "app.kubernetes.io/managed-by": "pantala"}
    meta = {"name": name, "namespace": "default", "labels": labels}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"value": value, "text": "x" * 600}}


async def _cpu_of(job: Callable[[], Awaitable[object]]) -> float:
    begun = time.process_time()
    await job()
    return time.process_time() - begun


async def test_writes(plane: Cluster) -> None:
    """Server-side applies through the typed client and as raw JSON over the same package's session."""
    configuration = typed.Configuration()
    await kubernetes_config.load_kube_config(str(plane.kubeconfig), client_configuration=configuration)
    async with typed.ApiClient(configuration) as api, await Client.connect(str(plane.kubeconfig)) as raw:
        core = typed.CoreV1Api(api)

        async def by_types(run: str) -> None:
            for number in range(WRITES):
                await core.patch_namespaced_config_map(
                    f"typed-{number}",
                    "default",
                    config_map(f"typed-{number}", run),
                    field_manager="bench",
                    force=True,
                    _content_type="application/apply-patch+yaml",
                )

        async def by_json(run: str) -> None:
            for number in range(WRITES):
                await raw.apply(CONFIG_MAP, config_map(f"raw-{number}", run))

        await by_types("warm")
        await by_json("warm")
        left = await _cpu_of(lambda: by_types("measured"))
        right = await _cpu_of(lambda: by_json("measured"))
    _show("CPU of one server-side apply", "typed client", left / WRITES, "raw JSON", right / WRITES)


async def test_events(plane: Cluster) -> None:
    """Watch events delivered by kopf and by the operator's own reflector, for as many objects."""
    async with await Client.connect(str(plane.kubeconfig)) as client:
        gate = asyncio.Semaphore(16)

        async def put(number: int) -> None:
            async with gate:
                await client.apply(CONFIG_MAP, config_map(f"seen-{number}", "1"))

        await asyncio.gather(*(put(number) for number in range(OBJECTS)))
        left = await _cpu_of(lambda: _by_kopf(plane))
        right = await _cpu_of(lambda: _by_reflector(client))
    _show("CPU of one object of a list", "kopf on.event", left / OBJECTS, "reflector", right / OBJECTS)


async def _by_kopf(plane: Cluster) -> None:
    registry, seen, done = kopf.OperatorRegistry(), set(), asyncio.Event()

    @kopf.on.event("configmaps", labels={MARK: "yes"}, registry=registry)
    async def deliver(name: str, **_: Any) -> None:
        seen.add(name)
        if len(seen) >= OBJECTS:
            done.set()

    @kopf.on.login(registry=registry)
    async def login(**kwargs: Any) -> Any:
        return kopf.login_with_kubeconfig(**kwargs)

    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.scanning.disabled = True
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KUBECONFIG", str(plane.kubeconfig))
        task = asyncio.create_task(
            kopf.operator(registry=registry, settings=settings, standalone=True, namespaces=["default"])
        )
        async with asyncio.timeout(120):
            await done.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


class _Seen:
    """A sink that counts."""

    def __init__(self) -> None:
        self.names: set[str] = set()
        self.done = asyncio.Event()

    def replace(self, resource: Resource, namespace: str | None, objects: list[dict[str, Any]]) -> None:  # noqa: ARG002 -- the protocol
        """Count a list."""
        for obj in objects:
            self.upsert(resource, obj)

    def upsert(self, resource: Resource, obj: dict[str, Any]) -> None:  # noqa: ARG002 -- the protocol
        """Count an object."""
        self.names.add(obj["metadata"]["name"])
        if len(self.names) >= OBJECTS:
            self.done.set()

    def remove(self, resource: Resource, obj: dict[str, Any]) -> None:
        """Nothing is removed here."""


async def _by_reflector(client: Client) -> None:
    sink = _Seen()
    reflector = Reflector(client, CONFIG_MAP, "default", f"{MARK}=yes", sink, time.monotonic)
    task = asyncio.create_task(reflector.run())
    async with asyncio.timeout(120):
        await sink.done.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def _show(title: str, left: str, left_seconds: float, right: str, right_seconds: float) -> None:
    table = Table(title=title)
    for column in (left, right, "ratio"):
        table.add_column(column, justify="right")
    table.add_row(
        f"{left_seconds * 1e6:.0f} µs", f"{right_seconds * 1e6:.0f} µs", f"{left_seconds / right_seconds:.1f}"
    )
    Console(width=100).print(table)
