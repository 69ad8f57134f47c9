"""The search: a start, then CP-SAT in rounds, each within the windows that the best plan so far leaves.

The first rounds are one thread without a linear relaxation, which closes most graphs within a second; then one with
it, which raises the bound of those that stay open; those that follow interleave CP-SAT's strategies in fixed portions
of work, so that the result does not depend on the number of threads. Effort is counted in CP-SAT's deterministic time:
without a time limit the same problem gives the same plan.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from enum import Enum
from fractions import Fraction
from itertools import chain, repeat
from typing import Any

from segsolve.cost.plan import score_plan
from segsolve.deadline import OutOfTime
from segsolve.errors import SolverFault
from segsolve.plan.model import Pipeline, Plan, Processor, Stage
from segsolve.problem import Problem
from segsolve.question import Cuts, Layout, Question
from segsolve.search.answer import Answer
from segsolve.search.ladder.start import Start, find_start
from segsolve.search.strategies import DEFAULT
from segsolve.solvers.base import Limits, Observer, Progress, Status, Stop, ignore
from segsolve.solvers.ladder.bounds import Bounds
from segsolve.solvers.ladder.dag import dag_of
from segsolve.solvers.ladder.intervals import Part
from segsolve.solvers.ladder.pricing import bottleneck_ns
from segsolve.solvers.ladder.reduce import reduced

START_ROUNDS = 40
MOST_EFFORT = 40.0
"""Deterministic seconds of CP-SAT for one problem, if no time limit is given."""


class _Kind(Enum):
    """How CP-SAT searches in a round."""

    CLAUSES = "one thread, no linear relaxation"
    LINEAR = "one thread, all of the linear relaxation"
    PORTFOLIO = "all strategies in turn"


_ROUNDS = (
    (_Kind.CLAUSES, 2.0),
    (_Kind.CLAUSES, 4.0),
    (_Kind.LINEAR, 6.0),
    (_Kind.PORTFOLIO, 12.0),
    (_Kind.PORTFOLIO, 24.0),
)
_LATER = (_Kind.PORTFOLIO, 48.0)
"""What the rounds are and their effort in deterministic seconds."""

GRAPH = Question(layout=Layout.PIPELINE, cuts=Cuts.DAG)
"""What the ladder answers: one pipeline of one device per stage, over all cuts, for throughput."""


def solve_dag(
    problem: Problem,
    *,
    stages: int,
    hint: Sequence[Sequence[int]] | None = None,
    limits: Limits | None = None,
    observe: Observer = ignore,
) -> Answer:
    """Return the pipeline of the smallest bottleneck of at most `stages` accelerators, and of the problem's cores.

    Operations between two legal cuts stay together. `hint` is a known plan on accelerators, the operations of each
    stage. Without a time limit the search stops after `MOST_EFFORT`.

    Raises:
        SolverFault: CP-SAT contradicts a known plan, or the evaluator.
    """
    search = _Search(problem, stages, limits or Limits(), observe)
    try:
        return search.run(hint)
    except KeyboardInterrupt:
        return search.result(Stop.INTERRUPTED)
    except OutOfTime:  # of what is around this search, which may have less of it left
        return search.result(Stop.TIME_LIMIT)


def largest_ns(problem: Problem) -> int:
    """Return a bottleneck that every valid plan keeps: everything on one device, all weights and tensors moved."""
    moved = sum(t.input_ns * len(t.consumers) + t.output_ns for t in problem.transfers)
    worked = sum(max(op.streamed_ns, op.cpu_ns or 0) for op in problem.ops)
    measured = max((stage.time_ns for stage in problem.measured), default=0)
    return max(measured, problem.overhead_ns + moved + worked)


class _Search:
    """One problem's search and what it knows so far."""

    def __init__(self, problem: Problem, stages: int, limits: Limits, observe: Observer) -> None:
        self._start = time.perf_counter()
        self._dag = reduced(dag_of(problem))
        self._tpus, self._limits, self._observe = stages, limits, observe
        self._bounds = Bounds(self._dag, stages)
        self._bound = 0
        self._best: Start | None = None
        self._proven_infeasible = False
        self._effort = 0.0
        self._found_by = "search over orders"

    def run(self, hint: Sequence[Sequence[int]] | None) -> Answer:
        """Find a start, then improve and prove it round by round."""
        self._bound = self._bounds.lower_bound()
        self._best = self._hinted(hint)
        self._find_start(START_ROUNDS)
        stop = Stop.FINISHED
        for kind, effort in chain(_ROUNDS, repeat(_LATER)):
            if self._is_closed:
                return self.result(Stop.FINISHED)
            if self._out_of_time or (self._limits.time_limit_s is None and self._effort >= MOST_EFFORT):
                return self.result(Stop.TIME_LIMIT)
            before = self._best
            stop = self._cp_sat(kind, effort)
            if stop is Stop.INTERRUPTED:
                return self.result(stop)
            if self._best is not before and not self._is_closed:
                self._find_start(2 * START_ROUNDS)
        return self.result(stop)

    def result(self, stop: Stop) -> Answer:
        """Return what is known."""
        best = self._best
        closed = best is not None and self._bound >= best.bottleneck_ns
        status = Status.OPTIMAL if closed else Status.FEASIBLE if best else Status.UNKNOWN
        if self._proven_infeasible:
            status = Status.INFEASIBLE
        plan = self._plan(best.parts) if best else None
        return Answer(
            question=GRAPH,
            planner=DEFAULT,
            status=status,
            plan=plan,
            score=score_plan(self._dag.problem, plan) if plan else None,
            value=Fraction(best.bottleneck_ns) if best else None,
            bound=Fraction(min(self._bound, best.bottleneck_ns) if best else self._bound),
            cuts="dag",
            stopped_by=stop,
            wall_s=time.perf_counter() - self._start,
            deterministic_s=self._effort,
            seed=self._limits.seed,
            found_by=self._found_by,
        )

    def _plan(self, parts: Sequence[Part]) -> Plan:
        """Return parts as a pipeline of one device per stage."""
        stages = (
            Stage(ops=self._dag.members(p.groups), processor=Processor.CPU if p.on_cpu else Processor.EDGETPU)
            for p in parts
        )
        return Plan(pipelines=(Pipeline(stages=tuple(stages)),))

    @property
    def _is_closed(self) -> bool:
        known = self._best is not None and self._bound >= self._best.bottleneck_ns
        return known or self._proven_infeasible

    @property
    def _deadline(self) -> float:
        limit = self._limits.time_limit_s
        return float("inf") if limit is None else self._start + limit

    @property
    def _out_of_time(self) -> bool:
        return time.perf_counter() >= self._deadline

    def _hinted(self, hint: Sequence[Sequence[int]] | None) -> Start | None:
        """Return a known plan, if groups are whole in it and it is valid."""
        if hint is None:
            return None
        groups = [sorted({self._dag.group_of[i] for i in ops}) for ops in hint]
        parts = tuple(Part(groups=tuple(found), on_cpu=False) for found in groups if found)
        value = bottleneck_ns(self._dag, parts) if len(parts) <= self._tpus else None
        return None if value is None else Start(bottleneck_ns=value, parts=parts)

    def _find_start(self, rounds: int) -> None:
        known = self._best
        self._best = find_start(
            self._dag,
            self._tpus,
            lower_bound_ns=self._bound,
            rounds=rounds,
            seed=self._limits.seed,
            hint=known,
            until=min(self._deadline, time.perf_counter() + 60.0),
        )
        if self._best is not None and self._best is not known:
            self._confirm(self._best, exact=True, who="the search over orders")
        self._report()

    def _cp_sat(self, kind: _Kind, effort: float) -> Stop:
        """Run CP-SAT once, within the windows of the best plan, and take over what it learns."""
        from segsolve.solvers.cpsat.engine import run
        from segsolve.solvers.cpsat.ladder import decisions, hint_parts, parts_of
        from segsolve.solvers.cpsat.ladder_program import bottleneck_program

        known = self._best
        upper = known.bottleneck_ns if known else largest_ns(self._dag.problem)
        model = bottleneck_program(self._dag, self._bounds.windows(upper), self._tpus, self._bound, upper)
        if model is None:
            self._found_by = "bounds"
            return self._refuted("the windows are empty")
        if known:
            hint_parts(model, known.parts)
        answer = run(
            model.program,
            decisions(model),
            limits=self._limits,
            observe=self._take_progress,
            start=self._start,
            configure=_configure(kind, effort, self._limits.workers),
        )
        self._effort += answer.deterministic_s
        if answer.status is Status.INFEASIBLE:
            self._found_by = "cp-sat"
            return self._refuted("CP-SAT calls the program infeasible")
        if answer.objective is not None:
            parts = parts_of(model, answer.values)
            value = bottleneck_ns(self._dag, parts)
            found = Start(bottleneck_ns=-1 if value is None else value, parts=parts)
            self._confirm(found, exact=False, who="CP-SAT", claimed=answer.objective)
            if known is None or found.bottleneck_ns < known.bottleneck_ns:
                self._best, self._found_by = found, "cp-sat"
        self._raise_bound(answer.bound)
        self._report()
        return answer.stopped_by

    def _refuted(self, why: str) -> Stop:
        """Nothing is within the upper bound: no plan at all, or a fault if one is known."""
        if self._best is not None:
            raise SolverFault(f"{why}, but a plan of {self._best.bottleneck_ns} ns is known")
        self._proven_infeasible = True
        return Stop.FINISHED

    def _raise_bound(self, bound: int) -> None:
        if self._best is not None and bound > self._best.bottleneck_ns:
            raise SolverFault(f"CP-SAT bounds the bottleneck by {bound} ns, a plan has {self._best.bottleneck_ns} ns")
        self._bound = max(self._bound, bound)

    def _confirm(self, found: Start, *, exact: bool, who: str, claimed: int | None = None) -> None:
        """Compare a claim with the evaluator, which may find less than an unfinished search claims, never more."""
        value = bottleneck_ns(self._dag, found.parts)
        claim = found.bottleneck_ns if claimed is None else claimed
        if value is None or value > claim or (exact and value != claim):
            priced = "is not valid" if value is None else f"has {value} ns"
            raise SolverFault(f"{who} claims a plan of {claim} ns, which {priced} by the evaluator")

    def _take_progress(self, event: Progress) -> None:
        """Report CP-SAT's news together with what was known before."""
        best = self._best.bottleneck_ns if self._best else None
        seen = [value for value in (best, event.objective_ns) if value is not None]
        news = replace(event, objective_ns=min(seen, default=None), bound_ns=max(self._bound, event.bound_ns))
        self._observe(news)

    def _report(self) -> None:
        best = self._best.bottleneck_ns if self._best else None
        bound = self._bound if best is None else min(self._bound, best)
        self._observe(Progress(objective_ns=best, bound_ns=bound, wall_s=time.perf_counter() - self._start))


def _configure(kind: _Kind, effort: float, workers: int) -> Callable[[Any], None]:
    """Return what sets CP-SAT's parameters.

    Interleaved strategies take portions of fixed size, so that their order does not depend on the number of threads;
    it does depend on whether there is more than one.
    """

    def configure(parameters: Any) -> None:
        parameters.max_deterministic_time = effort
        parameters.num_workers = 1
        parameters.linearization_level = 2 if kind is _Kind.LINEAR else 0
        if kind is _Kind.PORTFOLIO:
            parameters.num_workers = max(2, workers)
            parameters.interleave_search = True
            parameters.interleave_batch_size = 8
            parameters.linearization_level = 1

    return configure
