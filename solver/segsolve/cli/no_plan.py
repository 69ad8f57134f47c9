"""The end of a search that found no plan."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import typer

from segsolve.cli.guard import say_error
from segsolve.errors import ExitCode

if TYPE_CHECKING:
    from segsolve.pool.answer import PoolAnswer
    from segsolve.search.answer import Answer


@dataclass(frozen=True, slots=True)
class Rule:
    """What no plan keeps, and what may be done about it."""

    keeps: str
    hint: str


ON_CHIP = Rule("keeps all weights on chip", "give more TPUs, or leave out --no-spill")
CONSTRAINTS = Rule("keeps the constraints", "give more TPUs, or loosen the constraints")
GRAPH = Rule("keeps the memory and runs every operation", "give more devices or more memory")


def no_plan(devices: str, result: Answer | PoolAnswer, rule: Rule, who: str = "the search") -> typer.Exit:
    """Say why there is no plan on some devices, and return the exit to raise."""
    from segsolve.solvers.base import Status, Stop

    if result.stopped_by is Stop.INTERRUPTED:
        say_error(f"{who} was interrupted before it found a plan")
        return typer.Exit(ExitCode.INTERRUPTED)
    if result.status is Status.INFEASIBLE:
        return impossible(devices, rule, result.proof)
    hint = "give more time" if result.stopped_by is Stop.TIME_LIMIT else rule.hint
    done = "none that was tried keeps what was asked for" if result.stopped_by is Stop.FINISHED else result.stopped_by
    say_error(f"{who} found no plan on {devices}: {result.note or done}", hint)
    return typer.Exit(ExitCode.NO_PLAN)


def impossible(devices: str, rule: Rule, proof: str | None = None) -> typer.Exit:
    """Say that there is no plan on some devices, and return the exit to raise."""
    say_error(f"no plan on {devices} {rule.keeps}{f' ({proof})' if proof else ''}", rule.hint)
    return typer.Exit(ExitCode.NO_PLAN)
