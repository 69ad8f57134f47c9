"""The end of a search that found no plan."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from segsolve.cli.guard import say_error
from segsolve.errors import ExitCode

if TYPE_CHECKING:
    from segsolve.planners.base import SolveResult
    from segsolve.problem import Problem


def no_plan(problem: Problem, result: SolveResult) -> typer.Exit:
    """Say why there is no plan, and return the exit to raise."""
    from segsolve.planners.base import Status, Stop
    from segsolve.report.units import count

    if result.stopped_by is Stop.INTERRUPTED:
        say_error(f"{result.planner} was interrupted before it found a plan")
        return typer.Exit(ExitCode.INTERRUPTED)
    if result.status is Status.INFEASIBLE:
        proof = f" ({result.proof})" if result.proof else ""
        say_error(
            f"no plan on {count(problem.tpus, 'TPU')} keeps all weights on chip{proof}",
            "give more TPUs, or leave out --no-spill",
        )
    else:
        why = result.note or result.stopped_by
        say_error(f"{result.planner} found no plan: {why}", "try another --planner, or more time")
    return typer.Exit(ExitCode.NO_PLAN)
