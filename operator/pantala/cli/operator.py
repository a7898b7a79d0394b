"""`pantala operator`: the process that the chart runs."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket

import click
from pythonjsonlogger.json import JsonFormatter

from pantala.cli import options
from pantala.cluster.client import Client
from pantala.handlers.operator import Operator, Options
from pantala.manifest.settings import Settings


@click.command()
@click.option(
    "--namespace",
    "namespaces",
    multiple=True,
    envvar="PANTALA_NAMESPACES",
    help="Watch only this namespace; may be given several times. Default: all namespaces.",
)
@click.option(
    "--lease-namespace",
    envvar="PANTALA_LEASE_NAMESPACE",
    default="default",
    show_default=True,
    help="Namespace of the Lease that elects the active one of several operators.",
)
@click.option("--lease-name", default="pantala-operator", show_default=True, help="Name of that Lease.")
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    default=8080,
    show_default=True,
    help="Port of /healthz, /readyz and /metrics.",
)
@click.option("--address", default="0.0.0.0", show_default=True, help="Address of that port.")  # noqa: S104 -- in a pod the probes come from outside
@click.option(
    "--watch-nodes/--no-watch-nodes",
    default=True,
    show_default=True,
    help="Look at nodes, so that a model that waits for cards says which nodes have them. Never done with --namespace.",
)
@options.installation
@options.prometheus
@click.option(
    "--otlp-endpoint",
    metavar="URL",
    envvar="OTEL_EXPORTER_OTLP_ENDPOINT",
    help="Send a trace of each replica's start to this OpenTelemetry collector, by OTLP over HTTP. Default: nothing is sent.",
)
@click.option(
    "--kubeconfig",
    type=click.Path(exists=True, dir_okay=False),
    envvar="KUBECONFIG",
    help="Kubeconfig. Default: the pod's service account, else ~/.kube/config.",
)
@click.option(
    "--log-format",
    type=click.Choice(["json", "plain"]),
    default="json",
    show_default=True,
    help="Format of the log, on stderr.",
)
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="info",
    show_default=True,
    help="Least level that is logged.",
)
def operator(
    namespaces: tuple[str, ...],
    lease_namespace: str,
    lease_name: str,
    port: int,
    address: str,
    *,
    watch_nodes: bool,
    settings: Settings,
    otlp_endpoint: str | None,
    kubeconfig: str | None,
    log_format: str,
    log_level: str,
) -> None:
    """Run the operator: make every InferenceModel of the cluster true, until SIGTERM."""
    _log(log_format, log_level)
    if kubeconfig:
        os.environ["KUBECONFIG"] = kubeconfig  # kopf reads it there
    wanted = Options(
        namespaces=namespaces,
        lease_namespace=lease_namespace,
        lease_name=lease_name,
        # A restarted container of the same pod takes its own Lease back at once.
        identity=os.environ.get("POD_NAME") or f"{socket.gethostname()}-{os.getpid()}",
        address=address,
        port=port,
        settings=settings,
        otlp_endpoint=otlp_endpoint,
        watch_nodes=watch_nodes,
    )
    asyncio.run(_run(kubeconfig, wanted))


async def _run(kubeconfig: str | None, wanted: Options) -> None:
    async with await Client.connect(kubeconfig, user_agent="pantala-operator") as client:
        process = Operator(client, wanted)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, process.stop)
        await process.run()
        if process.problems():
            raise click.ClickException("; ".join(process.problems()))


def _log(form: str, level: str) -> None:
    handler = logging.StreamHandler()
    if form == "json":
        fields = {"asctime": "time", "levelname": "level", "name": "logger"}
        handler.setFormatter(JsonFormatter("%(asctime)s %(levelname)s %(name)s %(message)s", rename_fields=fields))
    else:
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s"))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.getLogger("kopf").setLevel(max(logging.WARNING, logging.getLogger().level))
