"""What the ladder returns, and how its plans are priced: by the evaluator alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from segsolve.cost.stage import cannot_run, stage_score
from segsolve.plan.model import Pipeline, Processor, Stage
from segsolve.problem import Problem
from segsolve.solvers.base import Confirmation, Status, Stop
from segsolve.solvers.ladder.dag import Dag
from segsolve.solvers.ladder.intervals import Part


@dataclass(frozen=True, slots=True, kw_only=True)
class DagResult:
    """The best pipeline found, and apart from it what is known of the optimum and why the search stopped.

    `stages` are the operations of each used stage, ascending, in the order of the pipeline; `on_cpu` says which of
    them a core runs. No pipeline has a bottleneck below `bound_ns`. `confirmed_by` is what showed something
    about it besides CP-SAT, `note` tells users what is unusual.
    """

    status: Status
    stages: tuple[tuple[int, ...], ...] | None
    on_cpu: tuple[bool, ...]
    objective_ns: int | None
    bound_ns: int
    stopped_by: Stop
    wall_s: float
    deterministic_s: float
    seed: int
    found_by: str = ""
    confirmed_by: tuple[Confirmation, ...] = ()
    note: str = ""

    @property
    def gap(self) -> float | None:
        """Distance of the plan from the bound, relative to the plan; None without a plan."""
        if self.objective_ns is None:
            return None
        return (self.objective_ns - self.bound_ns) / self.objective_ns if self.objective_ns else 0.0

    @property
    def proof(self) -> str | None:
        """What shows that there is no better plan, or none, in one line."""
        return next((f"{c.by}: {c.claim}" for c in self.confirmed_by), None)

    @property
    def pipeline(self) -> Pipeline | None:
        """The plan as a pipeline of one device per stage."""
        if self.stages is None:
            return None
        return Pipeline(
            stages=tuple(
                Stage(ops=ops, processor=Processor.CPU if cpu else Processor.EDGETPU)
                for ops, cpu in zip(self.stages, self.on_cpu, strict=True)
            )
        )


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
