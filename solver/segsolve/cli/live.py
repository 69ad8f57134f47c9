"""The table that is kept up to date on a terminal while a pipeline runs."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from segsolve.cli.console import news

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from segsolve_runtime.contract.plan import Plan
    from segsolve_runtime.flow.metrics import Metrics

_PER_SECOND = 4
_RECENT = 8
"""Updates that the throughput of the moment is taken over."""


class LiveView:
    """Makes the table of the moment from a run's metrics."""

    def __init__(
        self,
        plan: Plan,
        metrics: Callable[[], Metrics],
        *,
        total: int | None,
        backend: str,
        devices: Collection[str] = (),
    ) -> None:
        self._devices = devices
        self._plan, self._metrics, self._total, self._backend = plan, metrics, total, backend
        self._begin = time.monotonic()
        self._history: deque[tuple[float, int]] = deque([(self._begin, 0)], maxlen=_RECENT)

    def table(self) -> RenderableType:
        """Return the table of the moment."""
        from rich.console import Group
        from rich.text import Text

        from segsolve.report.live import live_table
        from segsolve_runtime.observe.heat import heat_of

        now, at = self._metrics(), time.monotonic()
        self._history.append((at, now.count))
        since, before = self._history[0]
        elapsed = at - since
        # On a virtual clock, the wall's time says nothing.
        is_virtual = self._backend == "simulated"
        table = live_table(
            self._plan,
            now,
            recent_fps=now.throughput_fps if is_virtual else (now.count - before) / elapsed if elapsed else 0.0,
            running_ns=now.elapsed_ns if is_virtual else int((at - self._begin) * 1e9),
            total=self._total,
            backend=self._backend,
        )
        hot = [f"{heat.device}: {heat}" for device in self._devices if (heat := heat_of(device)) is not None]
        return Group(table, *map(Text, hot)) if hot else table


@contextmanager
def live(view: LiveView, task: str, *, prints: bool) -> Iterator[None]:
    """Keep a view's table up to date on a terminal; elsewhere, or where results are printed, say once what is done."""
    from segsolve.cli.terminal import Terminal

    console = Terminal(stderr=True)
    if prints or not console.is_terminal:
        news(task)
        yield
        return
    with _display(view, console):
        yield


@contextmanager
def _display(view: LiveView, console: Console) -> Iterator[None]:
    from rich.live import Live

    with Live(get_renderable=view.table, console=console, refresh_per_second=_PER_SECOND, transient=True):
        yield
