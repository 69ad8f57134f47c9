"""The most that models can do on devices of one stage each: a dynamic program of the checker's own, from the end.

For each vector of devices and each state, the least bottleneck of a pipeline from that state to the end; then the most
that pipelines of one model do side by side; then the best division among the models. Links, the host, and limits on
latencies and stages are left aside, which makes the rate no smaller.
"""

from __future__ import annotations

from fractions import Fraction
from itertools import product

import numpy as np
from numpy.typing import NDArray

from segsolve.checker.document import Problem
from segsolve.checker.pool.document import Model, PoolCertificate
from segsolve.checker.rows import FORBIDDEN, Rows
from segsolve.checker.states import Scope, States

Ints = NDArray[np.int64]
Vector = tuple[int, ...]


def prefix_states(problem: Problem) -> States:
    """Return the states between stages of the execution order."""
    ends = np.array([0, *problem.cuts, len(problem.ops)])
    return States(np.arange(len(problem.ops))[None, :] < ends[:, None], Scope.ORDER)


def stage_times(problem: Problem, model: Model, kind: str) -> Ints:
    """Return the times [states, states] of all stages in ns; FORBIDDEN where a kind may run none."""
    states = prefix_states(problem)
    rows = Rows(problem, states)
    count = len(problem.cuts) + 2
    times = np.full((count, count), FORBIDDEN, dtype=np.int64)
    stages = [(a, np.arange(a + 1, count)) for a in range(count - 1)]
    for (a, columns), ns in zip(stages, rows.times(stages), strict=True):
        times[a, columns] = ns
    return kept_times(times, states, model, kind)


def kept_times(times: Ints, states: States, model: Model, kind: str) -> Ints:
    """Return times [states, states] of stages, FORBIDDEN for those that a model may not have on a kind."""
    masks = model.masks(kind, states.members)
    for a in range(len(times) - 1):
        columns = np.arange(a + 1, len(times))
        for mask in masks:
            times[a, columns] = np.where(mask(a, columns), times[a, columns], FORBIDDEN)
    return times


def least_period(certificate: PoolCertificate) -> Fraction | None:
    """Return the least period of any plan without shared devices; None if there is no such plan."""
    counts = tuple(kind.count for kind in certificate.kinds)
    vectors = list(product(*(range(n + 1) for n in counts)))
    best: dict[Vector, Fraction] = {}
    for number, model in enumerate(certificate.models):
        kinds = [kind.name for kind in certificate.kinds]
        times = [stage_times(p, model, kind) for p, kind in zip(certificate.problems[number], kinds, strict=True)]
        found = _rates(times, vectors)
        rates = {k: rate / model.weight for k, rate in found.items()}
        best = rates if number == 0 else _divided(best, rates, vectors)
    rate = best[counts]
    return 1 / rate if rate else None


def _divided(
    others: dict[Vector, Fraction], own: dict[Vector, Fraction], vectors: list[Vector]
) -> dict[Vector, Fraction]:
    """Return for each vector the most that the slower of two does if they divide it.

    `own` grows with the vector, and so does what others do: of equal rates only the smallest vectors count.
    """
    corners = [k for k in vectors if all(own[_less(k, c)] < own[k] for c, n in enumerate(k) if n)]
    found: dict[Vector, Fraction] = {}
    for k in vectors:
        most = Fraction(0)
        for part in corners:
            if own[part] > most and all(a <= b for a, b in zip(part, k, strict=True)):
                rest = others[tuple(b - a for a, b in zip(part, k, strict=True))]
                most = max(most, min(rest, own[part]))
        found[k] = most
    return found


def _rates(times: list[Ints], vectors: list[Vector]) -> dict[Vector, Fraction]:
    """Return the most inferences per ns of pipelines of one model by its stages' times, for each vector of devices."""
    last = len(times[0]) - 1
    ahead: dict[Vector, Ints] = {}
    for k in vectors:
        least = np.full(last + 1, FORBIDDEN, dtype=np.int64)
        least[last] = 0
        for kind, most in enumerate(k):
            for replicas in range(1, most + 1):
                rest = ahead[(*k[:kind], most - replicas, *k[kind + 1 :])]
                through = np.maximum((times[kind] + replicas - 1) // replicas, rest[None, :])
                least = np.minimum(least, np.where(times[kind] < FORBIDDEN, through, FORBIDDEN).min(axis=1))
        least[last] = 0
        ahead[k] = least
    single = {k: int(ahead[k][0]) for k in vectors if ahead[k][0] < FORBIDDEN}
    corners = [
        (k, Fraction(1, max(1, own)))
        for k, own in single.items()
        if all(single.get(_less(k, c), FORBIDDEN) > own for c, n in enumerate(k) if n)
    ]
    found: dict[Vector, Fraction] = {}
    for k in vectors:
        ways = (
            rate + found[tuple(b - a for a, b in zip(part, k, strict=True))]
            for part, rate in corners
            if all(a <= b for a, b in zip(part, k, strict=True))
        )
        found[k] = max(ways, default=Fraction(0))
    return found


def _less(k: Vector, kind: int) -> Vector:
    return (*k[:kind], k[kind] - 1, *k[kind + 1 :])
