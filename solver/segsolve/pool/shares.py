"""The shares of pipelines in their models' inferences: for a fixed structure a linear program, solved in fractions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np

from segsolve.pool.evaluate import score_pool
from segsolve.pool.model import PoolProblem
from segsolve.pool.plan import PoolPlan, by_first_stage
from segsolve.solvers.prices import Floats, least_load

_DIGITS = 10**9  # of the denominator of a share
_TIGHT = 1e-7  # of a period: what is busy for so little less is busy for all of it


def with_best_shares(problem: PoolProblem, plan: PoolPlan) -> PoolPlan:
    """Return a plan with the shares that make its period the shortest; pipelines that do nothing then are left out.

    Each model's pipelines do what they can, and no shares are said, where none are better.
    """
    while True:
        models = [pipeline.model for pipeline in plan.pipelines]
        equal = tuple(replace(p, share=Fraction(1, models.count(p.model))) for p in plan.pipelines)
        loads = score_pool(problem, replace(plan, pipelines=equal)).loads_of_pipelines
        shares = least_load(loads, models)[1].tolist()
        kept = [p for p, share in enumerate(shares) if share > _TIGHT]
        if len(kept) == len(models):
            break
        plan = by_first_stage(tuple(plan.pipelines[p] for p in kept), len(problem.pool.devices))
    free = replace(plan, pipelines=tuple(replace(p, share=None) for p in plan.pipelines))
    own = fractions(models, shares, loads)
    shared = tuple(replace(p, share=share) for p, share in zip(plan.pipelines, own, strict=True))
    return min(free, replace(plan, pipelines=shared), key=lambda each: score_pool(problem, each).period)


def parts(models: Sequence[int], amounts: Sequence[Fraction]) -> list[Fraction]:
    """Return the part of each amount in those of its model."""
    totals = {
        m: sum((own for own, other in zip(amounts, models, strict=True) if other == m), Fraction(0)) for m in models
    }
    return [own / totals[m] for own, m in zip(amounts, models, strict=True)]


def fractions(models: Sequence[int], shares: Sequence[float], loads: Floats) -> list[Fraction]:
    """Return shares as fractions that make up 1 for every model.

    Those of a corner of the program solve the equations of what is busy for all of the period; else they are rounded.
    """
    near = np.array(shares)
    busy = loads @ near
    rows = [[Fraction(int(m == other)) for other in models] + [Fraction(0), Fraction(1)] for m in sorted(set(models))]
    rows += [
        [*(Fraction(load) for load in own.tolist()), Fraction(-1), Fraction(0)]
        for own in loads[busy >= busy.max() * (1 - _TIGHT)]
    ]
    exact = solved(rows)
    if exact is not None and all(abs(float(a) - b) < _TIGHT and a > 0 for a, b in zip(exact, shares, strict=False)):
        return exact[:-1]
    return parts(models, [Fraction(max(1, round(share * _DIGITS))) for share in shares])


def solved(rows: list[list[Fraction]]) -> list[Fraction] | None:
    """Return the only solution of linear equations (the last column is the right side); None if there is not just one.

    Equations that contradict the others are left out.
    """
    rows, width = [list(row) for row in rows], len(rows[0]) - 1
    for column in range(width):
        at = next((i for i in range(column, len(rows)) if rows[i][column]), None)
        if at is None:
            return None
        rows[column], rows[at] = rows[at], rows[column]
        head = rows[column] = [x / rows[column][column] for x in rows[column]]
        for i, row in enumerate(rows):
            if i != column and row[column]:
                rows[i] = [x - row[column] * y for x, y in zip(row, head, strict=True)]
    return [row[-1] for row in rows[:width]]
