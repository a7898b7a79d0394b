"""`pantala fetch`: the init container."""

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
from pathlib import Path
from typing import NoReturn

import click

from pantala.errors import FetchFailure
from pantala.fetcher import secrets, termination
from pantala.fetcher.errors import FetchError, from_os
from pantala.fetcher.layout import Layout
from pantala.fetcher.links import Links
from pantala.fetcher.nodecache import MAX_AGE, Policy
from pantala.fetcher.options import Options, Summary
from pantala.fetcher.peers import Terms
from pantala.fetcher.progress import Progress
from pantala.fetcher.proxied import Proxy
from pantala.fetcher.run import fetch as run_fetch
from pantala.fetcher.transfer import Route

METRICS_PORT = 9465
"""Where `/metrics` is served."""
_M_ARENA_MAX = -8
"""glibc's malloc.h"""
_BY_SIGTERM = 128 + signal.SIGTERM


@click.command()
@click.option("--uri", required=True, help="Of any store (docs/storage.md), or a path here.")
@click.option("--to", required=True, type=click.Path(path_type=Path, file_okay=False), help="Folder for the weights.")
@click.option("--digest", help="sha256:HEX that the weights must have (see `pantala digest`).")
@click.option("--endpoint", help="Base URL of the service, where the URI does not name it.")
@click.option("--region", help="Region that S3 requests are signed for.")
@click.option(
    "--layout",
    type=click.Choice([layout.value for layout in Layout]),
    default="plain",
    show_default=True,
    help="Who is to read the files.",
)
@click.option("--model-name", help="Name of the model; needed for torchserve and triton.")
@click.option("--overlay", type=click.Path(path_type=Path), help="Folder with a config.pbtxt for models without one.")
@click.option("--credentials", type=click.Path(path_type=Path), help="Folder with files named like the variables.")
@click.option("--metrics-port", type=int, default=METRICS_PORT, show_default=True, help="0 serves no metrics.")
@click.option("--termination-log", type=click.Path(path_type=Path), help="File for the summary (JSON, at most 1 KiB).")
@click.option("--retry-seconds", type=float, default=120.0, show_default=True, help="Patience without any success.")
@click.option("--size-limit", type=int, help="Bytes that the folder's volume may hold. Default: what the disk has.")
@click.option("--peers", type=click.Path(path_type=Path), help="Socket of the node's dfdaemon, which is asked first.")
@click.option("--proxy", help="URL of dfdaemon's HTTP proxy, in place of --peers.")
@click.option("--proxy-header", multiple=True, metavar="NAME=VALUE", help="Sent to the proxy. Repeatable.")
@click.option("--proxy-filter", multiple=True, metavar="PARAM", help="Query parameter that signs a URL. Repeatable.")
@click.option(
    "--fallback",
    type=click.Choice(["origin", "fail"]),
    default="origin",
    show_default=True,
    help="Who delivers what the peers do not: the store, or nobody.",
)
@click.option(
    "--fallback-after",
    type=float,
    default=60.0,
    show_default=True,
    help="Seconds without a piece after which the peers are given up.",
)
@click.option("--cache-root", type=click.Path(path_type=Path), help="The node's cache that --to is a folder of.")
@click.option(
    "--cache-max-bytes", type=int, help="Bytes that all of it may take. Default: a tenth of the disk stays free."
)
@click.option("--cache-max-age", type=float, default=MAX_AGE, help="Seconds that unused weights stay. Default: a week.")
@click.option("--host-path", type=click.Path(path_type=Path), help="Path of --to on the node, for hard links.")
@click.option("--log-format", type=click.Choice(["text", "json"]), default="text", show_default=True)
def fetch(
    uri: str,
    to: Path,
    digest: str | None,
    endpoint: str | None,
    region: str | None,
    layout: str,
    model_name: str | None,
    overlay: Path | None,
    credentials: Path | None,
    metrics_port: int,
    termination_log: Path | None,
    retry_seconds: float,
    size_limit: int | None,
    peers: Path | None,
    proxy: str | None,
    proxy_header: tuple[str, ...],
    proxy_filter: tuple[str, ...],
    fallback: str,
    fallback_after: float,
    cache_root: Path | None,
    cache_max_bytes: int | None,
    cache_max_age: float,
    host_path: Path | None,
    log_format: str,
) -> None:
    """Bring the weights of a model to a folder, verified; what was interrupted is resumed.

    Credentials come from the environment (AWS_ACCESS_KEY_ID, HF_TOKEN ...; docs/storage.md names them) or from files of
    these names.

    Exit codes: 0 done, 10 not found, 11 denied, 12 disk full, 13 digest mismatch, 14 changed while reading, 15 invalid,
    16 unavailable, 17 the peers did not deliver, 18 the peers cannot be asked for this store, 143 stopped by SIGTERM.
    """
    bound_arenas()
    terms = Terms(fallback == "origin", fallback_after, retry_seconds)
    options = Options(
        uri=uri,
        to=to,
        digest=digest,
        endpoint=endpoint,
        region=region,
        layout=Layout(layout),
        model_name=model_name,
        overlay=overlay,
        retry_seconds=retry_seconds,
        size_limit=size_limit,
        route=_route(peers, Links(to, host_path) if host_path else None, proxy, proxy_header, proxy_filter, terms),
        cache=Policy(cache_root, cache_max_bytes, cache_max_age) if cache_root else None,
    )
    as_json = log_format == "json"
    progress = Progress(secrets.redact_unknown, as_json=as_json)
    try:
        keys = secrets.load(os.environ, credentials)
        progress = Progress(keys.redact, as_json=as_json)
        if metrics_port:
            progress.serve(metrics_port)
        summary = asyncio.run(_until_stopped(options, keys, progress))
    except FetchError as error:
        _fail(error, progress, termination_log)
    except OSError as error:
        _fail(from_os(error, str(to)), progress, termination_log)
    except asyncio.CancelledError:
        progress.log("stopped by SIGTERM; the next run continues", level="warning", **progress.bytes)
        leave(_BY_SIGTERM)
    except Exception as error:  # noqa: BLE001 - a text that we do not know may hold a secret, so it is redacted too
        _fail(
            FetchError(FetchFailure.INVALID, f"unexpected {type(error).__name__}: {error}"), progress, termination_log
        )
    text = termination.success(summary, progress.bytes, progress.direct, progress.seconds)
    termination.write(termination_log, text, progress)
    leave(0)


