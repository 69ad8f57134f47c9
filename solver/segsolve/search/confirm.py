"""Other ways to what the search found, each of which says itself what it showed: evaluator, CP-SAT, certificate."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from segsolve.deadline import OutOfTime, left_s
from segsolve.errors import SolverFault
from segsolve.solvers.base import Confirmation, Limits
from segsolve.solvers.statement import Statement
from segsolve_runtime.contract.wording import percent

MOST_SECONDS = 5.0
"""That CP-SAT may take to refute an answer's claims."""
_Made = TypeVar("_Made")


def confirmed(by: str, claim: str, strength: str, make: Callable[[], _Made]) -> tuple[_Made, Confirmation]:
    """Do the work behind a confirmation, and return what it made with what it shows and took."""
    start = time.perf_counter()
    made = make()
    return made, Confirmation(by=by, claim=claim, strength=strength, seconds=time.perf_counter() - start)


def refuted(statements: Sequence[Statement], what: str, limits: Limits) -> tuple[Confirmation | None, float]:
    """Let CP-SAT look for a pipeline that contradicts a claim; `what` says what all claims together are.

    Return its confirmation, None if it did not come to an end, and the deterministic seconds that it took.

    Raises:
        SolverFault: it finds one.
    """
    from segsolve.solvers.cpsat.claims import refute

    start = time.perf_counter()
    left = min(MOST_SECONDS, left_s())
    try:
        done = refute(statements, replace(limits, time_limit_s=left))
    except OutOfTime:
        return None, 0.0
    if done.contradicted:
        raise SolverFault(f"CP-SAT finds a pipeline where there is to be none: {what}", "please report this")
    if not done.finished or not done.claims:
        return None, done.deterministic_s
    which = "" if done.claims == done.of else f" ({done.claims} of {done.of} claims)"
    many = f"{done.stages} {'stage' if done.stages == 1 else 'stages'}"
    strength = f"refuted among {many} of pipelines that come within {percent(done.within)} of it"
    if not done.stages:
        strength = f"no stage is on a pipeline that comes within {percent(done.within)} of the contrary"
    seconds = time.perf_counter() - start
    return Confirmation(by="cp-sat", claim=f"{what}{which}", strength=strength, seconds=seconds), done.deterministic_s
