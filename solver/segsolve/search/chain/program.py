"""The default planner: heuristics for a start, then the constraint program for the optimum.

First the smallest bottleneck; then, among all plans that have it, the smallest latency.
"""

from __future__ import annotations

import time
from dataclasses import replace
from fractions import Fraction

from segsolve.cost.table import IMPOSSIBLE, StageTable
from segsolve.deadline import OutOfTime, check, deadline
from segsolve.errors import SolverFault
from segsolve.plan.model import cut_at
from segsolve.problem import Problem
from segsolve.search.answer import Answer
from segsolve.search.base import found
from segsolve.search.chain.bounds import bound_of_work, lower_bound
from segsolve.search.chain.table import cuts_of, is_long, latency_of, path_of, segment_table
from segsolve.search.chain.tie_break import best_path
from segsolve.search.strategies import HEURISTICS, get_planner
from segsolve.solvers.base import Limits, Observer, Progress, Status, Stop, ignore
from segsolve.solvers.cpsat.windows import windows, within_latency


class ConstraintProgramming:
    """CP-SAT over cut positions, within windows that the best heuristic leaves."""

    name = "cpsat"

    def solve(self, problem: Problem, limits: Limits, observe: Observer) -> Answer:
        """Return the optimal plan, or the best one known when the search was stopped.

        Raises:
            SolverFault: CP-SAT contradicts a plan that is known to be valid.
        """
        start = time.perf_counter()
        with deadline(limits.time_limit_s):
            known = _Known(problem, limits)
            try:
                known.find(observe, start)
            except OutOfTime:
                known.result = replace(known.result, stopped_by=Stop.TIME_LIMIT)
            except KeyboardInterrupt:
                known.result = replace(known.result, stopped_by=Stop.INTERRUPTED)
        return replace(known.result, wall_s=time.perf_counter() - start)


class _Known:
    """The best result so far: a heuristic's, then CP-SAT's, whatever ends the search."""

    def __init__(self, problem: Problem, limits: Limits) -> None:
        self._problem, self._limits = problem, limits
        self.result = found(
            problem,
            ConstraintProgramming.name,
            None,
            None,
            status=Status.UNKNOWN,
            bound_ns=bound_of_work(problem),
            seed=limits.seed,
        )

    def find(self, observe: Observer, start: float) -> None:
        """Try the heuristics, then the constraint program within the windows that they leave."""
        incumbent = self._try_heuristics()
        known = incumbent.objective_ns if incumbent else None
        observe(Progress(objective_ns=known, bound_ns=self.result.bound_ns, wall_s=time.perf_counter() - start))
        table = segment_table(self._problem)
        bound = lower_bound(table)
        self.result = replace(self.result, bound=Fraction(bound if known is None else min(bound, known)))
        observe(Progress(objective_ns=known, bound_ns=bound, wall_s=time.perf_counter() - start))
        search = _Search(self._problem, table, self._limits, observe, start)
        best = search.smallest_bottleneck(bound, known if known is not None else _slowest(table), incumbent)
        if best.status is not Status.OPTIMAL:
            self.result = best
            return
        self.result = replace(best, status=Status.FEASIBLE)  # until the plan is the preferred one, which is unique
        self.result = search.smallest_latency(best)

    def _try_heuristics(self) -> Answer | None:
        """Return the best heuristic's result; in a long chain, of those that need no table."""
        best = None
        for name in HEURISTICS:
            if name == "profiled" and is_long(self._problem):
                continue
            tried = get_planner(name).solve(self._problem, Limits(), ignore)
            if tried.objective_ns is not None and (best is None or tried.objective_ns < (best.objective_ns or 0)):
                best = tried
                self.result = replace(
                    self.result,
                    status=Status.FEASIBLE,
                    plan=best.plan,
                    value=best.value,
                    found_by=best.found_by,
                    bound=min(self.result.bound, Fraction(tried.objective_ns)),
                )
            check()
        return best


class _Search:
    """The two solves, and what they share."""

    def __init__(self, problem: Problem, table: StageTable, limits: Limits, observe: Observer, start: float) -> None:
        self._problem, self._table, self._limits, self._observe, self._start = problem, table, limits, observe, start

    def smallest_bottleneck(self, bound: int, upper: int, incumbent: Answer | None) -> Answer:
        """Minimise the bottleneck below the incumbent's."""
        from segsolve.solvers.cpsat.cuts import build, hint_path, minimise_bottleneck
        from segsolve.solvers.cpsat.engine import run

        space = windows(self._table, upper)
        if space.empty or bound > upper:
            return self._infeasible(bound, incumbent, "the windows are empty", has_run=False)
        model = build(space)
        minimise_bottleneck(model, bound, upper)
        known = incumbent.plan.cuts if incumbent and incumbent.plan else None
        if known is not None:
            hint_path(model, path_of(self._table, known))
        answer = run(model.program, model.cut, limits=self._limits, observe=self._observe, start=self._start)
        if answer.status is Status.INFEASIBLE:
            return self._infeasible(bound, incumbent, "CP-SAT calls the program infeasible", has_run=True)
        if answer.values:
            known = self._cuts(answer.values)
            value = answer.objective
        else:
            value = incumbent.objective_ns if incumbent else None
        return found(
            self._problem,
            ConstraintProgramming.name,
            known,
            value,
            status=answer.status if answer.values else Status.FEASIBLE if incumbent else Status.UNKNOWN,
            bound_ns=max(bound, answer.bound),
            found_by="cp-sat" if answer.values else incumbent.found_by if incumbent else "",
            stopped_by=answer.stopped_by,
            deterministic_s=answer.deterministic_s,
            seed=self._limits.seed,
        )

    def smallest_latency(self, result: Answer) -> Answer:
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
        latency = latency_of(self._table, path)
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
        plan = cut_at(cuts_of(self._table, path), len(self._problem.ops))
        return replace(result, plan=plan, deterministic_s=spent)

    def _infeasible(self, bound: int, incumbent: Answer | None, why: str, *, has_run: bool) -> Answer:
        if incumbent is not None:
            raise SolverFault(f"{why}, but {incumbent.planner} found a plan of {incumbent.objective_ns} ns")
        return found(
            self._problem,
            ConstraintProgramming.name,
            None,
            None,
            status=Status.INFEASIBLE,
            bound_ns=bound,
            found_by="cp-sat" if has_run else "windows",
            seed=self._limits.seed,
        )

    def _cuts(self, cut: tuple[int, ...]) -> tuple[int, ...]:
        ends = tuple(dict.fromkeys(cut[1:]))
        return cuts_of(self._table, ends)


def _slowest(table: StageTable) -> int:
    possible = table.time[table.time < IMPOSSIBLE]
    return int(possible.max(initial=0))


PLANNER = ConstraintProgramming()
