"""The loop: solve, measure the stages that were chosen, solve again, until the plan stands.

A plan stands when no other could be faster even if the costs that were not measured are too high, within a tolerance.
So what the loop ends with is the optimum under measured costs, although most stages were never measured.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from statistics import median

import numpy as np
from numpy.typing import NDArray

from segsolve.cost.stage import stage_score
from segsolve.cost.table import IMPOSSIBLE, chain_table
from segsolve.problem import MeasuredStage, Problem, Segmentation
from segsolve.search.base import SolveResult
from segsolve.search.chain.confirmed import solve
from segsolve.solvers.base import Confirmation, Status

Measure = Callable[[int, int], int]
"""Returns the time in ns of the stage of the operations from one position to another (exclusive)."""
PLANNER = "dp"
"""Exact, and fast enough to be asked again and again."""


class Stop(StrEnum):
    """Why the loop ended."""

    STANDS = "the plan stands"
    LIMIT = "iteration limit"
    INTERRUPTED = "interrupted"
    NO_PLAN = "no plan"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tolerance:
    """How much too high costs may be that were not measured, as shares.

    `stage`: of a stage's predicted time, corrected by the ratio of the measured stage that was overestimated most.
    `change`: of what a stage has more or less than a measured one, which it is compared with.
    """

    stage: float = 0.05
    change: float = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Iteration:
    """One round: the plan that looked best, its predicted and measured bottleneck, and the best measured one so far.

    `predicted_ns` is optimistic from the second round on. `complete` says that all stages were measured; a plan is
    dropped as soon as one of its stages is slower than the best plan. `measurements` counts from the first round.
    """

    number: int
    plan: Segmentation
    predicted_ns: int
    measured_ns: int
    complete: bool
    measurements: int
    best_ns: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuning:
    """What the loop found. `problem` has the measured stages; `bound_ns`: no plan is faster, within the tolerance.

    `scale` is the median ratio of measured to predicted times. There is no plan where none keeps the problem's rules.
    """

    problem: Problem
    plan: Segmentation | None
    bottleneck_ns: int | None
    bound_ns: int
    iterations: tuple[Iteration, ...]
    measurements: int
    scale: float
    stopped_by: Stop

    @property
    def stages(self) -> int:
        """Number of stages that the problem has in all its plans, measured or not."""
        return (len(self.problem.cuts) + 1) * (len(self.problem.cuts) + 2) // 2

    def _measured(self) -> Confirmation:
        claim = f"all stages of plans that could be faster were measured, {self.measurements} of {self.stages}"
        return Confirmation(by="measurements", claim=claim, strength="within the tolerance", seconds=0.0)

    def result(self, wall_s: float) -> SolveResult:
        """Return the plan as a planner's result."""
        stands = self.stopped_by is Stop.STANDS
        return SolveResult(
            planner="tune",
            status=Status.OPTIMAL if stands else Status.FEASIBLE,
            plan=self.plan,
            objective_ns=self.bottleneck_ns,
            bound_ns=self.bound_ns,
            wall_s=wall_s,
            found_by="tuning",
            confirmed_by=(self._measured(),) if stands else (),
        )


def tune(
    problem: Problem,
    measure: Measure,
    *,
    tolerance: Tolerance | None = None,
    most_iterations: int = 50,
    observe: Callable[[Iteration], None] = lambda iteration: None,
) -> Tuning:
    """Return the plan whose measured bottleneck no other can beat, after measuring as few stages as that takes.

    An interruption (Ctrl-C) ends the loop with what is there. The result repeats if the measurements do.

    Raises:
        SolverFault: the planner answered wrongly.
    """
    loop = _Loop(problem=problem, measure=measure, tolerance=tolerance or Tolerance(), observe=observe)
    try:
        stopped_by = loop.run(most_iterations)
    except KeyboardInterrupt:
        stopped_by = Stop.INTERRUPTED
    return loop.tuning(stopped_by)


