"""A table that fits the terminal."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from rich import box
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

Cell = str | Text


class Grid:
    """Rows under headers; where there is no room for all columns, the least important ones are left out."""

    def __init__(self, title: str, *columns: str, left: Collection[str] = (), optional: Sequence[str] = ()) -> None:
        """Left-align the first column and those in `left`; leave out those in `optional`, in this order, if need be."""
        self._title, self._columns, self._left, self._optional = title, columns, left, optional
        self._rows: list[Sequence[Cell]] = []

    def add_row(self, *cells: Cell) -> None:
        """Add a row; the last cells may be missing."""
        self._rows.append(cells)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the widest table that fits."""
        unlimited = options.update(max_width=10_000)
        for left_out in range(len(self._optional) + 1):
            table = self._table(self._optional[:left_out])
            if console.measure(table, options=unlimited).maximum <= options.max_width:
                break
        if self._title:
            yield Text(self._title, style="bold")
        yield table

    def _table(self, without: Collection[str]) -> Table:
        table = Table(
            box=box.SIMPLE_HEAD,
            collapse_padding=True,
            pad_edge=False,
        )
        places = [place for place, column in enumerate(self._columns) if column not in without]
        for place in places:
            column = self._columns[place]
            left = place == 0 or column in self._left
            table.add_column(column, justify="left" if left else "right", no_wrap=True)
        for row in self._rows:
            cells = (row[place] for place in places if place < len(row))
            table.add_row(*(cell if isinstance(cell, Text) else Text(cell) for cell in cells))
        return table
