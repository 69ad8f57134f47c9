"""How the ladder's plans are priced: by the evaluator alone."""

from __future__ import annotations

from collections.abc import Sequence

from segsolve.cost.stage import cannot_run, stage_score
from segsolve.plan.model import Processor
from segsolve.problem import Problem
from segsolve.solvers.ladder.dag import Dag
from segsolve.solvers.ladder.intervals import Part


def stage_time_ns(problem: Problem, ops: Sequence[int], *, on_cpu: bool) -> int | None:
    """Return what a stage takes by the evaluator; None if its processor cannot run it."""
    processor = Processor.CPU if on_cpu else Processor.EDGETPU
    if cannot_run(problem, ops, processor):
        return None
    score = stage_score(problem, ops, processor)
    return None if problem.no_spill and score.spilled_ops else score.time_ns


def bottleneck_ns(dag: Dag, parts: Sequence[Part]) -> int | None:
    """Return the time of a plan's slowest stage by the evaluator; None if the plan is not valid."""
    if not _is_complete(dag, parts):
        return None
    times = [stage_time_ns(dag.problem, dag.members(part.groups), on_cpu=part.on_cpu) for part in parts]
    known = [time for time in times if time is not None]
    return max(known) if len(known) == len(times) else None


def _is_complete(dag: Dag, parts: Sequence[Part]) -> bool:
    """Whether every group is in one part, and no tensor is read in an earlier part than it is made in."""
    stage_of = {g: k for k, part in enumerate(parts) for g in part.groups}
    held = sum(len(part.groups) for part in parts)
    if held != len(dag) or len(stage_of) != held:
        return False
    return all(stage_of[maker] <= stage_of[reader] for maker, reader in dag.edges)
