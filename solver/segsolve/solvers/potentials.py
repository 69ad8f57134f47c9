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
_MOST = 100.0  # of a single rise: the program is bounded before patterns are known for all states


def most_worth(
    states: Sequence[int], counts: Sequence[int], patterns: Iterable[tuple[int, frozenset[tuple[int, int, int]]]]
) -> tuple[float, list[Floats], Floats]:
    """Return the largest sum of ends, the potentials [states] of each model, and each pattern's distance from its kind.

    `states` are the numbers of states of each model, `counts` the devices of each kind; a pattern is a kind and stages
    (model, first state, last state).
    """
    from scipy.optimize import linprog
    from scipy.sparse import csr_array

    rises = [n - 1 for n in states]
    starts = [0, *accumulate(rises)]
    width = starts[-1] + len(counts)
    rows: list[Floats] = []
    indices: list[NDArray[np.int64]] = []
    for kind, stages in patterns:
        columns = [np.arange(starts[m] + a, starts[m] + b) for m, a, b in stages]
        own = np.concatenate((*columns, [starts[-1] + kind])).astype(np.int64)
        values = np.ones(len(own))
        values[-1] = -1.0
        indices.append(own)
        rows.append(values)
    pointers = np.concatenate(([0], np.cumsum([len(row) for row in rows]))).astype(np.int64)
    held = csr_array(
        (np.concatenate(rows or [np.zeros(0)]), np.concatenate(indices or [np.zeros(0, dtype=np.int64)]), pointers),
        shape=(len(rows), width),
    )
    worth = np.concatenate((np.zeros(starts[-1]), np.array(counts, dtype=float)))
    found = linprog(
        np.concatenate((-np.ones(starts[-1]), np.zeros(len(counts)))),
        A_ub=held if rows else None,
        b_ub=np.zeros(len(rows)) if rows else None,
        A_eq=csr_array(worth[None, :]),
        b_eq=[1.0],
        bounds=(0, _MOST),
        method="highs-ds",
        options={"presolve": False},  # takes longer than it saves: there are some hundred rows
    )
    if found.x is None:
        raise ArithmeticError(f"HiGHS found no potentials: {found.message}")
    potentials = [np.concatenate(([0.0], np.cumsum(found.x[low:high]))) for low, high in pairwise(starts)]
    return -float(found.fun), potentials, np.asarray(found.slack, dtype=np.float64)
