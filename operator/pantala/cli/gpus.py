"""`pantala gpus`: what each node offers of cards, and what is taken."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, get_args

import click
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from pantala.accelerators import notes
from pantala.accelerators.inventory import rows, totals
from pantala.accelerators.notes import Note
from pantala.accelerators.rows import Row, Total
from pantala.api.accelerator import Provider
from pantala.cli import accelerators, access, inventory, options, output
from pantala.cli.failures import ERROR, Failure
from pantala.manifest.settings import AcceleratorSettings

_PIPED_WIDTH = 160
_NONE = (
    "No node offers cards. Install what hands them out: NVIDIA's device plugin or GPU Operator for whole cards, time slices,"
    " MPS and MIG, HAMi or Volcano for shares with limits, or a driver of DynamicResourceAllocation; docs/accelerators.md"
    " compares them."
)


@click.command()
@click.option("--provider", type=click.Choice(get_args(Provider)), help="What this one offers. Default: all.")
@click.option("--node", metavar="NAME", help="This node. Default: all.")
@click.option(
    "-o",
    "--output",
    "form",
    type=click.Choice(["table", "wide", "json", "yaml"]),
    default="table",
    show_default=True,
    help="wide: also single cards, and who takes what. The fields of json and yaml are in docs/cli.md.",
)
@accelerators.names
@options.cluster
def gpus(
    provider: str | None,
    node: str | None,
    form: str,
    names: AcceleratorSettings,
    kubeconfig: str | None,
    context: str | None,
) -> None:
    """Show what each node offers of cards and shares of cards, what is taken, and what is left.

    By provider and resource, in the provider's unit. What is taken is what pods on the node request, or what the schedulers of
    HAMi and Volcano wrote on them, or what ResourceClaims were given. FREE ON ONE is the most that is left on a single card: a
    share is not put together from two.

    Reads only: nodes, pods and, where the cluster has DynamicResourceAllocation, ResourceSlices and ResourceClaims.

    Exit code: 0 done, 2 error, also if a right is missing and figures with it.
    """
    found = asyncio.run(_read(node, kubeconfig, context, dynamic=provider in {None, "dra"}))
    if "nodes" in found.refused:
        raise Failure(_refused(found))
    if node and not found.nodes:
        raise Failure(f"There is no node {node}. `kubectl get nodes` lists those that there are.")
    every = rows(found.nodes, found.pods, found.devices, names)
    told = notes.of_nodes(found.nodes, every, found.pods or (), found.devices)
    listed = [row for row in every if provider in {None, row.provider}]
    if provider:
        here = {row.node for row in listed}
        told = [note for note in told if note.node in here]
    sums = totals(listed, frozenset(item["metadata"]["name"] for item in found.nodes if notes.takes_no_pods(item)))
    _print(form, listed, sums, told, found.refused)
    if not listed and form in {"table", "wide"}:
        click.echo(_nothing(provider, node), err=True)
    if found.refused:
        click.echo(_refused(found), err=True)
        sys.exit(ERROR)


async def _read(node: str | None, kubeconfig: str | None, context: str | None, *, dynamic: bool) -> inventory.Found:
    async with access.connect(kubeconfig, context) as place:
        return await inventory.read(place.client, node, dynamic=dynamic)


def _refused(found: inventory.Found) -> str:
    remedy = f"An administrator allows it: {found.remedy}" if found.remedy else "Ask an administrator for that right."
    return f"You may not list {' and '.join(found.refused)} of the cluster, so what they tell is not counted. {remedy}"


def _nothing(provider: str | None, node: str | None) -> str:
    if node:
        return f"Node {node} offers no cards{f' of {provider}' if provider else ''}."
    return f"No node offers cards of {provider}. Without --provider all are listed." if provider else _NONE


def _print(
    form: str, listed: Sequence[Row], sums: Sequence[Total], told: Sequence[Note], refused: Sequence[str]
) -> None:
    if form == "json":
        click.echo(output.as_json(document(listed, sums, told, refused), sort=False))
    elif form == "yaml":
        click.echo(output.as_yaml(document(listed, sums, told, refused), sort=False), nl=False)
    elif listed or told:
        console = Console()
        if not console.is_terminal and "COLUMNS" not in os.environ:
            console = Console(width=_PIPED_WIDTH)
        console.print(page(listed, sums, told, wide=form == "wide"), highlight=False)


def document(
    listed: Iterable[Row], sums: Iterable[Total], told: Iterable[Note], refused: Iterable[str]
) -> dict[str, Any]:
    """The figures as data; its form is documented in docs/cli.md and stable."""
    return {
        "resources": [_row_document(row) for row in listed],
        "totals": [
            {
                "provider": one.provider,
                "resource": one.resource,
                "unit": one.unit,
                "nodes": one.nodes,
                "total": one.total,
                "taken": one.taken,
                "free": one.free,
                "freeOnClosedNodes": one.closed,
            }
            for one in sums
        ],
        "notes": [{"text": text, "nodes": names} for text, names in _grouped(told)],
        "refused": list(refused),
    }


def _row_document(row: Row) -> dict[str, Any]:
    return {
        "node": row.node or None,
        "provider": row.provider,
        "resource": row.resource,
        "card": row.card or None,
        "unit": row.unit,
        "total": row.total,
        "taken": row.taken,
        "free": row.free,
        "freeOnOneCard": row.free_on_one,
        "cards": [
            {"name": card.name, "total": card.total, "taken": card.taken, "free": card.free} for card in row.cards
        ],
        "pods": [{"pod": holder.pod, "amount": holder.amount} for holder in row.holders],
    }


def page(listed: Sequence[Row], sums: Iterable[Total], told: Iterable[Note], *, wide: bool) -> RenderableType:
    """The figures for a person: a line for each row, the sums, and what else there is to know."""
    parts: list[RenderableType] = []
    if listed:
        parts += [_table(listed, wide=wide), Text(), _sums(sums)]
    lines = [Text(f"{notes.some(names)}: {text}") for text, names in _grouped(told)]
    if lines:
        parts += [Text(), Text("NOTES", style="bold"), *(Padding(line, (0, 0, 0, 2)) for line in lines)]
    return Group(*parts)


def _table(listed: Sequence[Row], *, wide: bool) -> Table:
    found = _columns(("NODE", "PROVIDER", "RESOURCE", "CARD"), "UNIT")
    on_one = any(row.free_on_one is not None for row in listed)
    if on_one:
        found.add_column("FREE ON ONE", justify="right")
    if wide:
        found.add_column("PODS", ratio=1, overflow="fold")
    for row in listed:
        # A terminal shows which lines are free at a glance.
        style = "dim" if row.free == 0 else ""
        cells = [row.node or "(several)", row.provider, row.resource, row.card]
        cells += [*_figures(row.total, row.taken, row.free), row.unit]
        cells += [_figure(row.free_on_one, "")] if on_one else []
        cells += [", ".join(f"{holder.pod} {holder.amount}" for holder in row.holders)] if wide else []
        found.add_row(*map(Text, cells), style=style)
        for card in row.cards if wide else ():
            figures = _figures(card.total, card.taken, card.free)
            found.add_row("", "", "", Text(f"  {card.name}"), *map(Text, figures), Text(row.unit), style="dim")
    return found


def _sums(sums: Iterable[Total]) -> Table:
    found = _columns(("ALL NODES", "RESOURCE", "NODES"), "UNIT")
    found.add_column("", overflow="fold")
    for one in sums:
        closed = f"{one.closed} of the free ones on nodes that take no new pods" if one.closed else ""
        cells = [
            one.provider,
            one.resource,
            str(one.nodes),
            *_figures(one.total, one.taken, one.free),
            one.unit,
            closed,
        ]
        found.add_row(*map(Text, cells))
    return found


def _columns(first: Iterable[str], last: str) -> Table:
    found = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for title in first:
        found.add_column(title, overflow="fold")
    for title in ("TOTAL", "TAKEN", "FREE"):
        found.add_column(title, justify="right", no_wrap=True)
    found.add_column(last, no_wrap=True)
    return found


def _figures(*amounts: int | None) -> list[str]:
    return [_figure(amount) for amount in amounts]


def _figure(amount: int | None, unknown: str = "?") -> str:
    return unknown if amount is None else str(amount)


def _grouped(told: Iterable[Note]) -> Iterator[tuple[str, list[str]]]:
    """Each text once, with its nodes, in the order of the nodes."""
    groups: dict[str, list[str]] = {}
    for note in told:
        groups.setdefault(note.text, []).append(note.node or "(several)")
    yield from groups.items()
