"""The default planner: heuristics for a start, then the constraint program for the optimum.

First the smallest bottleneck; then, among all plans that have it, the smallest latency.
"""

from __future__ import annotations

import time
from dataclasses import replace

from segsolve.cost.segment_table import IMPOSSIBLE, SegmentTable
from segsolve.errors import SolverFault
from segsolve.problem import Problem, Segmentation
from segsolve.search.base import SolveResult
from segsolve.search.chain.bounds import lower_bound
from segsolve.search.chain.table import segment_table
from segsolve.search.chain.tie_break import best_path
from segsolve.search.strategies import HEURISTICS, get_planner
from segsolve.solvers.base import Limits, Observer, Progress, Status, Stop, ignore
from segsolve.solvers.cpsat.windows import windows, within_latency


class ConstraintProgramming:
    """CP-SAT over cut positions, within windows that the best heuristic leaves."""

    name = "cpsat"

    def solve(self, problem: Problem, limits: Limits, observe: Observer) -> SolveResult:
        """Return the optimal plan, or the best one known when the search was stopped.

        Raises:
            SolverFault: CP-SAT contradicts a plan that is known to be valid.
        """
        start = time.perf_counter()
        table = segment_table(problem)
        bound = lower_bound(table)
        incumbent = _best_heuristic(problem)
        known = incumbent.objective_ns if incumbent else None
        upper = known if known is not None else _slowest(table)
        observe(Progress(objective_ns=known, bound_ns=bound, wall_s=time.perf_counter() - start))
        search = _Search(table, limits, observe, start)
        result = search.smallest_bottleneck(bound, upper, incumbent)
        if result.status is Status.OPTIMAL:
            result = search.smallest_latency(result)
        return replace(result, wall_s=time.perf_counter() - start)


class _Search:
    """The two solves, and what they share."""

    def __init__(self, table: SegmentTable, limits: Limits, observe: Observer, start: float) -> None:
        self._table, self._limits, self._observe, self._start = table, limits, observe, start

    def smallest_bottleneck(self, bound: int, upper: int, incumbent: SolveResult | None) -> SolveResult:
        """Minimise the bottleneck below the incumbent's."""
        from segsolve.solvers.cpsat.cuts import build, hint_path, minimise_bottleneck
        from segsolve.solvers.cpsat.engine import run

        space = windows(self._table, upper)
        if space.empty or bound > upper:
            return self._infeasible(bound, incumbent, "the windows are empty", has_run=False)
        model = build(space)
        minimise_bottleneck(model, bound, upper)
        if incumbent and incumbent.plan:
            hint_path(model, self._table.path(incumbent.plan))
        answer = run(model.program, model.cut, limits=self._limits, observe=self._observe, start=self._start)
        if answer.status is Status.INFEASIBLE:
            return self._infeasible(bound, incumbent, "CP-SAT calls the program infeasible", has_run=True)
        plan = self._plan(answer.values) if answer.values else incumbent.plan if incumbent else None
        objective = answer.objective if answer.objective is not None else incumbent.objective_ns if incumbent else None
        status = answer.status if answer.values else Status.FEASIBLE if plan else Status.UNKNOWN
        return SolveResult(
            planner=ConstraintProgramming.name,
            found_by="cp-sat" if answer.values else incumbent.found_by if incumbent else "",
            status=status,
            plan=plan,
            objective_ns=objective,
            bound_ns=max(bound, answer.bound),
            stopped_by=answer.stopped_by,
            wall_s=0.0,
            deterministic_s=answer.deterministic_s,
            seed=self._limits.seed,
        )

    def smallest_latency(self, result: SolveResult) -> SolveResult:
        """Among the plans with the optimal bottleneck, take the one of the smallest latency.

        The dynamic program that makes the plan unique gives the upper bound that the windows follow from; CP-SAT
        must come to the same latency.
        """
        from segsolve.solvers.cpsat.cuts import build, minimise_latency
        from segsolve.solvers.cpsat.engine import run

        assert result.objective_ns is not None
        path = best_path(self._table.time, self._table.most_stages, result.objective_ns)
        if path is None:
            raise SolverFault("CP-SAT's bottleneck is out of reach for the dynamic program")
        latency = self._table.latency(path)
        model = build(within_latency(windows(self._table, result.objective_ns), latency))
        minimise_latency(model)
        answer = run(
            model.program,
            model.cut,
            limits=self._limits,
            observe=ignore,
            start=self._start,
            linear_relaxation=True,
        )
        if answer.status is Status.INFEASIBLE or answer.objective not in (None, latency):
            raise SolverFault(f"CP-SAT and the dynamic program disagree on the smallest latency, {latency} ns")
        spent = result.deterministic_s + answer.deterministic_s
        return replace(result, plan=self._table.plan(path), deterministic_s=spent)

    def _infeasible(self, bound: int, incumbent: SolveResult | None, why: str, *, has_run: bool) -> SolveResult:
        if incumbent is not None:
            raise SolverFault(f"{why}, but {incumbent.planner} found a plan of {incumbent.objective_ns} ns")
        return SolveResult(
            planner=ConstraintProgramming.name,
            found_by="cp-sat" if has_run else "windows",
            status=Status.INFEASIBLE,
            plan=None,
            objective_ns=None,
            bound_ns=bound,
            stopped_by=Stop.FINISHED,
            wall_s=0.0,
            seed=self._limits.seed,
        )

    def _plan(self, cut: tuple[int, ...]) -> Segmentation:
        ends = tuple(dict.fromkeys(cut[1:]))
        return self._table.plan(ends)


def _best_heuristic(problem: Problem) -> SolveResult | None:
    results = (get_planner(name).solve(problem, Limits(), ignore) for name in HEURISTICS)
    found = [r for r in results if r.objective_ns is not None]
    return min(found, key=lambda r: r.objective_ns or 0, default=None)


def _slowest(table: SegmentTable) -> int:
    possible = table.time[table.time < IMPOSSIBLE]
    return int(possible.max(initial=0))


PLANNER = ConstraintProgramming()
