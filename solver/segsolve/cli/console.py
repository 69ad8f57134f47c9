"""Where results and news go."""

from __future__ import annotations

import csv
import io
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import StringIO
from typing import TYPE_CHECKING, Any, TextIO

from segsolve.errors import OutputError
from segsolve_runtime.contract.document import jsonable
from segsolve_runtime.contract.wording import hanging
from segsolve_runtime.streams import say, visible, write_line

if TYPE_CHECKING:
    from rich.console import RenderableType

    from segsolve.solvers.base import Observer, Progress

_PIPE_WIDTH = 100  # so that what a pipe gets does not depend on a terminal
_LOG_EVERY_S = 5.0
_SPINNER = 2  # columns before what is told


def show(result: RenderableType) -> None:
    """Print a result on stdout; plain and 100 columns wide when that is no terminal."""
    from segsolve.cli.terminal import Terminal

    console = Terminal()
    if console.is_terminal:
        console.print(result)
        return
    text = StringIO()
    Terminal(file=text, width=_PIPE_WIDTH).print(result)
    show_text("\n".join(line.rstrip() for line in text.getvalue().splitlines()))


def is_terminal() -> bool:
    """Whether results go to a terminal."""
    from rich.console import Console

    return Console().is_terminal


def show_json(document: Any) -> None:
    """Print a value on stdout as one JSON document."""
    show_text(json.dumps(jsonable(document), indent=2, allow_nan=False))


def show_csv(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print rows that share their columns as comma-separated values on stdout, with a header."""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    _write(sys.stdout, text.getvalue().rstrip("\n"))


def show_text(text: str) -> None:
    """Print lines on stdout.

    Raises:
        OutputError: they cannot be written there.
    """
    result_lines()(text)


def result_lines() -> Callable[[str], None]:
    """Return what prints a line on stdout as it is now: a live display on stderr takes the name over while it runs.

    What it returns raises an OutputError as `show_text` does.
    """
    stream = sys.stdout

    return lambda text: _write(stream, visible(text))


def _write(stream: TextIO, text: str) -> None:
    try:
        write_line(stream, text)
    except OSError as error:
        raise OutputError(f"the standard output cannot be written: {error.strerror}") from None


def show_sentence(text: str) -> None:
    """Print a sentence on stdout; on a terminal, its lines end between words."""
    show_text(_between_words(text, stdout_width()))


def stdout_width() -> int | None:
    """Return the columns of the terminal that stdout is; None if it is none."""
    return _width(sys.stdout)


def news(text: str) -> None:
    """Print a line of news on stderr, if that can be written; on a terminal, its lines end between words."""
    say(_between_words(text, _width(sys.stderr)))


@contextmanager
def progress(task: str) -> Iterator[Observer]:
    """Tell on stderr what is going on: a line that is kept up to date on a terminal, a log elsewhere."""
    from rich.text import Text

    from segsolve.cli.terminal import Terminal

    console = Terminal(stderr=True)
    if not console.is_terminal:
        news(task)
        yield _log(task)
        return
    room = console.width - _SPINNER
    with console.status(Text(fitted(task, "", room))) as status:
        yield lambda event: status.update(Text(fitted(task, f": {_describe(event)}", room)))


def fitted(task: str, told: str, room: int) -> str:
    """Return a line of at most so many characters: one that is wrapped is not taken back, but left above the next."""
    kept = max(1, room - len(told))
    return (task if len(task) <= kept else f"{task[: kept - 1]}…") + told


def _width(stream: TextIO) -> int | None:
    if (said := os.environ.get("COLUMNS", "")).isdecimal() and stream.isatty():
        return int(said) or None
    try:
        return os.get_terminal_size(stream.fileno()).columns or None
    except (OSError, ValueError):  # no terminal, or closed
        return None


def _between_words(text: str, width: int | None) -> str:
    return "\n".join(hanging("", line, width) for line in text.splitlines())


def _log(task: str) -> Observer:
    due = 0.0

    def observe(event: Progress) -> None:
        nonlocal due
        if time.monotonic() >= due:
            due = time.monotonic() + _LOG_EVERY_S
            news(f"{task}: {_describe(event)}")

    return observe


def _describe(event: Progress) -> str:
    from segsolve.report.units import ms

    if event.objective_ns is None:  # the bound may be that there is no plan
        return f"no plan yet, {event.wall_s:.1f} s"
    bound = f", bound {ms(event.bound_ns)} ms" if event.bound_ns > 0 else ""  # 0 says nothing yet
    return f"best {ms(event.objective_ns)} ms{bound}, {event.wall_s:.1f} s"
