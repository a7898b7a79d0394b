"""Tables of text whose cells are never cut or wrapped, so that names stay whole."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from itertools import zip_longest

import click


def aligned(found: Sequence[Sequence[str]], right: Collection[int]) -> Iterator[str]:
    """Columns two blanks apart, those of figures to the right, the first line bold.

    Args:
        found: The cells of each line; the first line is the head. A line may end early.
        right: Numbers of the columns of figures.
    """
    widths = [max(map(len, column)) for column in zip_longest(*found, fillvalue="")]
    for number, cells in enumerate(found):
        line = "  ".join(
            cell.rjust(width) if index in right else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(cells, widths, strict=False))
        ).rstrip()
        yield line if number else click.style(line, bold=True)
