"""Looking again and again until Ctrl-C: drawn in place on a screen, printed anew after each change in a pipe."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from typing import TypeVar

import click
from rich.console import RenderableType
from rich.live import Live

from pantala.errors import Unavailable

T = TypeVar("T")


async def follow(
    look: Callable[[], Awaitable[T]],
    live: Live | None,
    draw: Callable[[T], RenderableType],
    show: Callable[[T], None],
    steady: Callable[[T], object],
    seconds: float,
) -> None:
    """Look until cancelled.

    Args:
        look: Finds out how things are.
        live: The screen; None prints.
        draw: What is seen on the screen.
        show: Prints.
        steady: What is found without what changes by itself: only another one is printed.
        seconds: Time between two looks.

    Raises:
        Unavailable: The API server does not answer the first look; later it is asked again.
    """
    before: T | None = None
    with live or nullcontext():
        while True:
            try:
                found = await look()
            except Unavailable as error:
                if before is None:
                    raise
                # On call one watches exactly while things break: the last picture stays, and it is tried again.
                click.echo(f"{error}. Trying again.", err=True)
            else:
                if live is not None:
                    live.update(draw(found), refresh=True)
                elif before is None or steady(found) != steady(before):
                    show(found)
                before = found
            await asyncio.sleep(seconds)
