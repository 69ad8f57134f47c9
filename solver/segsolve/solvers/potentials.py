"""The linear program behind the pattern bound, for HiGHS: potentials under which known patterns are worth little.

maximise    sum over m of pi_m(end)
subject to  sum over stages (m, a, b) of p of pi_m(b) - pi_m(a) <= z_kind(p)    for every pattern p
            sum over kinds of n_c z_c = 1,   pi_m(0) = 0,   pi_m does not fall
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import accumulate, pairwise

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_MOST = 100.0  # of a potential: the program is bounded before patterns are known for all states


def most_worth(
    states: Sequence[int], counts: Sequence[int], patterns: Iterable[tuple[int, frozenset[tuple[int, int, int]]]]
) -> tuple[float, list[Floats], Floats, Floats]:
    """Return the largest sum of ends, potentials [states] of models, each pattern's distance from its kind and dual.

    The dual says how many TPUs have the pattern in the program's answer, where all there are have the sum of ends.

    `states` are the numbers of states of each model, `counts` the devices of each kind; a pattern is a kind and stages
    (model, first state, last state).
    """
    from scipy.optimize import linprog
    from scipy.sparse import csr_array

    starts = [0, *accumulate(n - 1 for n in states)]  # of each model's potentials but for the first, which is 0
    width = starts[-1] + len(counts)
    known = list(patterns)
    rows: list[int] = []
    columns: list[int] = []
    values: list[float] = []
    for row, (kind, stages) in enumerate(known):
        for m, a, b in stages:
            rows.append(row)
            columns.append(starts[m] + b - 1)
            values.append(1.0)
            if a:
                rows.append(row)
                columns.append(starts[m] + a - 1)
                values.append(-1.0)
        rows.append(row)
        columns.append(starts[-1] + kind)
        values.append(-1.0)
    falls = np.setdiff1d(np.arange(starts[-1]), np.array(starts[1:]) - 1)  # from each potential to the next
    extra = len(known) + np.arange(len(falls))
    held = csr_array(
        (
            np.concatenate((values, np.ones(len(falls)), -np.ones(len(falls)))),
            (np.concatenate((rows, extra, extra)), np.concatenate((columns, falls, falls + 1)).astype(np.int64)),
        ),
        shape=(len(known) + len(falls), width),
    )
    worth = np.concatenate((np.zeros(starts[-1]), np.array(counts, dtype=float)))
    ends = np.zeros(width)
    ends[np.array(starts[1:]) - 1] = -1.0
    found = linprog(
        ends,
        A_ub=held,
        b_ub=np.zeros(held.shape[0]),
        A_eq=csr_array(worth[None, :]),
        b_eq=[1.0],
        bounds=(0, _MOST),
        method="highs-ds",
    )
    if found.x is None:
        raise ArithmeticError(f"HiGHS found no potentials: {found.message}")
    potentials = [np.concatenate(([0.0], found.x[low:high])) for low, high in pairwise(starts)]
    slack, dual = found.slack[: len(known)], -found.ineqlin.marginals[: len(known)]
    return -float(found.fun), potentials, np.asarray(slack, dtype=np.float64), np.asarray(dual, dtype=np.float64)
