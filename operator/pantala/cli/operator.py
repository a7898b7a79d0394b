"""`pantala operator`: the process that the chart runs."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket

import click
from pythonjsonlogger.json import JsonFormatter

from pantala.cluster.client import Client
from pantala.handlers.operator import Operator, Options
from pantala.manifest.settings import FETCHER_IMAGE, Settings


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
    "--fetcher-image",
    envvar="PANTALA_FETCHER_IMAGE",
    default=FETCHER_IMAGE,
    show_default=True,
    help="Image of the init container that fetches the weights.",
)
@click.option(
    "--triton-image", envvar="PANTALA_TRITON_IMAGE", help="Default image of Triton, in place of the built-in one."
)
@click.option(
    "--torchserve-image",
    envvar="PANTALA_TORCHSERVE_IMAGE",
    help="Default image of TorchServe, in place of the built-in one.",
)
@click.option(
    "--dragonfly-socket-folder",
    envvar="PANTALA_DRAGONFLY_SOCKET_FOLDER",
    default=Settings.dragonfly_socket_folder,
    show_default=True,
    metavar="FOLDER",
    help="Folder of every node in which Dragonfly's dfdaemon has its socket.",
)
@click.option(
    "--cache-host-path",
    "cache_host_paths",
    multiple=True,
    envvar="PANTALA_CACHE_HOST_PATHS",
    type=click.Path(path_type=str),
    default=Settings.cache_host_paths,
    show_default=True,
    help="Folder of the nodes at or below which storage.cache.hostPath may be; may be given several times.",
)
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
    fetcher_image: str,
    triton_image: str | None,
    torchserve_image: str | None,
    dragonfly_socket_folder: str,
    cache_host_paths: tuple[str, ...],
    otlp_endpoint: str | None,
    kubeconfig: str | None,
    log_format: str,
    log_level: str,
) -> None:
    """Run the operator: make every InferenceModel of the cluster true, until SIGTERM."""
    _log(log_format, log_level)
    if kubeconfig:
        os.environ["KUBECONFIG"] = kubeconfig  # kopf reads it there
    images = {"triton": triton_image, "torchserve": torchserve_image}
    options = Options(
        namespaces=namespaces,
        lease_namespace=lease_namespace,
        lease_name=lease_name,
        # A restarted container of the same pod takes its own Lease back at once.
        identity=os.environ.get("POD_NAME") or f"{socket.gethostname()}-{os.getpid()}",
        address=address,
        port=port,
        settings=Settings(
            fetcher_image=fetcher_image,
            runtime_images={name: image for name, image in images.items() if image},
            dragonfly_socket_folder=dragonfly_socket_folder,
            cache_host_paths=tuple(path.rstrip("/") for path in cache_host_paths if path),
        ),
        otlp_endpoint=otlp_endpoint,
    )
    asyncio.run(_run(kubeconfig, options))


async def _run(kubeconfig: str | None, options: Options) -> None:
    async with await Client.connect(kubeconfig, user_agent="pantala-operator") as client:
        process = Operator(client, options)
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
