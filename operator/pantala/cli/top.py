"""`pantala top`: how busy models are, and what their autoscalers want."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import click
from rich.console import Console
from rich.live import Live
from rich.text import Text

from pantala import naming
from pantala.cli import access, options, output, usage, watching
from pantala.cli.failures import ERROR
from pantala.cli.figures import Usage, summarize
from pantala.cli.top_lines import ORDERS, lines, ordered, remarks

_REFRESH_SECONDS = 5.0
"""Recorded series change every 15 s, replicas at any time."""


@dataclass(frozen=True)
class _Question:
    name: str | None
    namespace: str | None
    """None is the context's."""
    everywhere: bool
    order: str


@dataclass(frozen=True)
class _Picture:
    """What is told at one moment."""

    models: list[Usage]
    problems: list[str]
    """What could not be found out, and the next step."""
    failed: bool
    """Whether figures are missing that the cluster has."""
    at: datetime


@click.command()
@click.argument("model", required=False)
@click.option("-n", "--namespace", metavar="NAME", help="Namespace. Default: the context's.")
@click.option("-A", "--all-namespaces", "everywhere", is_flag=True, help="Models of all namespaces.")
@click.option("-w", "--watch", is_flag=True, help="Look again every 5 seconds until Ctrl-C.")
@click.option(
    "--sort-by",
    "order",
    type=click.Choice(ORDERS),
    default="name",
    show_default=True,
    help="The busiest first, by what is measured of them.",
)
@click.option(
    "-o",
    "--output",
    "form",
    type=click.Choice(["table", "json", "yaml"]),
    default="table",
    show_default=True,
    help="The fields of json and yaml are in docs/cli.md.",
)
@options.cluster
def top(
    model: str | None,
    namespace: str | None,
    everywhere: bool,  # noqa: FBT001 -- click's way
    watch: bool,  # noqa: FBT001
    order: str,
    form: str,
    kubeconfig: str | None,
    context: str | None,
) -> None:
    """Show how busy models are: GPUs, requests, queues, and what their autoscalers want.

    A line for each version that runs; with MODEL, one for each of its pods as well. GPU and MEMORY are percent of what is
    granted, in the mean of the pods; REQ/S and QUEUE are sums; WAIT is a mean. WANTS is the number of replicas that the
    autoscaler asks for, BY the measure that asks for most, per replica, with its target.

    Reads only: InferenceModels, pods, HorizontalPodAutoscalers, and Pantala's series from custom.metrics.k8s.io, so it needs
    no access to Prometheus. What is not known is `-`, and a line below says why.

    Exit code: 0 done, 2 error, also if a right is missing or the metrics API fails, and figures with it.
    """
    if model and everywhere:
        raise click.UsageError("MODEL and --all-namespaces exclude each other; use -n for a namespace.")
    question = _Question(model, namespace, everywhere, order)
    last: list[_Picture] = []

    def keep(picture: _Picture) -> None:
        last[:] = [picture]

    try:
        asyncio.run(_run(question, form, kubeconfig, context, keep, watch=watch))
    except KeyboardInterrupt:
        if not watch:
            raise
    sys.exit(ERROR if any(picture.failed for picture in last) else 0)


async def _run(
    question: _Question,
    form: str,
    kubeconfig: str | None,
    context: str | None,
    keep: Callable[[_Picture], None],
    *,
    watch: bool,
) -> None:
    async with access.connect(kubeconfig, context) as place:

        async def look() -> _Picture:
            picture = await _look(place, question)
            keep(picture)
            return picture

        def show(picture: _Picture) -> None:
            _print(picture, question, form)

        if not watch:
            show(await look())
            return
        console = Console()
        on_screen = form == "table" and console.is_terminal
        live = Live(console=console, auto_refresh=False, vertical_overflow="crop") if on_screen else None
        await watching.follow(
            look,
            live,
            draw=lambda picture: _screen(picture, question, console),
            show=show,
            steady=lambda picture: (picture.models, picture.problems),
            seconds=_REFRESH_SECONDS,
        )


async def _look(place: access.Access, question: _Question) -> _Picture:
    namespace = None if question.everywhere else question.namespace or place.namespace
    found = await usage.read(place.client, namespace, question.name)
    problems = [found.answer.problem] if found.answer.problem else []
    if found.refused:
        problems.append(
            f"You may not list {', '.join(found.refused)}, so what they tell is missing: ask for the cluster role view."
        )
    models = ordered(summarize(found, whole=question.name is not None), question.order)
    return _Picture(models, problems, failed=found.answer.failed or bool(found.refused), at=datetime.now(UTC))


def _print(picture: _Picture, question: _Question, form: str) -> None:
    document = {"models": picture.models, "problems": picture.problems}
    if form == "json":
        click.echo(output.as_json(document, sort=False))
    elif form == "yaml":
        click.echo(output.as_yaml(document, sort=False), nl=False)
    else:
        for line in lines(picture.models, picture.at) if picture.models else ():
            click.echo(line, color=access.no_color())
    if form == "table":
        for line in _below(picture, question):
            click.echo(line, err=True)


def _below(picture: _Picture, question: _Question) -> list[str]:
    """What is told beside the table."""
    if not picture.models:
        where = "the cluster" if question.everywhere else "this namespace (-A looks in all)"
        return [f"There is no {naming.KIND} in {where}."]
    return [*picture.problems, *(remarks(picture.models) if question.name else ())]


def _screen(picture: _Picture, question: _Question, console: Console) -> Text:
    """As much of the table as fits on the screen, its lines cut at the edge, and all that is told below it."""
    below = _below(picture, question)
    width, height = console.size
    room = height - 1 - sum(1 + len(line) // width for line in below)
    table = list(lines(picture.models, picture.at)) if picture.models else []
    if len(table) > max(room, 2):
        cut = max(room, 2) - 1
        table = [*table[:cut], f"... and {len(table) - cut} more lines"]
    text = Text("\n").join(_cut(line, width) for line in table)
    return text.append("\n" + "\n".join(below) if below and table else "\n".join(below))


def _cut(line: str, width: int) -> Text:
    text = Text.from_ansi(line)
    text.truncate(width, overflow="ellipsis")
    return text
