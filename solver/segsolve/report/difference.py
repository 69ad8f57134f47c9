"""Two plans beside each other: what differs in what was asked, what was found, and what each stage does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from segsolve.report.asked import asked_for
from segsolve.report.grid import Grid
from segsolve.report.units import count, fps, mib, ms, or_dash, sentence, spans
from segsolve_runtime.contract.compiled import CompiledSegment, CompileRecord
from segsolve_runtime.contract.plan import Plan, Stage
from segsolve_runtime.flow.lanes import limited_by

PARTS = ("overhead", "compute", "stream", "input", "output", "correction")
_NAMES = {"stream": "streamed weights", "compute": "computing", "correction": "correction by measurement"}
_LEAST_NS = 5_000  # less is 0.00 ms


@dataclass(frozen=True, slots=True)
class Side:
    """A plan, what it is called, and what the compiler said of its segments, if they were compiled."""

    name: str
    plan: Plan
    compiled: CompileRecord | None = None

    @property
    def sizes(self) -> Iterator[tuple[Stage, CompiledSegment]]:
        """Its different stages with the compiler's report of each."""
        reports = {segment.segment: segment for segment in self.compiled.segments} if self.compiled else {}
        stages = {stage.file: stage for stage in self.plan.all_stages}
        yield from ((stage, reports[file]) for file, stage in stages.items() if file in reports)


def difference_document(first: Side, last: Side) -> dict[str, Any]:
    """Return both plans' figures and what differs; times in ns, predicted; operations are positions."""
    before, after = first.plan, last.plan
    return {
        "same_model": before.model.sha256 == after.model.sha256,
        "before": _figures(before),
        "after": _figures(after),
        "changed": [{"what": what, "before": a, "after": b} for what, a, b in _circumstances(before, after)],
        "moved": [
            {"first_op": ops[0], "last_op": ops[-1], "before": a, "after": b} for ops, a, b in _moved(before, after)
        ],
        "bottleneck": [
            {"part": part, "before_ns": a, "after_ns": b}
            for part in PARTS
            for a, b in [(_part(_slowest(before), part), _part(_slowest(after), part))]
        ],
        "compiled": [
            {
                "plan": which,
                "segment": stage.file,
                "onchip_bytes": report.onchip_bytes,
                "predicted_onchip_bytes": stage.prediction.onchip_bytes,
                "offchip_bytes": report.offchip_bytes,
                "predicted_offchip_bytes": stage.prediction.offchip_bytes,
            }
            for which, side in (("before", first), ("after", last))
            for stage, report in side.sizes
        ],
    }


def difference_table(first: Side, last: Side) -> RenderableType:
    """Return the same for people."""
    before, after, names = first.plan, last.plan, (first.name, last.name)
    table = Grid("", "predicted", *names, "change")
    for what, a, b, show in _rows(before, after):
        change = "same" if a == b else f"{(b - a) / a:+.1%}".replace("%", " %") if a else "new"
        table.add_row(what, show(a), show(b), change)
    lines = [*_said(before, after, names), *_why(before, after, names)]
    compiled = (part for side in (first, last) if side.compiled for part in _compiled(side, side.compiled))
    return Group(table, *map(Text, lines), *_stages(before, after, names), *compiled)


def _compiled(side: Side, record: CompileRecord) -> Iterator[RenderableType]:
    """Yield what the compiler keeps on chip and streams of each stage, beside what the plan has of it."""
    table = Grid(
        f"\n{side.name}, compiled by edgetpu_compiler {record.compiler}: weights in MiB",
        *("operations", "on chip", "predicted", "streamed", "predicted"),
        left=("operations",),
    )
    for stage, report in side.sizes:
        table.add_row(
            spans(stage.op_ranges),
            or_dash(mib, report.onchip_bytes),
            mib(stage.prediction.onchip_bytes),
            or_dash(mib, report.offchip_bytes),
            mib(stage.prediction.offchip_bytes),
        )
    yield table


def _rows(before: Plan, after: Plan) -> Iterator[tuple[str, float, float, Any]]:
    a, b = before.solution, after.solution
    yield "inferences per second", a.throughput_fps, b.throughput_fps, fps
    yield "latency, ms", a.latency_ns, b.latency_ns, ms
    yield "TPUs used", _tpus(before), _tpus(after), lambda n: str(int(n))
    yield "streamed, MiB", _streamed(before), _streamed(after), mib


def _figures(plan: Plan) -> dict[str, Any]:
    solution = plan.solution
    return {
        "model": plan.model.name,
        "device": plan.device.name,
        "layout": solution.layout,
        "status": solution.status,
        "throughput_fps": solution.throughput_fps,
        "latency_ns": solution.latency_ns,
        "tpus_used": _tpus(plan),
        "offchip_bytes": _streamed(plan),
        "limited_by": limited_by(plan),
    }


