"""What can be asked of a problem: what the plan is best at, and what it must keep."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum

from segsolve.errors import UsageError
from segsolve.problem import Problem


class Objective(StrEnum):
    """What the best plan is best at."""

    THROUGHPUT = "throughput"
    LATENCY = "latency"
    BATCH = "batch"
    DEVICES = "devices"
    PARETO = "pareto"


class Layout(StrEnum):
    """Which layouts a plan may have."""

    ANY = "any"
    PIPELINE = "pipeline"


class Cuts(StrEnum):
    """Where a network may be cut: at positions of its execution order, or between any operations of its graph."""

    AUTO = "auto"
    CHAIN = "chain"
    DAG = "dag"


@dataclass(frozen=True, slots=True, kw_only=True)
class Constraints:
    """What every pipeline of a plan must keep; operations are positions in the execution order.

    `pins` are (operation, stage). A stage of `cut_before` begins a new stage: nothing before it is in a later one.
    `keep_together` are operations of one stage. `min_fps` holds for the plan as a whole.
    """

    max_latency_ns: int | None = None
    min_fps: float | None = None
    max_stages: int | None = None
    cut_before: tuple[int, ...] = ()
    no_cut_before: tuple[int, ...] = ()
    keep_together: tuple[tuple[int, ...], ...] = ()
    pins: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked of a problem."""

    objective: Objective = Objective.THROUGHPUT
    layout: Layout = Layout.ANY
    cuts: Cuts = Cuts.AUTO
    batch: int = 15
    constraints: Constraints = field(default_factory=Constraints)


def restricted(problem: Problem, constraints: Constraints) -> Problem:
    """Return the problem without the cuts that the constraints forbid.

    Raises:
        UsageError: the constraints name an operation that does not exist, or contradict each other.
    """
    named = {*constraints.cut_before, *constraints.no_cut_before, *(op for op, _ in constraints.pins)}
    named |= {op for group in constraints.keep_together for op in group}
    if beyond := sorted(op for op in named if not 0 <= op < len(problem.ops)):
        raise UsageError(f"there is no operation {beyond[0]}", f"the last one is {len(problem.ops) - 1}")
    if both := set(constraints.cut_before) & set(constraints.no_cut_before):
        raise UsageError(f"operation {min(both)} is to begin a stage and is not to", "give only one of the two")
    legal = set(problem.cuts)
    if illegal := sorted(set(constraints.cut_before) - legal):
        hint = "`segsolve inspect` shows the restrictions"
        raise UsageError(f"operation {illegal[0]} cannot begin a stage, the network cannot be cut there", hint)
    kept = tuple(c for c in problem.cuts if c not in constraints.no_cut_before)
    return problem if kept == problem.cuts else replace(problem, cuts=kept)
