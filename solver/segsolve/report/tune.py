"""What tuning did, round by round, and what it found."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from segsolve.report.grid import Grid
from segsolve.report.units import count, fps, ms, percent
from segsolve.tune import Iteration, Stop, Tuning

_MOST_CUTS = 40


def tune_document(tuning: Tuning) -> dict[str, Any]:
    """Return a tuning as a JSON document; times in ns."""
    return {
        "model": tuning.problem.name,
        "tpus": tuning.problem.tpus,
        "stopped_by": str(tuning.stopped_by),
        "cuts": list(tuning.plan.cuts) if tuning.plan else None,
        "bottleneck_ns": tuning.bottleneck_ns,
        "bound_ns": tuning.bound_ns,
        "throughput_fps": 1e9 / tuning.bottleneck_ns if tuning.bottleneck_ns else None,
        "measurements": tuning.measurements,
        "possible_stages": tuning.stages,
        "scale": tuning.scale,
        "iterations": [
            {
                "number": i.number,
                "cuts": list(i.plan.cuts),
                "predicted_ns": i.predicted_ns,
                "measured_ns": i.measured_ns,
                "complete": i.complete,
                "measurements": i.measurements,
                "best_ns": i.best_ns,
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
        f"{tuning.problem.name} on {tuning.problem.tpus} x {device}: bottleneck in ms, round by round",
        *("round", "cuts before", "predicted", "measured", "best", "stages\nmeasured"),
        left=("cuts before",),
    )
    for i in tuning.iterations:
        table.add_row(
            str(i.number),
            _cuts(i),
            ms(i.predicted_ns),
            ms(i.measured_ns) if i.complete else f"> {ms(i.measured_ns)}",
            ms(i.best_ns) if i.best_ns is not None else "-",
            str(i.measurements),
        )
    return Group(table, *map(Text, _verdict(tuning)))


def round_line(iteration: Iteration) -> str:
    """Return a line of news on a round."""
    measured = f"{'' if iteration.complete else 'more than '}{ms(iteration.measured_ns)} ms"
    return f"round {iteration.number}: {measured}, {count(iteration.measurements, 'stage')} measured so far"


def _cuts(iteration: Iteration) -> str:
    text = ", ".join(map(str, iteration.plan.cuts)) or "none"
    return text if len(text) <= _MOST_CUTS else text[: _MOST_CUTS - 3] + "..."


def _verdict(tuning: Tuning) -> Iterable[str]:
    if tuning.bottleneck_ns is None:
        return
    first = next((i.measured_ns for i in tuning.iterations if i.complete), tuning.bottleneck_ns)
    gain = f", {percent(1 - tuning.bottleneck_ns / first)} less than the first plan's" if first else ""
    yield (
        f"Bottleneck {ms(tuning.bottleneck_ns)} ms measured{gain}: "
        f"{fps(1e9 / max(1, tuning.bottleneck_ns))} inferences per second."
    )
    yield f"{count(tuning.measurements, 'stage')} measured, of {tuning.stages} that plans can have."
    if tuning.stopped_by is Stop.STANDS:
        yield "The plan stands: no other can be faster within the tolerance of the costs that were not measured."
    else:
        yield f"Stopped by {tuning.stopped_by}: no plan can be below {ms(tuning.bound_ns)} ms."
