"""Two small linear programs for HiGHS: prices of resources, and the shares of pipelines in their models' inferences."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def dearest(planes: Floats, per_ns: Floats, most: float) -> tuple[float, Floats]:
    """Return the largest t, and the prices [r], with t <= planes [k, r] times the prices, and per_ns [r] times them 1.

    Where `per_ns` is 0, no price is above `most`.
    """
    from scipy.optimize import linprog

    count, width = planes.shape
    scale = float(np.abs(planes).max()) or 1.0
    found = linprog(
        np.concatenate((np.zeros(width), [-1.0])),
        A_ub=np.hstack((-planes / scale, np.ones((count, 1)))),
        b_ub=np.zeros(count),
        A_eq=np.concatenate((per_ns, [0.0]))[None, :],
        b_eq=[1.0],
        bounds=[*((0.0, 1.0 if n else most) for n in per_ns), (None, None)],
        method="highs",
    )
    if found.x is None:
        raise ArithmeticError(f"HiGHS found no prices: {found.message}")
    return -float(found.fun) * scale, np.maximum(0.0, found.x[:-1])


def least_load(loads: Floats, models: Sequence[int], least: float = 0.0) -> tuple[float, Floats]:
    """Return the least largest load, and the shares [p] that pipelines have then in the inferences of their models.

    `loads` [r, p] are what each pipeline loads each resource with if it does all of its model's inferences; no share is
    below `least`.
    """
    from scipy.optimize import linprog

    count, width = loads.shape
    scale = float(loads.max()) or 1.0
    whole = np.zeros((max(models) + 1, width + 1))
    whole[list(models), np.arange(width)] = 1.0
    found = linprog(
        np.concatenate((np.zeros(width), [1.0])),
        A_ub=np.hstack((loads / scale, -np.ones((count, 1)))),
        b_ub=np.zeros(count),
        A_eq=whole,
        b_eq=np.ones(len(whole)),
        bounds=(least, None),
        method="highs",
    )
    if found.x is None:
        raise ArithmeticError(f"HiGHS found no shares: {found.message}")
    return float(found.fun) * scale, np.maximum(0.0, found.x[:-1])
