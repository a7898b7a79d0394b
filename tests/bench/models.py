"""How fast models come up: the operator against a bare client that creates the same objects (the floor).

Both run against the same API server with the same simulated nodes, one after the other. What is measured is read off
watches of a third client, so that both pay the same for it.
"""

import asyncio
import statistics
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp

from pantala import naming
from pantala.api.model import InferenceModel
from pantala.cluster.client import Client
from pantala.cluster.resources import BY_KIND, DEPLOYMENT, MODEL, Resource
from pantala.errors import Unavailable
from pantala.manifest.settings import Settings
from pantala.planner.observed import Observed
from pantala.planner.plan import plan

CONCURRENCY = 16
"""Requests in flight of whoever creates; the operator has as many workers."""


def resource(name: str, namespace: str) -> dict[str, Any]:
    """The smallest model that is reachable: ConfigMap, two Services and a Deployment."""
    return {
        "apiVersion": naming.API_VERSION,
        "kind": naming.KIND,
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"runtime": {"name": "triton"}, "versions": [{"name": "v1", "uri": "s3://models/add/"}]},
    }


def with_children(name: str, namespace: str) -> list[dict[str, Any]]:
    """The model, and what the operator makes of it, without an owner: the bare client's work."""
    model = resource(name, namespace)
    model["metadata"]["uid"] = "none"
    made = plan(InferenceModel.read(model), Observed(model=model), Settings(), datetime.now(UTC)).apply
    for child in made:
        del child["metadata"]["ownerReferences"]
    return [resource(name, namespace), *made]


@dataclass
class Progress:
    """When each object was first seen, by name, in seconds since `start`."""

    start: float = field(default_factory=time.perf_counter)
    seen: dict[str, float] = field(default_factory=dict)
    asked: dict[str, float] = field(default_factory=dict)
    """When the creation of a model was begun."""

    def now(self) -> float:
        """Seconds since the start."""
        return time.perf_counter() - self.start

    @property
    def last(self) -> float:
        """When the last object was seen."""
        return max(self.seen.values(), default=0.0)

    def latencies(self) -> list[float]:
        """Milliseconds from the creation of a model to its Deployment."""
        return sorted((self.seen[name] - at) * 1000 for name, at in self.asked.items() if name in self.seen)


async def follow(
    client: Client,
    what: Resource,
    namespace: str,
    done: Callable[[dict[str, Any]], bool],
    progress: Progress,
    count: int,
) -> None:
    """Watch until `count` objects of a namespace satisfy `done`; when each did first is in `progress`."""
    version = (await client.list(what, namespace, {"limit": "1"}))["metadata"]["resourceVersion"]
    while len(progress.seen) < count:
        try:
            async for event in client.watch(what, namespace, {"resourceVersion": version}, 300):
                obj = event["object"]
                version = obj["metadata"]["resourceVersion"]
                name = obj["metadata"].get("labels", {}).get(naming.LABEL_MODEL) or obj["metadata"]["name"]
                if name not in progress.seen and done(obj):
                    progress.seen[name] = progress.now()
                    if len(progress.seen) >= count:
                        return
        except Unavailable:
            continue


def available(obj: dict[str, Any]) -> bool:
    """Whether a Deployment has its replica."""
    return bool(obj.get("status", {}).get("availableReplicas"))


def ready(obj: dict[str, Any]) -> bool:
    """Whether a model is Ready."""
    return any(
        condition["type"] == "Ready" and condition["status"] == "True"
        for condition in obj.get("status", {}).get("conditions", ())
    )


async def create(
    client: Client, names: Sequence[str], make: Callable[[str], list[dict[str, Any]]], at: Progress
) -> None:
    """Create the objects of every name as fast as the API server takes them."""
    limit = asyncio.Semaphore(CONCURRENCY)

    async def one(name: str) -> None:
        objects = make(name)
        async with limit:
            at.asked[name] = at.now()
            for obj in objects:
                await client.create(BY_KIND[obj["kind"]], obj)

    await asyncio.gather(*(one(name) for name in names))


@dataclass
class Run:
    """One measured run."""

    who: str
    count: int
    exist: float
    """Seconds until every model had its Deployment, which is written last."""
    ready: float
    """Seconds until all were ready."""
    p50: float
    p99: float
    calls: Counter[str] = field(default_factory=Counter)
    cpu: float = 0.0
    rss: float = 0.0


async def measure(client: Client, watcher: Client, who: str, namespace: str, count: int) -> Run:
    """Create `count` models (`who` = operator), or models and their children (floor), and wait until all are ready."""
    names = [f"m{number:04d}" for number in range(count)]
    deployed, finished = Progress(), Progress()
    floor = who == "floor"
    final, test = (DEPLOYMENT, available) if floor else (MODEL, ready)
    watches = [
        asyncio.create_task(follow(watcher, DEPLOYMENT, namespace, lambda _: True, deployed, count)),
        asyncio.create_task(follow(watcher, final, namespace, test, finished, count)),
    ]
    await asyncio.sleep(0)
    deployed.start = finished.start = time.perf_counter()
    make = (lambda name: with_children(name, namespace)) if floor else (lambda name: [resource(name, namespace)])
    await create(client, names, make, deployed)
    async with asyncio.timeout(900):
        await asyncio.gather(*watches)
    times = deployed.latencies()
    p99 = statistics.quantiles(times, n=100)[98] if len(times) > 1 else times[0]
    return Run(who, count, deployed.last, finished.last, statistics.median(times), p99)


async def one_by_one(client: Client, watcher: Client, namespace: str, count: int) -> list[float]:
    """Milliseconds from the creation of a model to its Deployment, each model alone on an idle operator."""
    times = []
    for number in range(count):
        name, progress = f"s{number:04d}", Progress()
        watch = asyncio.create_task(
            follow(
                watcher,
                DEPLOYMENT,
                namespace,
                lambda obj, name=name: obj["metadata"]["name"].startswith(name),
                progress,
                1,
            )
        )
        await asyncio.sleep(0.2)  # the watch is open; a bench may wait where a test may not
        progress.start = time.perf_counter()
        await client.create(MODEL, resource(name, namespace))
        async with asyncio.timeout(60):
            await watch
        times.append(progress.last * 1000)
    return sorted(times)


def cpu_seconds(pid: int) -> float:
    """User and system CPU of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / 100


def peak_rss(pid: int) -> float:
    """Largest resident set so far, in MB."""
    line = next(text for text in Path(f"/proc/{pid}/status").read_text().splitlines() if text.startswith("VmHWM"))
    return int(line.split()[1]) / 1000


async def wait_for_operator(port: int) -> None:
    """Until the operator's process is ready, at most 60 s."""
    async with asyncio.timeout(60), aiohttp.ClientSession() as session:
        while True:
            try:
                async with session.get(f"http://127.0.0.1:{port}/readyz") as answer:
                    if answer.status == 200:
                        return
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.2)
