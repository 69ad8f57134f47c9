"""What tuning did, round by round, and what it found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from segsolve.plan.model import Pipeline, Plan
from segsolve.refine import End
from segsolve.report.grid import Grid
from segsolve.report.units import count, fps, ms, or_dash
from segsolve.tune import Iteration, Tuning
from segsolve_runtime.contract.document import members
from segsolve_runtime.contract.wording import percent

_MOST_CUTS = 40


def tune_document(tuning: Tuning) -> dict[str, Any]:
    """Return a tuning as a JSON document; times in ns."""
    return {
        "model": tuning.problem.name,
        "tpus": tuning.problem.tpus,
        **members(tuning, "stopped_by"),
        **members(tuning.plan, "cuts"),
        "stages": plan_ranges(tuning.plan) if tuning.plan else None,
        "bottleneck_ns": tuning.period_ns,
        "bound_ns": tuning.bound_ns,
        "throughput_fps": 1e9 / tuning.period_ns if tuning.period_ns else None,
        "measurements": tuning.measurements,
        "possible_stages": tuning.stages,
        "scale": tuning.scale,
        "iterations": [
            {
                "stages": plan_ranges(i.plan),
                **members(i, "number", "predicted_ns", "measured_ns", "complete", "measurements", "best_ns"),
            }
            for i in tuning.iterations
        ],
        "measured": [
            {"first_op": m.first, "last_op": m.end - 1, "time_ns": m.time_ns} for m in tuning.problem.measured
        ],
    }


def tune_table(tuning: Tuning, device: str) -> RenderableType:
    """Return one row per round."""
    table = Grid(
        f"{tuning.problem.name} on {tuning.problem.tpus} x {device}: ms per inference, round by round",
        *("round", "cuts before", "predicted", "measured", "best", "stages\nmeasured"),
        left=("cuts before",),
    )
    for i in tuning.iterations:
        table.add_row(
            str(i.number),
            cuts_text(i.plan),
            ms(i.predicted_ns),
            ms(i.measured_ns) if i.complete else f"> {ms(i.measured_ns)}",
            or_dash(ms, i.best_ns),
            str(i.measurements),
        )
    return Group(table, *map(Text, _verdict(tuning)))


def round_line(iteration: Iteration) -> str:
    """Return a line of news on a round."""
    measured = f"{'' if iteration.complete else 'more than '}{ms(iteration.measured_ns)} ms"
    return f"round {iteration.number}: {measured}, {count(iteration.measurements, 'stage')} measured so far"


def plan_ranges(plan: Plan) -> list[list[dict[str, int]]]:
    """Return the first and last operation and the replicas of each stage of each pipeline."""
    return [
        [{"first_op": s.ops[0], "last_op": s.ops[-1], "replicas": s.replicas} for s in pipeline.stages]
        for pipeline in plan.pipelines
    ]


def cuts_text(plan: Plan) -> str:
    """Return where each pipeline is cut; equal ones once, with their number."""
    found = Counter(_pipeline(pipeline) for pipeline in plan.pipelines)
    text = "; ".join(cuts + (f" ({times} times)" if times > 1 else "") for cuts, times in found.items())
    return text if len(text) <= _MOST_CUTS else text[: _MOST_CUTS - 3] + "..."


def _pipeline(pipeline: Pipeline) -> str:
    starts = [f"{s.ops[0]}" + (f" x{s.replicas}" if s.replicas > 1 else "") for s in pipeline.stages]
    first = pipeline.stages[0].replicas
    return ", ".join([*([f"0 x{first}"] if first > 1 else []), *starts[1:]]) or "none"


def _verdict(tuning: Tuning) -> Iterable[str]:
    if tuning.period_ns is None:
        return
    first = next((i.measured_ns for i in tuning.iterations if i.complete), tuning.period_ns)
    gain = f", {percent(1 - tuning.period_ns / first)} less than the first plan's" if first else ""
    yield (
        f"{ms(tuning.period_ns)} ms per inference by measured stages{gain}: "
        f"{fps(1e9 / max(1, tuning.period_ns))} inferences per second."
    )
    yield f"{count(tuning.measurements, 'stage')} measured, of {tuning.stages} that plans can have."
    if tuning.stopped_by is End.STANDS:
        yield "The plan stands: no other can be faster within the tolerance of the costs that were not measured."
    else:
        yield f"Stopped by {tuning.stopped_by}: no plan can be below {ms(tuning.bound_ns)} ms."
