"""Costs that a meter measures: solve, measure the stages that were chosen, solve again, until the plan stands.

A plan stands when no other could be faster even if the costs that were not measured are too high, within a tolerance.
So what the loop ends with is the optimum under measured costs, although most stages were never measured.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from statistics import median

import numpy as np
from numpy.typing import NDArray

from segsolve.cost.plan import PlanScore, score_plan
from segsolve.cost.stage import stage_score
from segsolve.cost.table import IMPOSSIBLE, chain_table
from segsolve.plan.model import Plan
from segsolve.problem import MeasuredStage, Problem
from segsolve.question import Cuts, Layout, Question
from segsolve.refine import End, Proposal, refine
from segsolve.search.answer import Answer
from segsolve.search.ask import answer
from segsolve.solvers.base import Confirmation, Status

Range = tuple[int, int]
Measure = Callable[[int, int], int]
"""Returns the time in ns of the stage of the operations from one position to another (exclusive)."""
Prepare = Callable[[Sequence[Range]], None]
"""Is told which stages are to be measured next, in this order, unless the first ones are too slow already."""
PLANNER = "dp"
"""Exact, and fast enough to be asked again and again."""


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
    """One round: the plan that looked best, its predicted and measured period, and the best measured one so far.

    `predicted_ns` is optimistic from the second round on. `complete` says that all stages were measured; a plan is
    dropped as soon as what was measured of it makes it slower than the best plan, and `measured_ns` is what it takes at
    least. `measurements` counts from the first round.
    """

    number: int
    plan: Plan
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
    question: Question
    plan: Plan | None
    period_ns: int | None
    bound_ns: int
    iterations: tuple[Iteration, ...]
    measurements: int
    scale: float
    stopped_by: End

    @property
    def stages(self) -> int:
        """Number of stages that the problem has in all its plans, measured or not."""
        return (len(self.problem.cuts) + 1) * (len(self.problem.cuts) + 2) // 2

    def answer(self, wall_s: float) -> Answer:
        """Return the plan as an answer under the measured costs (ValueError without a plan)."""
        if self.plan is None or self.period_ns is None:
            raise ValueError("the tuning has no plan")
        stands = self.stopped_by is End.STANDS
        score = score_plan(self.problem, self.plan)
        claim = f"all stages of plans that could be faster were measured, {self.measurements} of {self.stages}"
        by = Confirmation(by="measurements", claim=claim, strength="within the tolerance", seconds=0.0)
        return Answer(
            question=self.question,
            planner="tune",
            status=Status.OPTIMAL if stands else Status.FEASIBLE,
            plan=self.plan,
            score=score,
            value=_cost(score),
            bound=_cost(score) if stands else min(_cost(score), Fraction(self.bound_ns)),
            cuts="chain",
            found_by="tuning",
            confirmed_by=(by,) if stands else (),
            wall_s=wall_s,
        )


def _cost(score: PlanScore) -> Fraction:
    return 1 / score.rate


def tune(
    problem: Problem,
    measure: Measure,
    *,
    layout: Layout = Layout.PIPELINE,
    tolerance: Tolerance | None = None,
    most_iterations: int = 50,
    prepare: Prepare = lambda ranges: None,
    observe: Callable[[Iteration], None] = lambda iteration: None,
) -> Tuning:
    """Return the plan whose measured period no other can beat, after measuring as few stages as that takes.

    An interruption (Ctrl-C) ends the loop with what is there. The result repeats if the measurements do.

    Raises:
        SolverFault: the planner answered wrongly.
    """
    meter = _Meter(
        problem=problem,
        question=Question(layout=layout, cuts=Cuts.CHAIN),
        measure=measure,
        prepare=prepare,
        tolerance=tolerance or Tolerance(),
        tell=observe,
    )
    bound_ns = 0
    try:
        ended = refine(meter, most_rounds=most_iterations)
        stopped_by, bound_ns = ended.end, ended.bound_ns
    except KeyboardInterrupt:
        stopped_by = End.INTERRUPTED
    return meter.tuning(stopped_by, bound_ns)


@dataclass(kw_only=True)
class _Meter:
    """The observer of `refine` that measures stages."""

    problem: Problem
    question: Question
    measure: Measure
    prepare: Prepare
    tolerance: Tolerance
    tell: Callable[[Iteration], None]
    known: dict[Range, int] = field(default_factory=dict)
    best: Plan | None = None
    best_ns: int | None = None
    measurements: int = 0
    iterations: list[Iteration] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.known = dict(self.problem.measured_ns)
        self.model = replace(self.problem, measured=())
        self.optimism = _Optimism(self.model, self.tolerance)
        self.believed = self.problem

    def propose(self, best_ns: int | None) -> Proposal[Plan]:
        """Return the best plan under measured costs, and others that are as low as they may be."""
        if best_ns is not None:  # a stage that all TPUs share may take that much longer
            self.believed = self.optimism.problem(self.known, best_ns * self.problem.tpus)
        found = answer(self.believed, self.question, planner=PLANNER)
        return Proposal(plan=found.plan, cost_ns=found.score.period_ns if found.score else 0)

    def observe(self, proposal: Proposal[Plan], best_ns: int | None) -> int | None:
        """Measure the stages of a plan that are not known yet, the slowest first, while it can still be the best."""
        plan = proposal.plan
        assert plan is not None
        stages = {(s.ops[0], s.ops[-1] + 1): s.replicas for pipeline in plan.pipelines for s in pipeline.stages}
        slowest_first = sorted(stages, key=lambda r: -stage_score(self.model, range(*r)).time_ns / stages[r])
        least_ns = self._least_ns(plan, stages)
        for stage in slowest_first:
            if best_ns is not None and least_ns >= best_ns:
                break
            if stage not in self.known:
                self.prepare([s for s in slowest_first if s not in self.known])
                self.known[stage] = self.measure(*stage)
                self.measurements += 1
                least_ns = self._least_ns(plan, stages)
        complete = all(stage in self.known for stage in stages)
        if complete and (best_ns is None or least_ns < best_ns):
            self.best, self.best_ns = plan, least_ns
        self.iterations.append(
            Iteration(
                number=len(self.iterations) + 1,
                plan=plan,
                predicted_ns=proposal.cost_ns,
                measured_ns=least_ns,
                complete=complete,
                measurements=self.measurements,
                best_ns=self.best_ns,
            )
        )
        self.tell(self.iterations[-1])
        return least_ns if complete else None

    def tuning(self, stopped_by: End, bound_ns: int) -> Tuning:
        return Tuning(
            problem=replace(self.model, measured=tuple(_stages(self.known))),
            question=self.question,
            plan=self.best,
            period_ns=self.best_ns,
            bound_ns=bound_ns,
            iterations=tuple(self.iterations),
            measurements=self.measurements,
            scale=median(self.optimism.ratios(self.known) or [1.0]),
            stopped_by=stopped_by,
        )

    def _least_ns(self, plan: Plan, stages: Iterable[Range]) -> int:
        """Return the period of a plan at least: its stages as measured, others in no time."""
        known = {stage: self.known.get(stage, 0) for stage in stages}
        return score_plan(replace(self.model, measured=tuple(_stages(known))), plan).period_ns


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
