"""A second solver's word on an optimum: HiGHS shows that no plan is better by one part in 100,000.

The same ladder as a mixed-integer program, written here on its own and solved by scipy's HiGHS; it shares the groups,
the tensors and the windows with CP-SAT's program, no more. Where weights stream, the stages may choose what they
cache, which only makes plans better: no plan then means no plan by the rule of the evaluator either.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from enum import StrEnum

from segsolve.errors import SolverFault
from segsolve.problem import Problem
from segsolve.solvers.highs import MixedInteger
from segsolve.solvers.ladder.bounds import Bounds
from segsolve.solvers.ladder.dag import Dag, dag_of
from segsolve.solvers.ladder.intervals import Part
from segsolve.solvers.ladder.pricing import bottleneck_ns
from segsolve.solvers.ladder.reduce import reduced
from segsolve_runtime.contract.wording import exact_ms

MARGIN = 100_000
"""HiGHS takes rows for kept within a millionth; a tenth of the margin."""
TIME_LIMIT_S = 5.0


class Verdict(StrEnum):
    """What the second solver found out."""

    CONFIRMED = "confirmed"
    UNFINISHED = "unfinished"


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """Whether no plan has a bottleneck of at most `refuted_ns`; `how` says what showed it, or why nothing did."""

    verdict: Verdict
    refuted_ns: int
    how: str
    wall_s: float


def certify(problem: Problem, *, stages: int, objective_ns: int, time_limit_s: float = TIME_LIMIT_S) -> Certificate:
    """Try to show that no plan is better than a known one by one part in `MARGIN` (of small ones by one ns).

    Raises:
        SolverFault: there is a better plan.
    """
    start = time.perf_counter()
    dag = reduced(dag_of(problem))
    target = objective_ns - max(1, -(-objective_ns // MARGIN))
    confirmed, how = _refute(dag, stages, target, time_limit_s)
    return Certificate(
        verdict=Verdict.CONFIRMED if confirmed else Verdict.UNFINISHED,
        refuted_ns=target,
        how=how,
        wall_s=time.perf_counter() - start,
    )


def _refute(dag: Dag, tpus: int, target_ns: int, time_limit_s: float) -> tuple[bool, str]:
    if target_ns < 0:
        return True, "no time is negative"
    if dag.problem.measured:
        return False, "stages that were measured as a whole are not part of the second solver's program"
    windows = Bounds(dag, tpus).windows(target_ns)
    if windows.empty:
        return True, f"bounds: no plan of {exact_ms(target_ns)} or less"
    program = MixedInteger(dag, windows, tpus, target_ns)
    status, parts = program.solve(time_limit_s)
    if status == "infeasible":
        return True, f"HiGHS: no plan of {exact_ms(target_ns)} or less"
    if parts is not None:
        return False, _better(dag, parts, target_ns)
    return False, f"HiGHS did not finish within {time_limit_s:g} s"


def _better(dag: Dag, parts: tuple[Part, ...], target_ns: int) -> str:
    """Return why a plan that HiGHS found is none by the evaluator; raise if it is one."""
    value = bottleneck_ns(dag, parts)
    if value is not None and value <= target_ns:
        raise SolverFault(f"HiGHS finds a plan of {value} ns, better than the one that was called optimal")
    return "HiGHS finds a plan only where stages choose what they cache"
