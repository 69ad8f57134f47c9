"""What the parts of a plan must have to do with each other; a ValueError says in a sentence what does not hold."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from segsolve_runtime.contract.wording import shortened

if TYPE_CHECKING:
    from segsolve_runtime.contract.plan import Plan, Stage

MOST_DEVICES = 2**16


def check_stage(stage: Stage) -> None:
    """Raise unless a stage's ranges of operations ascend, and its first and last operation are theirs."""
    edges = [edge for span in stage.op_ranges for edge in span]
    firsts, lasts = edges[::2], edges[1::2]
    if any(first > last for first, last in stage.op_ranges):
        raise ValueError("a range of operations ends before it begins")
    if any(after <= before + 1 for before, after in zip(lasts, firsts[1:], strict=False)):
        raise ValueError("the ranges of operations must ascend, with a gap between them")
    if (stage.first_op, stage.last_op) != (edges[0], edges[-1]):
        raise ValueError(f"first_op and last_op must be {edges[0]} and {edges[-1]}, as its ranges say")


def check_plan(plan: Plan) -> None:
    """Raise unless every pipeline of a plan runs the whole model on tensors and files that the plan describes."""
    names = [tensor.name for tensor in plan.tensors]
    if len(set(names)) != len(names):
        raise ValueError("two tensors have the same name")
    used = [*plan.inputs, *plan.outputs, *(n for s in plan.all_stages for n in (*s.inputs, *s.outputs))]
    if missing := sorted(set(used) - set(names)):
        raise ValueError(f"tensor {shortened(missing[0])!r} is used but not described")
    if (devices := sum(stage.replicas for stage in plan.all_stages)) > MOST_DEVICES:
        raise ValueError(f"it has {devices} devices, more than {MOST_DEVICES}")
    for p, pipeline in enumerate(plan.pipelines):
        where = f" of pipeline {p}" if len(plan.pipelines) > 1 else ""
        _check_operations(pipeline.stages, plan.model.operations, where)
        _check_tensors(pipeline.stages, plan, where)
    if plan.model.costs_only:
        if any(stage.file or stage.sha256 or stage.bytes or stage.inputs or stage.outputs for stage in plan.all_stages):
            raise ValueError("a stage has a segment, in a plan of costs alone")
        return
    _check_files(plan.all_stages)


def _check_operations(stages: Sequence[Stage], operations: int, where: str) -> None:
    stage_of: dict[int, int] = {}
    for k, stage in enumerate(stages):
        if stage.last_op >= operations:
            raise ValueError(f"stage {k}{where} ends at operation {stage.last_op} of {operations}")
        for op in stage.ops:
            if op in stage_of:
                raise ValueError(f"operation {op} is in stages {stage_of[op]} and {k}{where}")
            stage_of[op] = k
    for op in range(operations):
        if op not in stage_of:
            raise ValueError(f"operation {op} is in no stage{where}")


def _check_tensors(stages: Sequence[Stage], plan: Plan, where: str) -> None:
    available = set(plan.inputs)
    for k, stage in enumerate(stages):
        if absent := [n for n in stage.inputs if n not in available]:
            raise ValueError(f"stage {k}{where} takes {shortened(absent[0])!r}, which no earlier stage makes")
        if again := [n for n in stage.outputs if n in available]:
            raise ValueError(f"stage {k}{where} makes {shortened(again[0])!r}, which is already there")
        available |= set(stage.outputs)
    if absent := [n for n in plan.outputs if n not in available]:
        raise ValueError(f"no stage{where} makes the output {shortened(absent[0])!r}")


def _check_files(stages: Iterable[Stage]) -> None:
    known: dict[str, Stage] = {}
    for stage in stages:
        if not stage.file or not stage.sha256:
            raise ValueError(f"a stage's segment is {shortened(stage.file)!r} with the hash {stage.sha256!r}")
        other = known.setdefault(stage.file, stage)
        if any(getattr(other, member) != getattr(stage, member) for member in _OF_THE_FILE):
            raise ValueError(f"two stages describe the segment {shortened(stage.file)!r} in different ways")


_OF_THE_FILE = ("sha256", "bytes", "op_ranges", "inputs", "outputs")
