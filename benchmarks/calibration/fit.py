"""Least relative deviations with non-negative coefficients, in few lines of numpy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
FLOOR = 0.03  # relative deviations below this one count by their square, larger ones by their size


def nonnegative(a: Array, b: Array, sweeps: int = 300) -> Array:
    """Return x >= 0 that minimises |a x - b|, by coordinate descent."""
    gram, target = a.T @ a, a.T @ b
    x = np.zeros(a.shape[1])
    for _ in range(sweeps):
        for j in range(len(x)):
            if gram[j, j] > 0:
                x[j] = max(0.0, x[j] + (target[j] - gram[j] @ x) / gram[j, j])
    return x


def weights(deviations: Array) -> Array:
    """Return the weights with which least squares minimise the sum of deviations: an outlier pulls like one row."""
    return 1 / np.sqrt(np.maximum(np.abs(deviations), FLOOR))


def mean_error(errors: Array) -> float:
    """Return the mean of absolute relative errors."""
    return float(np.abs(errors).mean()) if len(errors) else float("nan")


def worst_error(errors: Array) -> float:
    """Return the largest absolute relative error."""
    return float(np.abs(errors).max()) if len(errors) else float("nan")
