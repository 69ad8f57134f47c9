"""Where results and news go."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import RenderableType

    from segsolve.planners.base import Observer, Progress

_PIPE_WIDTH = 100  # so that what a pipe gets does not depend on a terminal


def show(result: RenderableType) -> None:
    """Print a result on stdout; plain and 100 columns wide when that is no terminal."""
    from rich.console import Console

    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=_PIPE_WIDTH)
    console.print(result)


def show_json(document: Mapping[str, Any]) -> None:
    """Print one JSON document on stdout."""
    sys.stdout.write(json.dumps(document, indent=2) + "\n")


def news(text: str) -> None:
    """Print a line of news on stderr."""
    sys.stderr.write(text + "\n")


@contextmanager
def progress(task: str) -> Iterator[Observer]:
    """Show a running search on stderr while it runs, if that is a terminal."""
    from rich.console import Console

    console = Console(stderr=True, highlight=False)
    if not console.is_terminal:
        yield lambda _: None
        return
    with console.status(task) as status:
        yield lambda event: status.update(f"{task}: {_describe(event)}")


def _describe(event: Progress) -> str:
    from segsolve.report.units import ms

    best = f"{ms(event.objective_ns)} ms" if event.objective_ns is not None else "none yet"
    return f"best {best}, bound {ms(event.bound_ns)} ms, {event.wall_s:.1f} s"
