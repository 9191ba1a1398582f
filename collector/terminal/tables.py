"""Columns of a terminal, as wide as their longest value; nothing is cut off or wrapped."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from collector.terminal.lines import shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

NUMERIC = set("0123456789.,-+%")


def table(names: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[Text]:
    """Give the lines of a table; a column that has only numbers, or ``-``, is set to the right."""
    safe = [[shown(cell) for cell in row] for row in rows]
    columns = list(zip(names, *safe, strict=True))
    widths = [max(map(len, column)) for column in columns]
    right = [all(NUMERIC.issuperset(cell) for cell in column[1:]) for column in columns]

    def line(cells: Sequence[str]) -> str:
        placed = (
            cell.rjust(width) if numeric else cell.ljust(width)
            for cell, width, numeric in zip(cells, widths, right, strict=True)
        )
        return "  ".join(placed).rstrip()

    yield Text(line(names), style="bold")
    for row in safe:
        yield Text(line(row))
