"""A table that fits the terminal."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from rich import box
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

Cell = str | Text
_LEAST_TEXT = 56
"""Columns that text has at least before another one is left out."""
_LEAST_NAME = 16
"""Columns that a name has at least before another one is left out."""


class Grid:
    """Rows under headers; where there is no room for all columns, the least important ones are left out."""

    def __init__(
        self,
        title: str,
        *columns: str,
        left: Collection[str] = (),
        optional: Sequence[str] = (),
        text: Collection[str] = (),
        names: Collection[str] = (),
    ) -> None:
        """Left-align the first column and those in `left`; leave out those in `optional`, in this order, if need be.

        The columns in `text` are of sentences, whose lines may end between words; those in `names` are of names, which
        are cut short before a figure is.
        """
        self._title, self._columns, self._left, self._optional = title, columns, {*left, *text, *names}, optional
        self._text, self._names = text, names
        self._rows: list[Sequence[Cell]] = []

    def add_row(self, *cells: Cell) -> None:
        """Add a row; the last cells may be missing."""
        self._rows.append(cells)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the widest table that fits."""
        unlimited = options.update(max_width=10_000)
        for left_out in range(len(self._optional) + 1):
            short = self._table(self._optional[:left_out], is_least=True)
            if console.measure(short, options=unlimited).maximum <= options.max_width:
                break
        if self._title:
            yield Text(self._title, style="bold")
        yield self._table(self._optional[:left_out])

    def _table(self, without: Collection[str], *, is_least: bool = False) -> Table:
        table = Table(box=box.SIMPLE_HEAD, collapse_padding=True, pad_edge=False)
        places = [place for place, column in enumerate(self._columns) if column not in without]
        for place in places:
            column = self._columns[place]
            left = place == 0 or column in self._left
            gives_way = column in self._text or column in self._names
            least = _LEAST_TEXT if column in self._text else _LEAST_NAME
            width = least if is_least and gives_way else None
            table.add_column(column, justify="left" if left else "right", no_wrap=not gives_way, max_width=width)
        for row in self._rows:
            table.add_row(*(self._cell(self._columns[place], row[place]) for place in places if place < len(row)))
        return table

    def _cell(self, column: str, cell: Cell) -> Text:
        text = cell if isinstance(cell, Text) else Text(cell)
        if column in self._names:
            text.no_wrap, text.overflow = True, "ellipsis"
        return text
