"""`pantala gpus`: what each node offers of cards, and what is taken."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, get_args

import click

from pantala.accelerators import notes
from pantala.accelerators.inventory import rows, totals
from pantala.accelerators.notes import Note
from pantala.accelerators.rows import Row, Total
from pantala.api.accelerator import Provider
from pantala.cli import accelerators, access, inventory, options, output
from pantala.cli.columns import aligned
from pantala.cli.failures import ERROR, Failure
from pantala.manifest.settings import AcceleratorSettings
from pantala.manifest.words import some

_SEVERAL = "(several)"
"""In place of a node: devices that several can reach."""
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
    HAMi and Volcano wrote on them, or what ResourceClaims were given. ON ONE is the most that is left on a single card: a
    share is not put together from two.

    Reads only: nodes, pods and, where the cluster has DynamicResourceAllocation, ResourceSlices and ResourceClaims.

    Exit code: 0 done, 2 error, also if a right is missing and figures with it.
    """
    found = asyncio.run(_read(node, kubeconfig, context, dynamic=provider in {None, "dra"}))
    if "nodes" in found.refused:
        raise Failure(_refused(found))
    if node and not found.nodes:
        raise Failure(f"There is no node {node}. `kubectl get nodes` lists those that there are.")
    every = rows(found.nodes, found.pods, found.devices or (), names)
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
    return f"You may not list {', '.join(found.refused)} of the cluster, so what they tell is not counted. {remedy}"


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
    else:
        for line in lines(listed, sums, told, wide=form == "wide"):
            click.echo(line, color=access.no_color())


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


def lines(listed: Sequence[Row], sums: Sequence[Total], told: Sequence[Note], *, wide: bool) -> Iterator[str]:
    """The figures for a person: a line for each row, the sums, and what else there is to know.

    No line is fitted to a width: names must be whole to be searched and copied.
    """
    if listed:
        yield from _table(listed, wide=wide)
        yield ""
        yield from _sums(sums)
    if told:
        yield from (["", click.style("NOTES", bold=True)] if listed else ())
        yield from (f"{some(names, notes.SOME)}: {text}" for text, names in _grouped(told))


def _table(listed: Sequence[Row], *, wide: bool) -> Iterator[str]:
    head = ["NODE", "PROVIDER", "RESOURCE", "CARD", "TOTAL", "TAKEN", "FREE", "ON ONE", "UNIT"]
    found = [head + (["PODS"] if wide else [])]
    for row in listed:
        cells = [row.node or _SEVERAL, row.provider, row.resource, row.card]
        cells += [*map(_figure, (row.total, row.taken, row.free)), _figure(row.free_on_one, ""), row.unit]
        found.append(cells + ([", ".join(f"{one.pod} {one.amount}" for one in row.holders)] if wide else []))
        found += [
            ["", "", "", f"  {card.name}", *map(str, (card.total, card.taken, card.free)), "", row.unit]
            for card in (row.cards if wide else ())
        ]
    return aligned(found, range(4, 8))


def _sums(sums: Iterable[Total]) -> Iterator[str]:
    found = [["ALL NODES", "RESOURCE", "NODES", "TOTAL", "TAKEN", "FREE", "UNIT"]]
    for one in sums:
        figures = map(_figure, (one.nodes, one.total, one.taken, one.free))
        closed = f"{one.closed} of the free are on nodes that take no new pods" if one.closed else ""
        found.append([one.provider, one.resource, *figures, one.unit, closed])
    return aligned(found, range(2, 6))


def _figure(amount: int | None, unknown: str = "?") -> str:
    return unknown if amount is None else str(amount)


def _grouped(told: Iterable[Note]) -> Iterator[tuple[str, list[str]]]:
    """Each text once, with its nodes, in the order of the nodes."""
    groups: dict[str, list[str]] = {}
    for note in told:
        groups.setdefault(note.text, []).append(note.node or _SEVERAL)
    yield from groups.items()
