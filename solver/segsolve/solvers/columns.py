"""A small mixed-integer program for HiGHS: pipelines that are chosen from columns, and how much each of them does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import isfinite

import numpy as np

from segsolve.deadline import OutOfTime
from segsolve.solvers.prices import Floats
from segsolve_runtime.hush import off_stdout

NEAR = 1e-6
"""Of the answer: HiGHS keeps rows as nearly as that."""
_LIMIT = 1  # what SciPy says of HiGHS where it came to the end of its time
_USED = 1e-7  # of its model's inferences: a pipeline that does less is left out


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A pipeline of a model: the devices that it takes of each kind, and its bottleneck in ns.

    `takes` are what an inference occupies each resource for, in parts of what there is of it in a ns.
    """

    model: int
    devices: tuple[int, ...]
    bottleneck_ns: int
    takes: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """The columns that were chosen: number, how often, inferences per ns of all of them; no period is below `least`."""

    columns: tuple[tuple[int, int, float], ...]
    least: Fraction


def most_periods(
    columns: Sequence[Column], counts: Sequence[int], weights: Sequence[int], time_limit_s: float
) -> Chosen | None:
    """Return the columns that make the most periods, a model's weight of inferences in each; None if there are none.

    `counts` are the devices of each kind.

    Raises:
        OutOfTime: HiGHS was not in time to choose any.
    """
    from scipy.optimize import Bounds, LinearConstraint, milp
    from scipy.sparse import csr_array, hstack, vstack

    n = len(columns)
    if {column.model for column in columns} != set(range(len(weights))):
        return None
    # What a pipeline does is counted in its model's inferences of a period, and time in the least that a period may be:
    # so no coefficient that matters is so small that HiGHS takes it for nothing, whatever the costs are.
    weight = np.array([weights[column.model] for column in columns], dtype=np.float64)
    busy = weight * np.array([max(1, column.bottleneck_ns) for column in columns], dtype=np.float64)
    loads = weight[:, None] * np.array([column.takes for column in columns], dtype=np.float64)
    held = np.array([column.devices for column in columns], dtype=np.float64)
    unit = _least_period([column.model for column in columns], busy * held.sum(axis=1) / sum(counts), loads)
    slow = np.maximum(1.0, busy / unit)  # no pipeline does more than all of its model's
    devices, takes = csr_array(held.T), csr_array(loads.T / unit)
    of_model = np.zeros((len(weights), n))
    of_model[[column.model for column in columns], np.arange(n)] = 1.0
    eye, none = csr_array(np.diag(np.ones(n))), csr_array((n, 1))
    rows = vstack(
        [
            hstack([-eye, csr_array(np.diag(slow)), none]),
            hstack([devices, csr_array(devices.shape), csr_array((len(counts), 1))]),
            hstack([csr_array(takes.shape), takes, csr_array((takes.shape[0], 1))]),
            hstack([csr_array(of_model.shape), csr_array(-of_model), csr_array(np.ones((len(weights), 1)))]),
        ]
    )
    most = np.concatenate((np.zeros(n), np.array(counts, dtype=float), np.ones(takes.shape[0]), np.zeros(len(weights))))
    fits = [min(own // k for own, k in zip(counts, column.devices, strict=True) if k) for column in columns]
    with off_stdout():
        found = milp(
            np.concatenate((np.zeros(2 * n), [-1.0])),
            integrality=np.concatenate((np.ones(n), np.zeros(n + 1))),
            bounds=Bounds(0, np.concatenate((np.array(fits, dtype=float), np.full(n + 1, np.inf)))),
            constraints=LinearConstraint(rows, ub=most),
            options={"mip_rel_gap": 0.0} | ({"time_limit": time_limit_s} if isfinite(time_limit_s) else {}),
        )
    if found.x is None and found.status == _LIMIT:
        raise OutOfTime
    if found.x is None or -found.fun <= 0:
        return None
    chosen = [
        (j, round(found.x[j]), float(part * weight[j]) / unit)
        for j, part in enumerate(found.x[n : 2 * n])
        if round(found.x[j]) and part > -_USED * found.fun
    ]
    bound = -float(found.mip_dual_bound) * (1 + NEAR)
    return Chosen(columns=tuple(chosen), least=Fraction(unit / bound))


def _least_period(models: Sequence[int], busy: Floats, loads: Floats) -> float:
    """Return what no period is below, in ns: for each model the best of its columns for each thing that may limit.

    `busy` [n] is how long all devices are busy at least with a model's inferences of a period, `loads` [n, r] what
    these take of each resource.
    """
    of = np.array(models)
    own = [(busy[of == m].min(), loads[of == m].min(axis=0)) for m in sorted(set(models))]
    return float(max(1e-9, *(time for time, _ in own), *np.sum([load for _, load in own], axis=0)))
