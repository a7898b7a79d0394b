"""What a person sees of the demo: numbered steps, each with its time."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.syntax import Syntax

console = Console(highlight=False)
_begun = time.monotonic()
_count = 0


@contextmanager
def step(title: str) -> Iterator[None]:
    """One step of the demo: its title before, its time after."""
    global _count  # noqa: PLW0603 -- a counter for the reader's eye
    _count += 1
    console.print(f"\n[bold cyan]{_count}[/]  [bold]{title}[/]")
    begun = time.monotonic()
    yield
    console.print(f"   [dim]{time.monotonic() - begun:.1f} s[/]")


def command(text: str) -> None:
    """A command as a person would type it."""
    console.print(f"   [green]$[/] {text}", soft_wrap=True)


def output(text: str) -> None:
    """What a command printed."""
    for line in text.rstrip().splitlines():
        console.print(f"   {line}", markup=False, soft_wrap=True)


def manifest(text: str) -> None:
    """A resource in colour."""
    console.print(Syntax(text.rstrip(), "yaml", background_color="default", word_wrap=True))


def failed(message: str) -> None:
    """Why it went no further."""
    console.print(f"\n[bold red]The demo stopped:[/] {message}", soft_wrap=True)


def finished(lines: list[str]) -> None:
    """What to try next."""
    console.print(f"\n[bold green]Done[/] after {time.monotonic() - _begun:.0f} s. Try:\n")
    for line in lines:
        console.print(f"   {line}", markup=False, soft_wrap=True)