def _route(
    peers: Path | None,
    links: Links | None,
    proxy: str | None,
    headers: tuple[str, ...],
    filters: tuple[str, ...],
    terms: Terms,
) -> Route | None:
    if peers:
        return Route(peers.absolute(), terms, links)
    return Route(Proxy(proxy, _headers(headers), filters), terms) if proxy else None


def _headers(texts: tuple[str, ...]) -> dict[str, str]:
    pairs = [text.partition("=") for text in texts]
    if wrong := next((name for name, separator, _ in pairs if not (name and separator)), None):
        raise click.BadParameter(f"{wrong!r} has no value; write NAME=VALUE")
    return {name: value for name, _, value in pairs}


async def _until_stopped(options: Options, keys: secrets.Credentials, progress: Progress) -> Summary:
    task = asyncio.ensure_future(run_fetch(options, keys, os.environ, progress))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, task.cancel)
    return await task


def _fail(error: FetchError, progress: Progress, log: Path | None) -> NoReturn:
    progress.phase("failed", level="error", reason=error.failure.value, cause=error.message, **progress.bytes)
    termination.write(log, termination.failure(error, progress.redact), progress)
    leave(error.failure.exit_code)


def bound_arenas() -> None:
    """Have one heap for all threads: glibc's several cost 10 to 15 MiB here, and gain nothing."""
    with contextlib.suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)


def leave(code: int) -> NoReturn:
    """End the process without the interpreter's shutdown.

    opendal's runtime threads may still hand over a result while the interpreter is torn down, and that aborts the
    process (exit code 134) after a successful run: seen with opendal 0.47.12 on Python 3.11.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
