"""`pantala status`: how models are."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import click
from rich.console import Console, RenderableType
from rich.live import Live

from pantala import naming
from pantala.cli import access, options, output, watching
from pantala.cli.summary import Summary, summarize
from pantala.cli.tree import page
from pantala.cluster.client import Client
from pantala.cluster.resources import MODEL, POD

NOT_READY = 1
"""Exit code: some model is not ready."""
_REFRESH_SECONDS = 1.0
_PIPED_WIDTH = 120


@dataclass(frozen=True)
class _Question:
    name: str | None
    namespace: str | None
    """None is the context's."""
    everywhere: bool
    cold_start: bool


@click.command()
@click.argument("name", required=False)
@click.option("-n", "--namespace", metavar="NAME", help="Namespace. Default: the context's.")
@click.option("-A", "--all-namespaces", "everywhere", is_flag=True, help="Models of all namespaces.")
@click.option("-w", "--watch", is_flag=True, help="Follow changes until Ctrl-C.")
@click.option("--cold-start", is_flag=True, help="Draw how each replica started, those that are gone included.")
@click.option(
    "-o",
    "--output",
    "form",
    type=click.Choice(["tree", "json", "yaml"]),
    help="Default: a tree with a NAME, a table without. The fields of json and yaml are in docs/cli.md.",
)
@options.cluster
def status(
    name: str | None,
    namespace: str | None,
    everywhere: bool,  # noqa: FBT001 -- click's way
    watch: bool,  # noqa: FBT001
    cold_start: bool,  # noqa: FBT001
    form: str | None,
    kubeconfig: str | None,
    context: str | None,
) -> None:
    """Show models: their versions and replicas, what is in their way, and how long each phase of a cold start took.

    Phases of a replica: scheduled (until a node is found), prepare (until the fetcher starts: its image, volumes), fetch
    (the weights), image (until the server starts: its image), load (until the model answers), ready (readiness gates).

    Exit code: 0 all are Ready, 1 some are not, 2 error.
    """
    if name and everywhere:
        raise click.UsageError("NAME and --all-namespaces exclude each other; use -n for a namespace.")
    question = _Question(name, namespace, everywhere, cold_start)
    last: list[Summary] = []

    def keep(found: list[Summary]) -> None:
        last[:] = found

    try:
        asyncio.run(_run(question, form, kubeconfig, context, keep, watch=watch))
    except KeyboardInterrupt:
        if not watch:
            raise
    sys.exit(0 if all(model["ready"] for model in last) else NOT_READY)


async def _run(
    question: _Question,
    form: str | None,
    kubeconfig: str | None,
    context: str | None,
    keep: Callable[[list[Summary]], None],
    *,
    watch: bool,
) -> None:
    async with access.connect(kubeconfig, context) as place:

        async def look() -> list[Summary]:
            found = await _read(place, question)
            keep(found)
            return found

        def show(found: list[Summary]) -> None:
            _print(found, question, form)

        if not watch:
            show(await look())
            return
        console = _console()
        on_screen = form in {None, "tree"} and console.is_terminal
        live = Live(console=console, auto_refresh=False, vertical_overflow="visible") if on_screen else None
        await watching.follow(
            look,
            live,
            draw=lambda found: _drawing(found, question, form, console),
            show=show,
            steady=_steady,
            seconds=_REFRESH_SECONDS,
        )


async def _read(place: access.Access, question: _Question) -> list[Summary]:
    client: Client = place.client
    namespace = None if question.everywhere else question.namespace or place.namespace
    selector = f"{naming.LABEL_MANAGED_BY}={naming.MANAGED_BY}"
    if question.name:
        models = [await client.get(MODEL, namespace or place.namespace, question.name)]
        selector += f",{naming.LABEL_MODEL}={question.name}"
    else:
        models = await access.listed(client, MODEL, namespace)
    pods = await access.listed(client, POD, namespace, selector)
    outside = any((model.get("status") or {}).get("nodePort") for model in models)
    node = await access.node_address(client) if outside else None
    grouped: dict[tuple[str, str], list[dict[str, object]]] = {}
    for pod in pods:
        meta = pod["metadata"]
        grouped.setdefault((meta["namespace"], meta["labels"].get(naming.LABEL_MODEL, "")), []).append(pod)
    now = datetime.now(UTC)
    return [
        summarize(model, grouped.get((model["metadata"]["namespace"], model["metadata"]["name"]), []), node, now)
        for model in models
    ]


def _steady(models: list[Summary]) -> object:
    """The summaries without what changes by itself."""
    pods = [
        [{**pod, "stepSeconds": None} for version in model["versions"] for pod in version["pods"]] for model in models
    ]
    rest = [{**model, "versions": [{**version, "pods": []} for version in model["versions"]]} for model in models]
    return pods, rest


def _print(models: list[Summary], question: _Question, form: str | None) -> None:
    if form == "json":
        click.echo(output.as_json({"models": models}, sort=False))
    elif form == "yaml":
        click.echo(output.as_yaml({"models": models}, sort=False), nl=False)
    elif not models:
        where = "the cluster" if question.everywhere else "this namespace (-A looks in all)"
        click.echo(f"There is no {naming.KIND} in {where}.", err=True)
    else:
        console = _console()
        console.print(_drawing(models, question, form, console), highlight=False)


def _drawing(models: list[Summary], question: _Question, form: str | None, console: Console) -> RenderableType:
    whole = form == "tree" or question.name is not None
    ascii_only = not console.encoding.startswith("utf")
    return page(models, whole=whole, ascii_only=ascii_only, cold_start=question.cold_start)


def _console() -> Console:
    """Standard output as it is; a pipe has no width, so it gets one that most screens have."""
    console = Console()
    if not console.is_terminal and "COLUMNS" not in os.environ:
        return Console(width=_PIPED_WIDTH)
    return console
