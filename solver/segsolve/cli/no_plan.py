"""The end of a search that found no plan."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import typer

from segsolve.cli.guard import say_error
from segsolve.errors import ExitCode

if TYPE_CHECKING:
    from segsolve.planners.base import Status, Stop
    from segsolve.problem import Problem


class Outcome(Protocol):
    """What a search without a plan says of itself."""

    @property
    def planner(self) -> str:
        """Who searched."""
        ...

    @property
    def status(self) -> Status:
        """What is known."""
        ...

    @property
    def stopped_by(self) -> Stop:
        """Why it stopped."""
        ...

    @property
    def proof(self) -> str | None:
        """Why there is no plan."""
        ...

    @property
    def note(self) -> str:
        """What is unusual."""
        ...


def no_plan(problem: Problem, result: Outcome, *, is_constrained: bool = False) -> typer.Exit:
    """Say why there is no plan, and return the exit to raise."""
    from segsolve.planners.base import Status, Stop
    from segsolve.report.units import count

    if result.stopped_by is Stop.INTERRUPTED:
        say_error(f"{result.planner} was interrupted before it found a plan")
        return typer.Exit(ExitCode.INTERRUPTED)
    if result.status is Status.INFEASIBLE:
        proof = f" ({result.proof})" if result.proof else ""
        what = "keeps the constraints" if is_constrained else "keeps all weights on chip"
        loosen = "loosen the constraints" if is_constrained else "leave out --no-spill"
        say_error(f"no plan on {count(problem.tpus, 'TPU')} {what}{proof}", f"give more TPUs, or {loosen}")
    else:
        why = result.note or result.stopped_by
        say_error(f"{result.planner} found no plan: {why}", "try another --planner, or more time")
    return typer.Exit(ExitCode.NO_PLAN)
