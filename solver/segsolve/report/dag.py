"""Plans of generic graphs: parts in an order, on accelerators and CPU cores."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from segsolve.cost.stage import stage_score
from segsolve.plan.model import Processor
from segsolve.problem import Problem
from segsolve.report.documents import Document, search_document
from segsolve.report.grid import Grid
from segsolve.report.units import count, fps, long_bar, mib, ms, percent
from segsolve.solvers.base import Status, Stop
from segsolve.solvers.ladder.result import DagResult

Names = Callable[[int], Sequence[Any]]
"""What an operation of the problem is called where it comes from: one name, or those of all its nodes."""

_BAR_WIDTH = 12


def dag_document(problem: Problem, result: DagResult, names: Names) -> Document:
    """Return a result with its parts; times in ns unless the name says otherwise."""
    return {
        "status": str(result.status),
        **search_document(result),
        "tpus": problem.tpus,
        "cpus": problem.cpus,
        "capacity_bytes": problem.capacity_bytes,
        "throughput_fps": _throughput(result),
        "stages": [_stage(problem, ops, cpu, names) for ops, cpu in _parts(result)],
    }


def dag_table(problem: Problem, result: DagResult) -> RenderableType:
    """Return the parts of a plan and what is known of its quality."""
    table = Grid(
        f"{problem.name} on {_devices(problem)}: time per inference in ms, weights in MiB",
        *("part", "runs on", "operations", "", "time", "compute", "stream", "in", "out", "weights"),
        left=("runs on", ""),
        optional=("", "stream"),
    )
    for k, (ops, cpu) in enumerate(_parts(result)):
        score = stage_score(problem, ops, Processor.CPU if cpu else Processor.EDGETPU)
        terms = (score.compute_ns, score.stream_ns, score.input_ns, score.output_ns)
        weights = sum(problem.ops[i].weight_bytes for i in ops)
        table.add_row(
            str(k),
            "CPU core" if cpu else "accelerator",
            str(len(ops)),
            long_bar(score.time_ns / max(1, result.objective_ns or 0), _BAR_WIDTH),
            ms(score.time_ns),
            *map(ms, terms),
            mib(weights),
        )
    return Group(table, *map(Text, _verdict(result)))


def _verdict(result: DagResult) -> list[str]:
    found = f"Bottleneck {ms(result.objective_ns or 0)} ms, {fps(_throughput(result) or 0.0)} inferences per second"
    if result.status is Status.OPTIMAL:
        why = f"proven ({result.proof})" if result.proof else result.note
        return [f"{found}: {why}, in {result.wall_s:.2f} s."]
    stopped = "interrupted" if result.stopped_by is Stop.INTERRUPTED else "the search ended"
    bound = f"no plan is below {ms(result.bound_ns)} ms, gap {percent(result.gap or 0.0)}"
    return [f"{found}: {stopped} in {result.wall_s:.2f} s; {bound}."]


def _devices(problem: Problem) -> str:
    accelerators = count(problem.tpus, "accelerator")
    return f"{accelerators} and {count(problem.cpus, 'CPU core')}" if problem.cpus else accelerators


def _stage(problem: Problem, ops: tuple[int, ...], cpu: bool, names: Names) -> Document:
    score = stage_score(problem, ops, Processor.CPU if cpu else Processor.EDGETPU)
    return {
        "processor": "cpu" if cpu else "accelerator",
        "operations": [name for i in ops for name in names(i)],
        "time_ns": score.time_ns,
        "overhead_ns": score.overhead_ns,
        "compute_ns": score.compute_ns,
        "stream_ns": score.stream_ns,
        "input_ns": score.input_ns,
        "output_ns": score.output_ns,
        "weight_bytes": sum(problem.ops[i].weight_bytes for i in ops),
    }


def _parts(result: DagResult) -> list[tuple[tuple[int, ...], bool]]:
    return list(zip(result.stages or (), result.on_cpu, strict=True))


def _throughput(result: DagResult) -> float | None:
    return None if result.objective_ns is None else 1e9 / max(1, result.objective_ns)
