"""How long `pantala top -A` takes where there is much: pytest -m bench -s tests/bench/test_top.py.

Pods and autoscalers are objects that no controller looks at; their figures come from a real Prometheus by a real adapter.
"""

import asyncio
import json
import os
import secrets
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Iterable
from pathlib import Path
from typing import Any

import pytest
import yaml

from pantala import naming
from pantala.autoscaling import signals
from pantala.cluster.client import Client
from pantala.cluster.resources import AUTOSCALER, MODEL, POD, Resource
from tests.bench.models import CONCURRENCY, with_children
from tests.cluster import Cluster, ClusterSpec
from tests.cluster.addons import loopback
from tests.cluster.addons.exporter import Exporter, series
from tests.cluster.addons.prometheus import Prometheus
from tests.cluster.addons.prometheus_adapter import PrometheusAdapter
from tests.cluster.fixtures import running

pytestmark = [pytest.mark.bench, pytest.mark.adapter, pytest.mark.timeout(1200)]

MODELS = int(os.environ.get("PANTALA_BENCH_TOP_MODELS", "1000"))
REPLICAS = 5
SPACES = tuple(int(text) for text in os.environ.get("PANTALA_BENCH_TOP_NAMESPACES", "1,50").split(","))
ROUNDS = 5
TOP = (sys.executable, "-m", "pantala", "top")
QPS = tuple(os.environ.get("PANTALA_BENCH_TOP_ADAPTER", "--client-qps=100 --client-burst=200").split())
"""Flags of the adapter: unless told otherwise it lists pods five times a second, and lists them for each question."""
RULES = Path(__file__).parents[2] / "charts/pantala/files/rules/adapter.yaml"


async def limited(work: Iterable[Awaitable[Any]]) -> None:
    """Do everything, so many at a time."""
    limit = asyncio.Semaphore(CONCURRENCY)

    async def one(job: Awaitable[Any]) -> None:
        async with limit:
            await job

    await asyncio.gather(*(one(job) for job in work))


def pods_of(name: str, namespace: str) -> list[dict[str, Any]]:
    """Replicas as the operator's Deployment makes them."""
    deployment = next(item for item in with_children(name, namespace) if item["kind"] == "Deployment")
    template = deployment["spec"]["template"]
    return [
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                **template["metadata"],
                "name": f"{name}-v1-6d4cf56db6-{index:05d}",
                "namespace": namespace,
            },
            "spec": template["spec"],
        }
        for index in range(REPLICAS)
    ]


async def model(client: Client, name: str, namespace: str) -> None:
    """A model with cards and an autoscaler, as they are once they run, and its pods."""
    metrics = [{"type": "GPUUtilization", "target": 70}]
    obj = with_children(name, namespace)[0]
    obj["metadata"].pop("uid", None)
    obj["spec"] |= {"accelerator": {"provider": "nvidia"}, "scaling": {"maxReplicas": 8, "metrics": metrics}}
    made = await client.create(MODEL, obj)
    version = {"name": "v1", "state": "Serving", "readyReplicas": REPLICAS, "desiredReplicas": REPLICAS}
    version |= {"accelerator": {"provider": "nvidia"}, "autoscaler": {"engine": "HPA", "desiredReplicas": REPLICAS}}
    version["replicas"] = [{"pod": pod["metadata"]["name"], "node": "gpu-1"} for pod in pods_of(name, namespace)]
    status = {"observedGeneration": 1, "versions": [version]}
    await client.replace_status(MODEL, namespace, name, status, made["metadata"]["uid"])
    measured = {"metric": {"name": signals.GPU_UTILIZATION}}
    scaler = {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": f"{name}-v1", "namespace": namespace, "labels": naming.labels(name, "v1")},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": f"{name}-v1"},
            "minReplicas": 1,
            "maxReplicas": 8,
            "metrics": [
                {"type": "Pods", "pods": {**measured, "target": {"type": "AverageValue", "averageValue": "70"}}}
            ],
        },
    }
    current = [{"type": "Pods", "pods": {**measured, "current": {"averageValue": "71"}}}]
    live = await client.create(AUTOSCALER, scaler)
    told = {"currentReplicas": REPLICAS, "desiredReplicas": REPLICAS, "currentMetrics": current}
    await client.replace_status(AUTOSCALER, namespace, f"{name}-v1", told, live["metadata"]["uid"])
    for pod in pods_of(name, namespace):
        await client.create(POD, pod)