@dataclass(kw_only=True)
class _Loop:
    problem: Problem
    measure: Measure
    tolerance: Tolerance
    observe: Callable[[Iteration], None]
    known: dict[tuple[int, int], int] = field(default_factory=dict)
    best: Segmentation | None = None
    best_ns: int | None = None
    bound_ns: int = 0
    measurements: int = 0
    iterations: list[Iteration] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.known = dict(self.problem.measured_ns)
        self.model = replace(self.problem, measured=())
        self.optimism = _Optimism(self.model, self.tolerance)

    def run(self, most_iterations: int) -> Stop:
        for number in range(1, most_iterations + 1):
            result = solve(self._costs(), planner=PLANNER)
            if result.plan is None or result.objective_ns is None:
                return Stop.NO_PLAN
            if self.best_ns is not None:
                self.bound_ns = min(result.objective_ns, self.best_ns)
                if result.objective_ns >= self.best_ns:
                    return Stop.STANDS
            self._measure_plan(number, result.plan, result.objective_ns)
        return Stop.LIMIT

    def tuning(self, stopped_by: Stop) -> Tuning:
        return Tuning(
            problem=replace(self.model, measured=tuple(_stages(self.known))),
            plan=self.best,
            bottleneck_ns=self.best_ns,
            bound_ns=self.bound_ns,
            iterations=tuple(self.iterations),
            measurements=self.measurements,
            scale=median(self.optimism.ratios(self.known) or [1.0]),
            stopped_by=stopped_by,
        )

    def _costs(self) -> Problem:
        if self.best_ns is None:
            return self.problem
        return self.optimism.problem(self.known, self.best_ns)

    def _measure_plan(self, number: int, plan: Segmentation, predicted_ns: int) -> None:
        """Measure the stages of a plan that are not known yet, the slowest first, while it can still be the best."""
        ranges = plan.ranges(len(self.problem.ops))
        slowest_first = sorted(ranges, key=lambda r: -stage_score(self.model, range(*r)).time_ns)
        slowest = max((self.known[r] for r in ranges if r in self.known), default=0)
        for stage in slowest_first:
            if self.best_ns is not None and slowest >= self.best_ns:
                break
            if stage not in self.known:
                self.known[stage] = self.measure(*stage)
                self.measurements += 1
            slowest = max(slowest, self.known[stage])
        complete = all(stage in self.known for stage in ranges)
        if complete and (self.best_ns is None or slowest < self.best_ns):
            self.best, self.best_ns = plan, slowest
            self.bound_ns = min(self.bound_ns, slowest)  # it rests on a tolerance, which this plan may break
        self.iterations.append(
            Iteration(
                number=number,
                plan=plan,
                predicted_ns=predicted_ns,
                measured_ns=slowest,
                complete=complete,
                measurements=self.measurements,
                best_ns=self.best_ns,
            )
        )
        self.observe(self.iterations[-1])


class _Optimism:
    """The least that stages can take, given what was measured and how far costs may be off."""

    def __init__(self, model: Problem, tolerance: Tolerance) -> None:
        self._model, self._tolerance = model, tolerance
        table = chain_table(model)
        self._positions = table.positions
        self._index = {int(position): i for i, position in enumerate(table.positions)}
        self._time = table.time
        self._work = np.cumsum([0, *(op.compute_ns for op in model.ops)], dtype=np.int64)[table.positions]

    def ratios(self, known: dict[tuple[int, int], int]) -> list[float]:
        """Return measured over predicted time of each measured stage that takes any."""
        predicted = {stage: stage_score(self._model, range(*stage)).time_ns for stage in known}
        return [ns / predicted[stage] for stage, ns in known.items() if predicted[stage]]

    def problem(self, known: dict[tuple[int, int], int], best_ns: int) -> Problem:
        """Return the problem with the least times of stages that could be part of a plan faster than `best_ns`."""
        factor = min(self.ratios(known) or [1.0]) * (1 - self._tolerance.stage)
        by_sum = np.floor(self._time * factor)
        least = by_sum
        for stage, ns in known.items():
            if stage[0] in self._index and stage[1] in self._index:
                least = np.maximum(least, self._by_comparison(self._index[stage[0]], self._index[stage[1]], ns))
        raised = (self._time < IMPOSSIBLE) & (by_sum < best_ns) & (least > by_sum)
        bounds = {(int(self._positions[a]), int(self._positions[b])): int(least[a, b]) for a, b in np.argwhere(raised)}
        return replace(_scaled(self._model, factor), measured=tuple(_stages(bounds | known)))

    def _by_comparison(self, i: int, j: int, measured_ns: int) -> NDArray[np.float64]:
        """Return the least times [m + 1, m + 1] of all stages, by what they have more and less than a measured one."""
        work, change = self._work, self._tolerance.change
        inside = work[None, :] - work[:, None]
        rest = self._time - inside
        shared = np.maximum(0, np.minimum(work[None, :], work[j]) - np.maximum(work[:, None], work[i]))
        more = inside - shared + rest
        less = inside[i, j] - shared + rest[i, j]
        return np.asarray(np.floor(measured_ns + (1 - change) * more - (1 + change) * less), dtype=np.float64)


def _scaled(problem: Problem, factor: float) -> Problem:
    """Return a problem with all its times multiplied, and rounded down."""

    def less(ns: int) -> int:
        return int(ns * factor)

    return replace(
        problem,
        overhead_ns=less(problem.overhead_ns),
        ops=tuple(replace(op, compute_ns=less(op.compute_ns), streamed_ns=less(op.streamed_ns)) for op in problem.ops),
        transfers=tuple(replace(t, input_ns=less(t.input_ns), output_ns=less(t.output_ns)) for t in problem.transfers),
    )


def _stages(known: dict[tuple[int, int], int]) -> Iterable[MeasuredStage]:
    return (MeasuredStage(first=first, end=end, time_ns=ns) for (first, end), ns in sorted(known.items()))
