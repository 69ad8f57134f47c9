"""The search on a DAG, and then an independent word on what it calls optimal.

While the ideals that a better plan could have between its stages are few, the exact probe over them settles it to the
ns; else the second solver.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from segsolve.errors import SolverFault
from segsolve.problem import Problem
from segsolve.search.answer import Answer
from segsolve.search.ladder.second_solver import MARGIN, Verdict, certify
from segsolve.search.ladder.solve import largest_ns, solve_dag
from segsolve.solvers.base import Confirmation, Limits, Observer, Status, ignore
from segsolve.solvers.ladder import probe
from segsolve.solvers.ladder.bounds import Bounds
from segsolve.solvers.ladder.dag import Dag, dag_of
from segsolve.solvers.ladder.reduce import reduced, relaxed
from segsolve_runtime.contract.wording import exact_ms

MOST_IDEALS = probe.MOST
TIME_LIMIT_S = 5.0
"""Of all confirmations together."""
_FOR_PROBE = 0.9
"""The share of it that the probe may take."""
SOLVERS_WORD = "optimal (solver's word)"


def solve_and_confirm(
    problem: Problem,
    *,
    stages: int,
    hint: Sequence[Sequence[int]] | None = None,
    limits: Limits | None = None,
    observe: Observer = ignore,
    certificate_s: float = TIME_LIMIT_S,
) -> Answer:
    """Return the best pipeline as `solve_dag` does; an optimum has a proof, or a note that it has only CP-SAT's word.

    `confirmed_by` are the confirmations that ran; together they take `certificate_s` at most.

    Raises:
        SolverFault: the solvers contradict each other, a known plan, or the evaluator.
    """
    result = solve_dag(problem, stages=stages, hint=hint, limits=limits, observe=observe)
    if result.status is Status.INFEASIBLE:
        none = _probe(problem, stages, largest_ns(problem) + 1, certificate_s)
        return result if none is None else replace(result, confirmed_by=(none,))
    if result.status is not Status.OPTIMAL or result.objective_ns is None:
        return result
    begin = time.perf_counter()
    found = _probe(problem, stages, result.objective_ns, certificate_s * _FOR_PROBE)
    if found is not None:
        return replace(result, confirmed_by=(found,))
    left = max(0.0, certificate_s - (time.perf_counter() - begin))
    said = certify(problem, stages=stages, objective_ns=result.objective_ns, time_limit_s=left)
    if said.verdict is not Verdict.CONFIRMED:
        return replace(result, note=f"{SOLVERS_WORD}: {said.how}")
    by = Confirmation(
        by="highs" if said.how.startswith("HiGHS") else "bounds",
        claim=_claim(problem, stages, said.refuted_ns),
        strength=f"within one part in {MARGIN:,}",
        seconds=said.wall_s,
    )
    return replace(result, confirmed_by=(by,))


def _probe(problem: Problem, stages: int, objective_ns: int, time_limit_s: float) -> Confirmation | None:
    """Return what an exact probe shows; None if it does not finish."""
    begin = time.perf_counter()
    until = begin + time_limit_s
    dag = reduced(dag_of(problem))
    smaller = relaxed(dag)
    found = None if smaller is None else _exists(smaller, stages, objective_ns - 1, until)
    if found is None or found.exists:
        found = _exists(dag, stages, objective_ns - 1, until)
    if found is None:
        return None
    if found.exists:
        raise SolverFault(f"an exact probe finds a plan below {objective_ns} ns, where there is to be none")
    return Confirmation(
        by="exact probe" if found.ideals else "bounds",
        claim=_claim(problem, stages, objective_ns - 1) + (f", over {found.ideals} ideals" if found.ideals else ""),
        strength="exact",
        seconds=time.perf_counter() - begin,
    )


def _exists(dag: Dag, stages: int, bound_ns: int, until: float) -> probe.Probe | None:
    bounds = Bounds(dag, stages)
    return probe.probe(dag, bounds, bound_ns, most=MOST_IDEALS, is_late=lambda: time.perf_counter() > until)


def _claim(problem: Problem, stages: int, bound_ns: int) -> str:
    cores = f" and {_many(problem.cpus, 'CPU core')}" if problem.cpus else ""
    what = f"no pipeline of at most {_many(stages, 'accelerator')}{cores}"
    if bound_ns >= largest_ns(problem):
        return f"{what} keeps the memory and runs every operation"
    return f"{what} has a bottleneck of {exact_ms(bound_ns)} or less"


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
