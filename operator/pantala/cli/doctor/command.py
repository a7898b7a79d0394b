"""`pantala doctor`: whether the cluster can bring weights through Dragonfly, and what to do where it cannot."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict

import click

from pantala.cli import access, options, output
from pantala.cli.doctor import around, holdings, parts, proxied, read, settings
from pantala.cli.doctor.finding import Finding, Severity
from pantala.cli.doctor.seen import Seen

CHECKS: tuple[Callable[[Seen], Iterator[Finding]], ...] = (
    around.rights,
    around.resource,
    around.operator,
    parts.dfdaemons,
    parts.seeds,
    parts.scheduler,
    parts.manager,
    settings.readable,
    settings.socket,
    settings.proxy,
    settings.rate_limit,
    proxied.rules,
    proxied.authority,
    holdings.storage,
    holdings.hard_links,
    holdings.versions,
    holdings.metrics,
    around.pod_security,
    around.clocks,
)
"""All checks, in the order in which they are told."""
BAD = 1
"""Exit code: there are errors."""
_COLOURS = {Severity.OK: "green", Severity.WARNING: "yellow", Severity.ERROR: "red"}
_WORD, _CHECK = 9, 14
_PIPED_WIDTH = 120


def findings(seen: Seen) -> list[Finding]:
    """What all checks say about a cluster."""
    return [finding for check in CHECKS for finding in check(seen)]


@click.command()
@click.option(
    "--dragonfly-namespace",
    metavar="NAME",
    default="dragonfly-system",
    show_default=True,
    help="Where Dragonfly is installed.",
)
@click.option(
    "-n",
    "--namespace",
    "namespaces",
    metavar="NAME",
    multiple=True,
    help="Look at the models of this namespace only; may be given several times. Default: all namespaces.",
)
@click.option("-o", "--output", "form", type=click.Choice(["text", "json", "yaml"]), default="text", show_default=True)
@options.cluster
def doctor(
    dragonfly_namespace: str, namespaces: tuple[str, ...], form: str, kubeconfig: str | None, context: str | None
) -> None:
    """Find out why weights do not come from peers: Dragonfly's parts and settings, and what is around them.

    Looks at dfdaemon on every node, seed peers, scheduler, manager, the socket, the proxy and its limits, storage,
    releases, Pod Security and clocks. Reads only, with your rights; a right that is missing is a finding. docs/doctor.md
    explains every check.

    Exit code: 0 no errors, 1 errors, 2 the command itself failed.
    """
    found = asyncio.run(_run(dragonfly_namespace, namespaces, kubeconfig, context))
    errors, warnings = (sum(one.severity is kind for one in found) for kind in (Severity.ERROR, Severity.WARNING))
    whole = {
        "errors": errors,
        "warnings": warnings,
        "findings": [{**asdict(one), "severity": one.severity.value} for one in found],
    }
    if form == "json":
        click.echo(output.as_json(whole, sort=False))
    elif form == "yaml":
        click.echo(output.as_yaml(whole, sort=False), nl=False)
    else:
        for line in lines(found, _width()):
            click.echo(line, color=access.no_color())
        click.echo(f"{_count(errors, 'error')}, {_count(warnings, 'warning')}")
    sys.exit(BAD if errors else 0)


async def _run(
    dragonfly: str, namespaces: tuple[str, ...], kubeconfig: str | None, context: str | None
) -> list[Finding]:
    async with access.connect(kubeconfig, context) as place:
        return findings(await read.seen(place.client, dragonfly, namespaces))


def lines(found: Iterable[Finding], width: int) -> Iterator[str]:
    """The findings for a person, each with its object and its next step below it."""
    indent = " " * (_WORD + _CHECK)
    for one in found:
        word = click.style(one.severity.value.ljust(_WORD), fg=_COLOURS[one.severity])
        head, *rest = _wrapped(one.message, width - len(indent))
        yield f"{word}{one.check.ljust(_CHECK)}{head}"
        yield from (indent + line for line in rest)
        if one.severity is Severity.OK:
            continue
        if where := ": ".join(part for part in (one.object, one.value) if part):
            yield from (indent + line for line in _wrapped(f"at    {where}", width - len(indent)))
        if one.next:
            yield from (indent + line for line in _wrapped(f"next  {one.next}", width - len(indent)))


def _wrapped(text: str, width: int) -> list[str]:
    """Lines of a text; paths and commands stay whole, so that they can be copied."""
    hang = " " * 6 if text.startswith(("at    ", "next  ")) else ""
    return textwrap.wrap(text, width, subsequent_indent=hang, break_long_words=False, break_on_hyphens=False) or [""]


def _width() -> int:
    """Columns of the terminal; a pipe has none, so it gets as many as most screens have."""
    if not sys.stdout.isatty() and "COLUMNS" not in os.environ:
        return _PIPED_WIDTH
    return max(60, shutil.get_terminal_size().columns)


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"
