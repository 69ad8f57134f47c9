"""One run of CP-SAT: parameters, progress, interruption."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any

from ortools.sat.python import cp_model

from segsolve.deadline import left_s
from segsolve.errors import SolverFault
from segsolve.solvers.base import Limits, Observer, Progress, Status, Stop

_STATUS = {
    cp_model.OPTIMAL: Status.OPTIMAL,
    cp_model.FEASIBLE: Status.FEASIBLE,
    cp_model.INFEASIBLE: Status.INFEASIBLE,
    cp_model.UNKNOWN: Status.UNKNOWN,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Solution:
    """What CP-SAT says: the values of the variables asked for, the objective and its bound."""

    status: Status
    values: tuple[int, ...]
    objective: int | None
    bound: int
    stopped_by: Stop
    deterministic_s: float


class _Reporter(cp_model.CpSolverSolutionCallback):  # type: ignore[misc]
    """Hands every incumbent to the observer; an exception here would abort the process, so it is kept."""

    def __init__(self, observe: Observer, start: float) -> None:
        super().__init__()
        self._observe, self._start = observe, start
        self.failure: BaseException | None = None

    def on_solution_callback(self) -> None:
        try:
            self._observe(
                Progress(
                    objective_ns=round(self.objective_value),
                    bound_ns=round(self.best_objective_bound),
                    wall_s=time.perf_counter() - self._start,
                )
            )
        except BaseException as error:
            self.failure = error
            self.stop_search()


def run(
    program: cp_model.CpModel,
    variables: Sequence[cp_model.IntVar],
    *,
    limits: Limits,
    observe: Observer,
    start: float,
    linear_relaxation: bool = False,
    configure: Callable[[Any], None] | None = None,
) -> Solution:
    """Solve within what `limits` leave of the time since `start`; Ctrl-C stops the search and keeps its best plan.

    The linear relaxation is worthless for a bottleneck, whose proof is the work of the windows, and tight for a sum.
    `configure` may change CP-SAT's parameters.

    Raises:
        SolverFault: CP-SAT calls the program invalid.
    """
    solver = _solver(limits, start, linear_relaxation)
    if configure is not None:
        configure(solver.parameters)
    reporter = _Reporter(observe, start)
    interrupted = _solve_interruptibly(solver, program, reporter)
    if reporter.failure is not None:
        raise reporter.failure
    return _answer(solver, program, variables, interrupted)


def _solver(limits: Limits, start: float, linear_relaxation: bool) -> cp_model.CpSolver:
    solver = cp_model.CpSolver()
    parameters = solver.parameters
    parameters.num_workers = limits.workers
    parameters.random_seed = limits.seed
    # CP-SAT's own handler does not restore Python's: after a solve, Ctrl-C would kill the process without a word.
    parameters.catch_sigint_signal = False
    parameters.linearization_level = 2 if linear_relaxation else 0
    # On these programs probing and the search for symmetry take most of the time and find nothing.
    parameters.cp_model_probing_level = 0
    parameters.symmetry_level = 0
    # Keeps out the presolve step behind the wrong answers of OR-Tools 9.15, see the solver's README.
    parameters.presolve_inclusion_work_limit = 0
    limit = inf if limits.time_limit_s is None else limits.time_limit_s - (time.perf_counter() - start)
    if (left := min(limit, left_s())) < inf:
        parameters.max_time_in_seconds = max(0.0, left)
    return solver


def _solve_interruptibly(solver: cp_model.CpSolver, program: cp_model.CpModel, reporter: _Reporter) -> bool:
    """Solve in a thread, because a signal reaches Python only between its own instructions; say if one came."""
    failure: list[BaseException] = []
    done = threading.Event()  # Thread.join, when interrupted, calls a running thread finished (Python 3.11, 3.12)

    def solve() -> None:
        try:
            solver.solve(program, reporter)
        except BaseException as error:
            failure.append(error)
        finally:
            done.set()

    threading.Thread(target=solve, name="cp-sat", daemon=True).start()
    interrupted = False
    while not done.is_set():
        try:
            done.wait(0.2)
        except KeyboardInterrupt:
            interrupted = True
        if interrupted:
            solver.stop_search()  # again each time: one that comes before the search began is lost
    if failure:
        raise failure[0]
    return interrupted


def _answer(
    solver: cp_model.CpSolver, program: cp_model.CpModel, variables: Sequence[cp_model.IntVar], interrupted: bool
) -> Solution:
    response, minimised = solver.response_proto, program.proto.objective
    if response.status == cp_model.MODEL_INVALID:
        if "overflow" in program.validate():  # the sum of all costs that may be does not fit; others can add them up
            return Solution(
                status=Status.UNKNOWN, values=(), objective=None, bound=0, stopped_by=Stop.FINISHED, deterministic_s=0
            )
        raise SolverFault("CP-SAT calls the constraint program invalid", "please report this with the model")
    status = _STATUS[response.status]
    found = status in (Status.OPTIMAL, Status.FEASIBLE)
    finished, may_be = status in (Status.OPTIMAL, Status.INFEASIBLE), status is not Status.INFEASIBLE
    return Solution(
        status=status,
        values=tuple(solver.value(v) for v in variables) if found else (),
        # Summed up here, since CP-SAT's own numbers are floats, which are exact up to 2^53 only.
        objective=_sum(minimised, response.solution) if found else None,
        bound=max(0, response.inner_objective_lower_bound + int(minimised.offset)) if may_be else 0,
        stopped_by=Stop.FINISHED if finished else Stop.INTERRUPTED if interrupted else Stop.TIME_LIMIT,
        deterministic_s=response.deterministic_time,
    )


def _sum(minimised: Any, values: Sequence[int]) -> int:
    terms: list[int] = [c * values[v] for v, c in zip(minimised.vars, minimised.coeffs, strict=True)]
    return int(minimised.offset) + sum(terms)
