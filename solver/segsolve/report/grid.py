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


class Grid:
    """Rows under headers; where there is no room for all columns, the least important ones are left out."""

    def __init__(
        self,
        title: str,
        *columns: str,
        left: Collection[str] = (),
        optional: Sequence[str] = (),
        text: Collection[str] = (),
    ) -> None:
        """Left-align the first column and those in `left`; leave out those in `optional`, in this order, if need be.

        The columns in `text` are of sentences, whose lines may end between words.
        """
        self._title, self._columns, self._left, self._optional = title, columns, {*left, *text}, optional
        self._text = text
        self._rows: list[Sequence[Cell]] = []

    def add_row(self, *cells: Cell) -> None:
        """Add a row; the last cells may be missing."""
        self._rows.append(cells)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the widest table that fits."""
        unlimited = options.update(max_width=10_000)
        for left_out in range(len(self._optional) + 1):
            short = self._table(self._optional[:left_out], text_width=_LEAST_TEXT)
            if console.measure(short, options=unlimited).maximum <= options.max_width:
                break
        if self._title:
            yield Text(self._title, style="bold")
        yield self._table(self._optional[:left_out])

    def _table(self, without: Collection[str], text_width: int | None = None) -> Table:
        table = Table(
            box=box.SIMPLE_HEAD,
            collapse_padding=True,
            pad_edge=False,
        )
        places = [place for place, column in enumerate(self._columns) if column not in without]
        for place in places:
            column = self._columns[place]
            left = place == 0 or column in self._left
            is_text = column in self._text
            width = text_width if is_text else None
            table.add_column(column, justify="left" if left else "right", no_wrap=not is_text, max_width=width)
        for row in self._rows:
            cells = (row[place] for place in places if place < len(row))
            table.add_row(*(cell if isinstance(cell, Text) else Text(cell) for cell in cells))
        return table
