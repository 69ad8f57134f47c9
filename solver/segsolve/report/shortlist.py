"""The plans of ``solve --within`` as a table and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from segsolve.problem import Problem
from segsolve.report.grid import Grid
from segsolve.report.tune import cuts_text, plan_ranges
from segsolve.report.units import count, fps, ms
from segsolve.search.shortlist import Listed
from segsolve_runtime.contract.document import members
from segsolve_runtime.contract.wording import percent


def shortlist_document(problem: Problem, listed: Sequence[Listed], share: Fraction) -> dict[str, Any]:
    """Return the shortlist as a JSON document; times in ns."""
    return {
        "model": problem.name,
        "tpus": problem.tpus,
        "within": float(share),
        "plans": [
            {
                "rank": rank,
                **members(each.plan, "layout"),
                "stages": plan_ranges(each.plan),
                **members(each.score, "period_ns", "throughput_fps"),
                "latency_ns": max(pipeline.latency_ns for pipeline in each.score.pipelines),
            }
            for rank, each in enumerate(listed, start=1)
        ],
    }


def shortlist_table(listed: Sequence[Listed], share: Fraction, most: int) -> RenderableType:
    """Return a row per plan."""
    table = Grid(
        f"{count(len(listed), 'plan')} within {percent(float(share))} of the best period",
        *("plan", "layout", "cuts before", "ms", "inf/s", "above\nbest", "latency\nms"),
        left=("layout", "cuts before"),
    )
    best = listed[0].score.period_ns
    for rank, each in enumerate(listed, start=1):
        table.add_row(
            str(rank),
            each.plan.layout,
            cuts_text(each.plan),
            ms(each.score.period_ns),
            fps(each.score.throughput_fps),
            percent(each.score.period_ns / max(1, best) - 1),
            ms(max(pipeline.latency_ns for pipeline in each.score.pipelines)),
        )
    more = f" The best {most}; there may be more." if len(listed) == most else " There are no others."
    text = "Each has another period; of plans of one period, the one of the least latency stands for all."
    limited = any(each.score.limited_by for each in listed)
    shared = " What the TPUs share limits some: they are listed by what the TPUs alone could do." if limited else ""
    return Group(table, Text(text + more + shared))
