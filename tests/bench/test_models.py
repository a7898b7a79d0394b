"""`make bench`: 300 and 1000 models on simulated nodes, the operator beside the floor, in one run.

KWOK's nodes prove nothing about readiness or traffic; they make a thousand pods cheap enough to measure the operator.
"""

import os
import secrets
import statistics
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator

import pytest
from rich.console import Console
from rich.table import Table

from pantala.cluster.client import Client
from tests.bench import models
from tests.cluster import Cluster, ClusterSpec
from tests.cluster.audit import AuditLog
from tests.cluster.fixtures import running
from tests.cluster.process import free_port

pytestmark = [pytest.mark.bench, pytest.mark.timeout(3000)]

COUNTS = tuple(int(text) for text in os.environ.get("PANTALA_BENCH_MODELS", "300,1000").split(","))
AGENT = "pantala-operator"


@pytest.fixture(scope="module", params=COUNTS)
def scale_cluster(request: pytest.FixtureRequest) -> Iterator[tuple[Cluster, int]]:
    """A fresh control plane without client limits, and enough simulated nodes."""
    name = f"bench-{os.getpid()}-{secrets.token_hex(2)}"
    with running("bench", ClusterSpec(name, kwok=20, scale=True, audit="Metadata")) as started:
        started.kubectl("apply", "--server-side", "-f", "crds/")
        yield started, request.param


async def test_models(scale_cluster: tuple[Cluster, int]) -> None:
    """All models get ready; the figures are printed, and none of them decides."""
    cluster, count = scale_cluster
    for namespace in ("first", "floor", "warm", "operator"):
        cluster.kubectl("create", "namespace", namespace)
    kubeconfig = str(cluster.kubeconfig)
    async with (
        await Client.connect(kubeconfig, user_agent="bench") as client,
        await Client.connect(kubeconfig, user_agent="bench-watch") as watcher,
    ):
        await models.measure(client, watcher, "floor", "first", 10)  # the first objects of a fresh cluster are slow
        floor = await models.measure(client, watcher, "floor", "floor", count)
        for namespace in ("first", "floor"):  # so that the operator finds nothing but its own work
            cluster.kubectl("delete", "namespace", namespace, "--timeout=600s")
        assert cluster.audit is not None
        log = AuditLog(cluster.audit)
        port = free_port()
        command = [sys.executable, "-m", "pantala", "operator", "--kubeconfig", kubeconfig, "--port", str(port)]
        with subprocess.Popen([*command, "--log-level", "warning"]) as process:  # noqa: ASYNC220 -- a moment
            try:
                await models.wait_for_operator(port)
                alone = await models.one_by_one(client, watcher, "warm", 20)
                begun, mark = models.cpu_seconds(process.pid), log.mark()
                run = await models.measure(client, watcher, "operator", "operator", count)
                run.cpu, run.rss = models.cpu_seconds(process.pid) - begun, models.peak_rss(process.pid)
                run.calls = Counter(call.verb for call in log.calls(mark, agent=AGENT) if call.resource != "leases")
            finally:
                process.terminate()
    show(floor, run, alone)


def show(floor: models.Run, run: models.Run, alone: list[float]) -> None:
    """The figures side by side."""
    table = Table(title=f"{run.count} models (ConfigMap, 2 Services, Deployment each)")
    for column in ("", "bare client", "operator", "ratio"):
        table.add_column(column, justify="right" if column else "left")
    rows = (
        ("all children exist, s", floor.exist, run.exist),
        ("all ready, s", floor.ready, run.ready),
        ("create to Deployment p50, ms", floor.p50, run.p50),
        ("create to Deployment p99, ms", floor.p99, run.p99),
    )
    for name, left, right in rows:
        table.add_row(name, f"{left:.1f}", f"{right:.1f}", f"{right / left:.2f}")
    table.add_row("one model alone, to its Deployment: median, ms", "", f"{statistics.median(alone):.0f}", "")
    table.add_row("operator's CPU, s", "", f"{run.cpu:.1f}", "")
    table.add_row("operator's peak RSS, MB", "", f"{run.rss:.0f}", "")
    for verb, number in sorted(run.calls.items()):
        table.add_row(f"API calls per model: {verb}", "", f"{number / run.count:.2f}", "")
    Console(width=100).print(table)
