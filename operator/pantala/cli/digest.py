"""`pantala digest`: what to write into the resource."""

import asyncio
import json
import os
import sys
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from pantala.cli.fetch import leave
from pantala.errors import FetchFailure
from pantala.fetcher import secrets
from pantala.fetcher.digest import digest_of
from pantala.fetcher.errors import FetchError
from pantala.fetcher.listing import Listing
from pantala.fetcher.retry import Retry
from pantala.fetcher.stores import open_store


@click.command()
@click.argument("uri")
@click.option("--endpoint", help="Base URL of the service, where the URI does not name it.")
@click.option("--region", help="Region that S3 requests are signed for.")
@click.option("--credentials", type=click.Path(path_type=Path), help="Folder with files named like the variables.")
@click.option("--retry-seconds", type=float, default=30.0, show_default=True, help="Patience without any success.")
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
def digest(
    uri: str, endpoint: str | None, region: str | None, credentials: Path | None, retry_seconds: float, output: str
) -> None:
    """Print the digest of a model: URI is of any store (docs/storage.md), file:// or a path.

    It is the same wherever the model lies: of one file its sha256, of a folder the sha256 of its sorted lines
    `sha256  path`. Exit codes are those of `pantala fetch`.
    """
    redact = secrets.redact_unknown
    try:
        keys = secrets.load(os.environ, credentials)
        redact = keys.redact
        store = open_store(uri, endpoint=endpoint, region=region, credentials=keys, environ=os.environ)
        with _bar() as bar:
            task = bar.add_task("digest", total=None)

            def retried(subject: str, cause: str, delay: float) -> None:
                bar.console.print(redact(f"{subject}: {cause}; trying again in {delay:.1f} s"), markup=False)

            def listed(listing: Listing) -> None:
                bar.update(task, total=listing.size)

            work = digest_of(store, Retry(retry_seconds, retried), listed, lambda number: bar.advance(task, number))
            listing, value = asyncio.run(work)
    except FetchError as error:
        click.echo(redact(f"{error.failure.value}: {error.message}"), err=True)
        leave(error.failure.exit_code)
    except OSError as error:
        click.echo(redact(f"{FetchFailure.INVALID.value}: {uri}: {error.strerror}"), err=True)
        leave(FetchFailure.INVALID.exit_code)
    except KeyboardInterrupt:
        leave(130)
    if output == "json":
        found = {
            "digest": value,
            "fingerprint": listing.fingerprint,
            "files": len(listing.files),
            "bytes": listing.size,
        }
        click.echo(json.dumps(found))
    else:
        click.echo(value)
    leave(0)


def _bar() -> Progress:
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    return Progress(*columns, console=console, transient=True, disable=not sys.stderr.isatty())
