"""A batch on the terminal: how far it is, and what came out."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from segsolve.batch.jobs import LAYOUTS
from segsolve.batch.run import News
from segsolve.batch.summary import REFERENCE, Extreme, Failure, Pooled, Summary
from segsolve.question import Objective
from segsolve.report.grid import Grid
from segsolve.report.table import GOOD, SPILL
from segsolve.report.units import fps, ms, or_dash, times
from segsolve_runtime.contract.wording import percent

_NAME_WIDTH = 20
_PLAIN = Objective.THROUGHPUT.value
_WHOSE = {REFERENCE: f"the best pipeline ({REFERENCE})", LAYOUTS: "the best layout"}


def summary_table(summary: Summary) -> RenderableType:
    """Return the best pipelines and layouts against the others per TPU count, and what failed."""
    tables = sorted({(row.asked, row.device, row.reference) for row in summary.versus})
    parts: list[RenderableType] = [_versus(summary, *table) for table in tables]
    parts += [_pooled(summary.pools)] if summary.pools else []
    parts += map(_failure, summary.failures)
    counts = ", ".join(f"{count} {outcome}" for outcome, count in summary.outcomes.items() if count)
    return Group(*parts, Text(f"{_jobs(summary.jobs)}: {counts}."))


def progress_line(news: News, seconds_left: float | None) -> str:
    """Return a line for where there is no terminal."""
    left = f", about {duration(seconds_left)} left" if seconds_left is not None else ""
    return f"{news.task}: {news.done} of {news.total}{failures(news)}{left}"


def failures(news: News) -> str:
    """Return how many jobs failed, if any did."""
    return f", {news.failed} failed" if news.failed else ""


def duration(seconds: float) -> str:
    """Return a time as people say it."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _versus(summary: Summary, asked: str, device: str, reference: str) -> Grid:
    what = f"{device}: how many times faster" if asked == _PLAIN else f"{device}, {asked}: how many times better"
    table = Grid(
        f"{what} {_WHOSE[reference]} is (predicted)",
        *("TPUs", "over", "models", "geometric\nmean", "best", "worst", "losses"),
        left=("over", "losses"),
        names=("best", "worst"),
        optional=("models",),
    )
    shown = 0
    for row in (row for row in summary.versus if (row.asked, row.device, row.reference) == (asked, device, reference)):
        table.add_row(
            str(row.tpus) if row.tpus != shown else "",
            row.baseline,
            str(row.models),
            times(row.geometric_mean),
            _extreme(row.best),
            _extreme(row.worst),
            _losses(row.losses),
        )
        shown = row.tpus
    return table


def _pooled(rows: Sequence[Pooled]) -> Grid:
    soon = any(row.objective == Objective.LATENCY for row in rows)
    table = Grid(
        "Workloads on pools: periods per second, and how much better a plan might be (predicted)",
        *("workload", "pool", "per second", "of wanted", "of simple", "worst ms", "open"),
        left=("pool",),
        optional=("of simple", "of wanted", "worst ms") if soon else ("worst ms", "of wanted", "of simple"),
    )
    for row in rows:
        if row.scale_fps is None:
            table.add_row(row.workload, row.pool, Text(row.outcome, style=SPILL))
            continue
        table.add_row(
            row.workload,
            row.pool,
            fps(row.scale_fps),
            times(row.over_wanted),
            times(row.over_simple),
            or_dash(ms, row.latency_ns),
            Text("proven", style=GOOD) if row.is_optimal else percent(row.gap or 0),
        )
    return table


def _extreme(extreme: Extreme) -> str:
    name = extreme.model if len(extreme.model) <= _NAME_WIDTH else extreme.model[: _NAME_WIDTH - 3] + "..."
    return f"{times(extreme.speedup)} {name}"


def _losses(models: tuple[str, ...]) -> Text:
    if not models:
        return Text("none", style=GOOD)
    shown = "" if len(models) > 1 else f": {models[0]}"
    return Text(f"{len(models)}{shown}", style=SPILL)


def _failure(failure: Failure) -> Text:
    """Say what failed and why; long reasons wrap."""
    return Text(f"{failure.model} ({_jobs(failure.jobs)}), {failure.kind}: {failure.message}", style=SPILL)


def _jobs(count: int) -> str:
    return "1 job" if count == 1 else f"{count} jobs"
