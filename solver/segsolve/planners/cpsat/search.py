"""One run of CP-SAT: parameters, progress, interruption."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

from ortools.sat.python import cp_model

from segsolve.errors import SolverFault
from segsolve.planners.base import Limits, Observer, Progress, Status, Stop

_STATUS = {
    cp_model.OPTIMAL: Status.OPTIMAL,
    cp_model.FEASIBLE: Status.FEASIBLE,
    cp_model.INFEASIBLE: Status.INFEASIBLE,
    cp_model.UNKNOWN: Status.UNKNOWN,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
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
    program: cp_model.CpModel, variables: Sequence[cp_model.IntVar], limits: Limits, observe: Observer, start: float
) -> Answer:
    """Solve within what `limits` leave of the time since `start`; Ctrl-C stops the search and keeps its best plan.

    Raises:
        SolverFault: CP-SAT calls the program invalid.
    """
    solver = _solver(limits, start)
    reporter = _Reporter(observe, start)
    interrupted = _solve_interruptibly(solver, program, reporter)
    if reporter.failure is not None:
        raise reporter.failure
    return _answer(solver, variables, interrupted)


def _solver(limits: Limits, start: float) -> cp_model.CpSolver:
    solver = cp_model.CpSolver()
    parameters = solver.parameters
    parameters.num_workers = limits.workers
    parameters.random_seed = limits.seed
    parameters.catch_sigint_signal = False
    # One worker without linear relaxation proves these programs fastest: their relaxation is weak and the windows
    # do the work. The inclusion limit keeps out the presolve step behind the wrong answers of OR-Tools 9.15.
    parameters.linearization_level = 0
    parameters.presolve_inclusion_work_limit = 0
    if limits.time_limit_s is not None:
        parameters.max_time_in_seconds = max(0.0, limits.time_limit_s - (time.perf_counter() - start))
    return solver


def _solve_interruptibly(solver: cp_model.CpSolver, program: cp_model.CpModel, reporter: _Reporter) -> bool:
    """Solve in a thread, because a signal reaches Python only between its own instructions; say if one came."""
    failure: list[BaseException] = []

    def solve() -> None:
        try:
            solver.solve(program, reporter)
        except BaseException as error:
            failure.append(error)

    thread = threading.Thread(target=solve, name="cp-sat", daemon=True)
    thread.start()
    interrupted = False
    while thread.is_alive():
        try:
            thread.join(0.2)
        except KeyboardInterrupt:
            interrupted = True
            reporter.stop_search()
            solver.stop_search()
    if failure:
        raise failure[0]
    return interrupted


def _answer(solver: cp_model.CpSolver, variables: Sequence[cp_model.IntVar], interrupted: bool) -> Answer:
    response = solver.response_proto
    if response.status == cp_model.MODEL_INVALID:
        raise SolverFault("CP-SAT calls the constraint program invalid", "please report this with the model")
    status = _STATUS[response.status]
    found = status in (Status.OPTIMAL, Status.FEASIBLE)
    finished = status in (Status.OPTIMAL, Status.INFEASIBLE)
    return Answer(
        status=status,
        values=tuple(solver.value(v) for v in variables) if found else (),
        objective=round(solver.objective_value) if found else None,
        bound=max(0, round(solver.best_objective_bound)) if status != Status.INFEASIBLE else 0,
        stopped_by=Stop.FINISHED if finished else Stop.INTERRUPTED if interrupted else Stop.TIME_LIMIT,
        deterministic_s=response.deterministic_time,
    )