def _circumstances(before: Plan, after: Plan) -> Iterator[tuple[str, str, str]]:
    """Yield what was different beside the plans themselves."""
    pairs = (
        ("model", before.model.sha256[:12], after.model.sha256[:12]),
        ("device", before.device.name, after.device.name),
        ("memory per TPU", f"{mib(before.device.memory_bytes)} MiB", f"{mib(after.device.memory_bytes)} MiB"),
        ("asked for", _asked(before), _asked(after)),
        ("planner", before.solution.planner, after.solution.planner),
        ("status", before.solution.status, after.solution.status),
        ("layout", before.solution.layout, after.solution.layout),
    )
    yield from ((what, a, b) for what, a, b in pairs if a != b)


def _asked(plan: Plan) -> str:
    return asked_for(plan.solution).removeprefix("Asked for: ") or "not recorded"


def _moved(before: Plan, after: Plan) -> Iterator[tuple[list[int], int, int]]:
    """Yield runs of operations that are in another stage than before; of plans with one kind of pipeline each."""
    a, b = _owners(before), _owners(after)
    if a is None or b is None:
        return
    changed = [op for op in sorted(a) if op in b and a[op] != b[op]]
    for _, run in groupby(enumerate(changed), key=lambda item: (item[1] - item[0], a[item[1]], b[item[1]])):
        ops = [op for _, op in run]
        yield ops, a[ops[0]], b[ops[0]]


def _owners(plan: Plan) -> dict[int, int] | None:
    kinds = {tuple(tuple(map(tuple, s.op_ranges)) for s in pipeline.stages) for pipeline in plan.pipelines}
    if len(kinds) > 1:
        return None
    stages = plan.pipelines[0].stages
    return {op: k for k, s in enumerate(stages) for first, last in s.op_ranges for op in range(first, last + 1)}


def _said(before: Plan, after: Plan, names: tuple[str, str]) -> Iterator[str]:
    for what, a, b in _circumstances(before, after):
        yield f"{sentence(what)}: {a} ({names[0]}), {b} ({names[1]})."
    moved = list(_moved(before, after))
    for ops, was, now in moved:
        which = f"Operation {ops[0]} is" if len(ops) == 1 else f"Operations {ops[0]}-{ops[-1]} are"
        yield f"{which} in stage {now} instead of {was}."
    if not moved and _owners(before) == _owners(after) is not None:
        yield "The cuts are the same."


def _why(before: Plan, after: Plan, names: tuple[str, str]) -> Iterator[str]:
    """Say what limits each plan, and by what their slowest stages differ."""
    for plan, name in zip((before, after), names, strict=True):
        slow, all_share = _slowest(plan), limited_by(plan)
        shared = f", shared by {count(slow.replicas, 'TPU')}" if slow.replicas > 1 else ""
        what = f"operations {spans(slow.op_ranges)}, {ms(slow.prediction.time_ns)} ms{shared}"
        if all_share:
            what = f"the {' and the '.join(all_share)} that all TPUs share; its slowest stage: {what}"
        yield f"What limits {name}: {what}."
    a, b = _slowest(before), _slowest(after)
    parts = [(part, _part(b, part) - _part(a, part)) for part in PARTS]
    told = [f"{_NAMES.get(part, part)} {ns / 1e6:+.2f} ms" for part, ns in parts if abs(ns) >= _LEAST_NS]
    if told:
        yield f"The slowest stage of {names[1]} against that of {names[0]}: {', '.join(told)}."


def _stages(before: Plan, after: Plan, names: tuple[str, str]) -> Iterator[RenderableType]:
    table = Grid(
        "\nStages: predicted time per inference in ms, weights streamed in MiB",
        *("stage", f"{names[0]}:\noperations", "\ntime", "\nstreamed"),
        *(f"{names[1]}:\noperations", "\ntime ", "\nstreamed "),
        left=(f"{names[0]}:\noperations", f"{names[1]}:\noperations"),
        optional=("\nstreamed", "\nstreamed "),
    )
    left, right = _distinct(before), _distinct(after)
    for k in range(max(len(left), len(right))):
        table.add_row(str(k), *_cells(left, k), *_cells(right, k))
    yield table


def _cells(stages: Sequence[Stage], k: int) -> tuple[str, ...]:
    if k >= len(stages):
        return "-", "-", "-"
    stage = stages[k]
    shared = f" x{stage.replicas}" if stage.replicas > 1 else ""
    return (spans(stage.op_ranges) + shared, ms(stage.prediction.time_ns), mib(stage.prediction.offchip_bytes))


def _distinct(plan: Plan) -> list[Stage]:
    """Return the stages of pipelines that are not alike, one after the other."""
    found = {tuple((stage.file, stage.replicas) for stage in p.stages): p.stages for p in plan.pipelines}
    return [stage for stages in found.values() for stage in stages]


def _slowest(plan: Plan) -> Stage:
    return max(plan.all_stages, key=lambda stage: stage.prediction.time_ns / stage.replicas)


def _part(stage: Stage, part: str) -> int:
    return int(getattr(stage.prediction, f"{part}_ns"))


def _tpus(plan: Plan) -> int:
    return sum(stage.replicas for stage in plan.all_stages if stage.processor == "edgetpu")


def _streamed(plan: Plan) -> int:
    """Return the bytes per inference of the pipeline that streams most."""
    return max(sum(stage.prediction.offchip_bytes for stage in pipeline.stages) for pipeline in plan.pipelines)
