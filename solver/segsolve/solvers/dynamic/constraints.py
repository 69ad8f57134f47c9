"""Which stages the constraints leave, one builder each: a table of times in which the others are impossible."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from segsolve.cost.segment_table import IMPOSSIBLE
from segsolve.cost.stage_table import StageTable
from segsolve.question import Constraints

Allowed = NDArray[np.bool_]


def allowed_time(table: StageTable, constraints: Constraints) -> NDArray[np.int64]:
    """Return the time [n, n] of the stages that keep what does not depend on a stage's number."""
    time = table.time
    for allowed in _masks(table, constraints):
        time = np.where(allowed, time, IMPOSSIBLE)
    return time


def allowed_at(table: StageTable, constraints: Constraints) -> Callable[[int], Allowed | None] | None:
    """Return which stages [n, n] may be the stage of a number, None for all; None if every number may be any."""
    if not constraints.pins:
        return None

    def allowed(stage: int) -> Allowed:
        made = np.ones((len(table.members), len(table.members)), dtype=np.bool_)
        for op, wanted in constraints.pins:
            made &= holds(table, op) if stage == wanted else ~holds(table, op)
        return made

    return allowed


def holds(table: StageTable, op: int) -> Allowed:
    """Return which stages [n, n] hold an operation."""
    done = table.members[:, op]
    return np.asarray(~done[:, None] & done[None, :], dtype=np.bool_)


def keep_together(table: StageTable, ops: tuple[int, ...]) -> Allowed:
    """Return the stages that hold all of the operations, or none."""
    held = np.stack([holds(table, op) for op in ops])
    return np.asarray(np.logical_or(held.all(axis=0), ~held.any(axis=0)), dtype=np.bool_)


def cut_before(table: StageTable, op: int) -> Allowed:
    """Return the stages that end before an operation of the execution order, or begin there or later."""
    ends = np.asarray(~table.members[:, op:].any(axis=1))
    begins = np.asarray(table.members[:, :op].all(axis=1))
    return np.asarray(np.logical_or(ends[None, :], begins[:, None]), dtype=np.bool_)


def _masks(table: StageTable, constraints: Constraints) -> list[Allowed]:
    return [
        *(keep_together(table, group) for group in constraints.keep_together),
        *(cut_before(table, op) for op in constraints.cut_before),
    ]
