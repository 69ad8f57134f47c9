"""Layouts side by side: a table for the terminal, documents for JSON, rows for CSV."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from segsolve.batch.jobs import LAYOUTS
from segsolve.comparison import Comparison
from segsolve.cost.plan import Score
from segsolve.device.ranges import Ranges
from segsolve.report.answer import pipelines_document
from segsolve.report.documents import Document, compare_document, compare_rows
from segsolve.report.grid import Cell, Grid
from segsolve.report.ranges import period_range, range_document, ties_sentence
from segsolve.report.table import GOOD, SPILL, limits_sentence, over_cell, over_header, period_cell
from segsolve.report.units import bar, count, fps, mib, ms, times
from segsolve.search.simple_layouts import Layout, Layouts
from segsolve.solvers.base import Status, Stop
from segsolve_runtime.contract.document import jsonable, members
from segsolve_runtime.contract.wording import percent

_MOST_BARS = 16
_PLANNER = "layout"
"""Stands for a planner in the rows of layouts made by rule."""


def layouts_table(comparison: Comparison, layouts: Layouts, batch: int, ranges: Ranges = ()) -> RenderableType:
    """Return one row per layout; bars show the share of each stage in its pipeline, red where weights spill."""
    batch_column = f"batch {batch}\nms"
    table = Grid(
        f"Layouts of {count(layouts.problem.tpus, 'TPU')}: pipelines that share one stream of inferences",
        *("layout", "stages", "per inference\nms", "fps", "latency\nms", batch_column, "off chip\nMiB"),
        *("vs\n1 TPU", "vs\ncompiler", over_header(layouts.answer.status)),
        left=("stages",),
        optional=(batch_column, "vs\n1 TPU", "stages", "off chip\nMiB", "vs\ncompiler", "latency\nms", "fps"),
    )
    for layout in layouts.all:
        table.add_row(*_cells(comparison, layouts, layout, batch))
    return Group(Text(""), table, *map(Text, _verdict(layouts, ranges)))


def with_layouts(
    comparisons: Sequence[Comparison], layouts: Sequence[Layouts | None], batch: int, ranges: Ranges = ()
) -> Document:
    """Return the document of all strategies, with the layouts of each number of TPUs."""
    found = [_document(beside, layout, batch, ranges) for beside in layouts if beside for layout in beside.all]
    return compare_document(comparisons, batch, ranges) | {"layouts": found}


def rows_with_layouts(
    comparisons: Sequence[Comparison], layouts: Sequence[Layouts | None], batch: int, ranges: Ranges = ()
) -> list[Document]:
    """Return a flat row per strategy and then per layout; " | " parts the times of the stages of two pipelines."""
    strategies = [row | {"layout": _size(row)} for row in compare_rows(comparisons, batch, ranges)]
    columns = dict.fromkeys(strategies[0])
    model = comparisons[0].problem.name
    found = [
        _row(beside, layout, comparison, batch, ranges) | {"model": model}
        for beside, comparison in zip(layouts, comparisons, strict=True)
        if beside
        for layout in beside.all
    ]
    rows = strategies + [columns | {name: row[name] for name in row if name in columns} for row in found]
    return [row | {"confirmed_by": ", ".join(each["by"] for each in jsonable(row["confirmed_by"]))} for row in rows]


def _size(row: Document) -> str | None:
    return str(len(row["stage_ns"].split())) if row["stage_ns"] else None


def _cells(comparison: Comparison, layouts: Layouts, layout: Layout, batch: int) -> tuple[Cell, ...]:
    score, over = layout.score, layouts.over_bound(layout)
    return (
        Text(_name(layouts, layout), style="bold" if layout is layouts.best else ""),
        _bars(layout),
        period_cell(score),
        fps(score.throughput_fps),
        ms(score.latency_ns),
        ms(score.batch_ns(batch)),
        Text(mib(score.offchip_bytes), style=SPILL if score.offchip_bytes else ""),
        times(_gain(comparison.one_tpu, layout)),
        times(_gain(comparison.vendor, layout)),
        over_cell(None if over is None else float(over)),
    )


def _name(layouts: Layouts, layout: Layout) -> str:
    """Return what a layout is called: one of the same form as the best, but cut by rule, is of the execution order."""
    best, name = layouts.best, layout.plan.layout
    return name if best is None or layout is best or name != best.plan.layout else f"{name} (chain)"


def _gain(slow: Score | None, layout: Layout) -> float | None:
    return float(slow.period_ns / layout.value) if slow and slow.period_ns else None


def _bars(layout: Layout) -> Text:
    if sum(len(pipeline.stages) for pipeline in layout.plan.pipelines) > _MOST_BARS:
        return Text(count(len(layout.plan.pipelines), "pipeline"))
    found = []
    for pipeline, score in zip(layout.plan.pipelines, layout.score.pipelines, strict=True):
        slowest = max(score.bottleneck_ns, 1)
        shares = (
            (cost, cost.time_ns / stage.replicas / slowest)
            for stage, cost in zip(pipeline.stages, score.stages, strict=True)
        )
        found.append(Text("").join(Text(bar(share), style=SPILL if c.spilled_ops else GOOD) for c, share in shares))
    return Text(" ").join(found)


def _verdict(layouts: Layouts, ranges: Ranges) -> Iterable[str]:
    answer = layouts.answer
    if layouts.best is None:
        yield f"There is no layout to show ({answer.proof or answer.note or answer.stopped_by})."
        return
    yield from limits_sentence(layout.score for layout in layouts.all)
    name = layouts.best.plan.layout
    if answer.status is Status.OPTIMAL:
        yield f"Layout {name} is proven optimal ({answer.proof})."
    else:
        yield f"Layout {name} is not proven optimal: the gap is at most {percent(answer.gap or 0.0)}."
    found = {_name(layouts, layout): period_range(ranges, layout.score) for layout in layouts.all}
    yield from ties_sentence(name, layouts.best.score.period_ns, found)


def _document(layouts: Layouts, layout: Layout, batch: int, ranges: Ranges) -> Document:
    answer, score = layout.answer, layout.score
    best = period_range(ranges, layouts.best.score) if layouts.best else None
    return {
        "tpus": layouts.problem.tpus,
        "tpus_used": layout.plan.tpus,
        **members(layout.plan, "layout"),
        "status": answer.status if answer else Status.FEASIBLE,
        "objective_ns": score.period_ns,
        "bound_ns": layouts.answer.bound_ns,
        **members(answer, "proof"),
        "found_by": answer.found_by if answer else _PLANNER,
        "confirmed_by": answer.confirmed_by if answer else (),
        "throughput_fps": score.throughput_fps,
        **range_document(period_range(ranges, score), best),
        "latency_ns": score.latency_ns,
        "batch_ns": score.batch_ns(batch),
        "offchip_bytes": score.offchip_bytes,
        **members(score, "limited_by"),
        "pipelines": pipelines_document(layouts.problem, layout.plan, score),
    }


def _row(layouts: Layouts, layout: Layout, comparison: Comparison, batch: int, ranges: Ranges) -> Document:
    document = _document(layouts, layout, batch, ranges)
    stages = [" ".join(str(s["time_ns"]) for s in pipeline["stages"]) for pipeline in document["pipelines"]]
    found, over = layout.answer, layouts.over_bound(layout)
    return document | {
        "planner": LAYOUTS if found else _PLANNER,
        "gap": 1.0 if over is None else float(over / (1 + over)),
        "stopped_by": found.stopped_by if found else Stop.FINISHED,
        **members(found, "wall_s"),
        "speedup_over_one_tpu": _gain(comparison.one_tpu, layout),
        "speedup_over_compiler": _gain(comparison.vendor, layout),
        "stage_ns": " | ".join(stages),
        "limited_by": " and ".join(layout.score.limited_by),
    }