async def fill(cluster: Cluster, spaces: list[str]) -> str:
    """Make everything, and return what the exporter shall tell of it."""
    account = Resource("", "v1", "ServiceAccount", "serviceaccounts")
    names = [(f"m{number:04d}", spaces[number % len(spaces)]) for number in range(MODELS)]
    async with await Client.connect(str(cluster.kubeconfig), user_agent="bench") as client:
        for space in spaces:
            meta = {"name": "default", "namespace": space}
            await client.create(account, {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta})
        await limited(model(client, name, space) for name, space in names)
    return "".join(
        series(metric, 40, {"namespace": space, "pod": pod["metadata"]["name"]})
        for name, space in names
        for pod in pods_of(name, space)
        for metric in signals.POD_SERIES
    )


@pytest.mark.parametrize("spaces", SPACES)
def test_top(spaces: int) -> None:
    """All models have all figures; how long that takes is printed, and decides nothing."""
    if reason := loopback.missing():
        pytest.skip(f"tier adapter: {reason}")
    spec = ClusterSpec(f"bench-{os.getpid()}-{secrets.token_hex(2)}", controllers=False, scale=True)
    with running("bench", spec) as cluster:
        cluster.kubectl("apply", "--server-side", "-f", "crds/")
        cluster.established("inferencemodels.pantala.dev")
        names = [f"space-{number}" for number in range(spaces)]
        for name in names:
            cluster.kubectl("create", "namespace", name)
        text = asyncio.run(fill(cluster, names))
        rules = yaml.safe_load(RULES.read_text())
        with (
            Exporter(text) as exporter,
            Prometheus({"scrape_configs": [exporter.scrape_job(interval="15s", honor_labels=True)]}) as prometheus,
            PrometheusAdapter(cluster, prometheus.url, rules, relist="30s", flags=QPS) as adapter,
        ):
            adapter.wait_for_pods(names[-1], signals.QUEUE_TIME, seconds=120)
            seconds = [once(cluster, "-A") for _ in range(ROUNDS)]
            single = [once(cluster, "m0000", "-n", names[0]) for _ in range(ROUNDS)]
        command = [*TOP, "-A", "--kubeconfig", str(cluster.kubeconfig)]
        without = [timed(command)[0] for _ in range(ROUNDS)]
        start = [timed([*TOP, "--help"])[0] for _ in range(ROUNDS)]
    print(
        f"\n{MODELS} models, {MODELS * REPLICAS} pods, {spaces} namespaces: median {statistics.median(seconds):.1f} s,"
        f" worst {max(seconds):.1f} s; without the metrics API {statistics.median(without):.1f} s;"
        f" one model {statistics.median(single):.1f} s; --help {statistics.median(start):.1f} s"
    )


def once(cluster: Cluster, *arguments: str) -> float:
    """Seconds of a command that found every figure."""
    command = [
        sys.executable,
        "-m",
        "pantala",
        "top",
        *arguments,
        "-o",
        "json",
        "--kubeconfig",
        str(cluster.kubeconfig),
    ]
    seconds, out = timed(command)
    found = json.loads(out)
    assert found["problems"] == []
    for told in found["models"]:
        (version,) = told["versions"]
        figures = {version[name] for name in ("gpuUtilization", "gpuMemory", "queueMilliseconds")}
        assert figures == {40}
        assert (version["requestsPerSecond"], version["queueLength"]) == (40 * REPLICAS, 40 * REPLICAS)
        assert version["autoscaler"]["measures"] == [{"name": "GPUUtilization", "value": 71, "target": 70}]
    return seconds


def timed(command: list[str]) -> tuple[float, str]:
    """Seconds of a command, and what it printed."""
    before = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr + done.stdout[-500:]
    return time.perf_counter() - before, done.stdout
