"""Plans of generic graphs: parts in an order, on accelerators and CPU cores."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from segsolve.cost.stage import StageScore
from segsolve.plan.model import Processor, Stage
from segsolve.problem import Problem
from segsolve.report.answer import quality
from segsolve.report.documents import TERMS, Document, search_document
from segsolve.report.grid import Grid
from segsolve.report.table import measured
from segsolve.report.units import count, fps, long_bar, mib, ms, sentence
from segsolve.search.answer import Answer
from segsolve_runtime.contract.document import members

Names = Callable[[int], Sequence[Any]]
"""What an operation of the problem is called where it comes from: one name, or those of all its nodes."""

_BAR_WIDTH = 12


def dag_document(problem: Problem, answer: Answer, names: Names) -> Document:
    """Return an answer with its parts; times in ns unless the name says otherwise."""
    return {
        **members(answer, "status", "planner"),
        "objective": answer.question.objective,
        **search_document(answer),
        "best_over": answer.best_over,
        **members(problem, "tpus", "cpus", "capacity_bytes"),
        **members(answer.score, "throughput_fps", "latency_ns"),
        "stages": [_stage(problem, stage, score, names) for stage, score in _parts(answer)],
    }


def dag_table(problem: Problem, answer: Answer) -> RenderableType:
    """Return the parts of a plan and what is known of its quality."""
    table = Grid(
        f"{problem.name} on {_devices(problem)}: time per inference in ms, weights in MiB",
        *("part", "runs on", "operations", "", "time", "compute", "stream", "in", "out", "weights"),
        left=("runs on", ""),
        optional=("", "stream"),
    )
    for k, (stage, score) in enumerate(_parts(answer)):
        terms = (score.compute_ns, score.stream_ns, score.input_ns, score.output_ns)
        table.add_row(
            str(k),
            "CPU core" if stage.processor is Processor.CPU else "accelerator",
            str(len(stage.ops)),
            long_bar(score.time_ns / max(1, answer.objective_ns or 0), _BAR_WIDTH),
            ms(score.time_ns),
            *map(ms, terms),
            mib(sum(problem.ops[i].weight_bytes for i in stage.ops)),
        )
    parts = [(f"part {k}", score) for k, (_, score) in enumerate(_parts(answer))]
    return Group(table, *map(Text, (*measured(parts), *_verdict(answer))))


def _verdict(answer: Answer) -> Iterator[str]:
    rate = answer.score.throughput_fps if answer.score else 0.0
    yield f"Bottleneck {ms(answer.objective_ns or 0)} ms, {fps(rate)} inferences per second (one pipeline)."
    yield from quality(answer)
    if answer.note:
        yield f"{sentence(answer.note).rstrip('.')}."


def _devices(problem: Problem) -> str:
    accelerators = count(problem.tpus, "accelerator")
    return f"{accelerators} and {count(problem.cpus, 'CPU core')}" if problem.cpus else accelerators


def _stage(problem: Problem, stage: Stage, score: StageScore, names: Names) -> Document:
    return {
        "processor": "cpu" if stage.processor is Processor.CPU else "accelerator",
        "operations": [name for i in stage.ops for name in names(i)],
        **members(score, "time_ns", *TERMS),
        "weight_bytes": sum(problem.ops[i].weight_bytes for i in stage.ops),
    }


def _parts(answer: Answer) -> list[tuple[Stage, StageScore]]:
    if answer.plan is None or answer.score is None:
        return []
    return list(zip(answer.plan.pipelines[0].stages, answer.score.pipelines[0].stages, strict=True))
