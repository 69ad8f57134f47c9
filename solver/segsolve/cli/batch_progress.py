"""A batch's progress on stderr: a bar with the time left on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from segsolve.cli.console import news

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID

    from segsolve.batch.run import News, Observer

_EVERY_S = 10.0


@contextmanager
def batch_progress() -> Iterator[Observer]:
    """Show a batch's news while it runs."""
    from segsolve.cli.terminal import Terminal

    console = Terminal(stderr=True)
    if not console.is_terminal:
        yield _Lines()
        return
    with _bars(console) as bars:
        yield _Bars(bars)


def _bars(console: Console) -> Progress:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[left]}"),
        TextColumn("{task.fields[latest]}"),
    )
    return Progress(*columns, console=console, transient=True)


class _Bars:
    """One bar per phase."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._tasks: dict[str, TaskID] = {}
        self._left: dict[str, TimeLeft] = {}

    def __call__(self, event: News) -> None:
        from segsolve.report.batch import duration, failures

        if event.task not in self._tasks:
            self._tasks[event.task] = self._bars.add_task(
                "", total=event.total, completed=event.before, latest="", left=""
            )
            self._left[event.task] = TimeLeft(time.monotonic())
        left = self._left[event.task](event, time.monotonic())
        self._bars.update(
            self._tasks[event.task],
            description=f"{event.task}{failures(event)}",
            completed=event.done,
            total=event.total,
            latest=event.latest,
            left="" if left is None else f"{duration(left)} left",
        )


class _Lines:
    """A line per phase at most every ten seconds, and one at its end."""

    def __init__(self) -> None:
        self._task = ""
        self._said = 0.0
        self._left = TimeLeft(0.0)

    def __call__(self, event: News) -> None:
        from segsolve.report.batch import progress_line

        now = time.monotonic()
        if event.task != self._task:
            self._task, self._said, self._left = event.task, now, TimeLeft(now)
            if event.before:
                news(f"{event.before} of {event.total} jobs were done before")
        due = now - self._said >= _EVERY_S or event.done == event.total
        if event.done == event.before or not due:
            return
        self._said = now
        news(progress_line(event, self._left(event, now)))


class TimeLeft:
    """Estimates the seconds left from the jobs done so far; never more than it said before."""

    def __init__(self, began: float) -> None:
        self._began, self._least = began, float("inf")

    def __call__(self, event: News, now: float) -> float | None:
        """Return the seconds left at a time; None before the first job and after the last."""
        fresh = event.done - event.before
        if not fresh or event.done >= event.total:
            return None
        self._least = min(self._least, (now - self._began) / fresh * (event.total - event.done))
        return self._least
