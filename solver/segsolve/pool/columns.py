"""The best plan in which every TPU serves one stage where links or the host limit: from columns, by HiGHS.

A column is a pipeline of a model: the TPUs that it takes of each kind, its bottleneck B, and what an inference occupies
each link, the host and its cores for. Of each model all columns are found that no other one betters in all of these, by
the recurrence of `exclusive` over sets of undominated points in place of least bottlenecks. Then, with x_j pipelines of
a column and r_j the inferences per ns that these do,

    most lambda:  r_j <= x_j / B_j,  sum of k_j x_j <= the pool,  of links and host no more than there is,
                  sum over the columns of m of r_j >= lambda w_m

HiGHS solves that to a millionth. What it chose gets its shares in fractions, and the evaluator's price.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from segsolve.cost.arrays import Ints
from segsolve.cost.table import IMPOSSIBLE, StageTable
from segsolve.deadline import check, left_s
from segsolve.pool.evaluate import score_pool
from segsolve.pool.exclusive import Counts, Placement, Vectors, less, take_devices
from segsolve.pool.model import PoolProblem
from segsolve.pool.plan import PoolPipeline, PoolPlan, by_first_stage
from segsolve.pool.shares import with_best_shares
from segsolve.solvers.columns import NEAR, Column, most_periods

_MOST_STEPS = 10**8
"""Of the recurrence: pairs of states for each vector, kind and number of replicas. More would take minutes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limited:
    """The best plan of `columns`, so many; no period, in ns, is below `least`, to a millionth."""

    plan: PoolPlan
    least: Fraction
    columns: int


def best_limited(problem: PoolProblem, tables: Sequence[Sequence[StageTable]]) -> Limited | None:
    """Return the best plan in which each TPU has one stage at most, links and host counted.

    None if there is no plan, or the pool is too large for all columns.

    Raises:
        OutOfTime: there was no time for all of them.
    """
    vectors = Vectors(problem.pool.counts)
    per_state = sum(sum(k) for k in vectors.all)
    if per_state * sum(len(row[0]) ** 2 for row in tables) > _MOST_STEPS:
        return None
    fronts = [_Front(row, _takes(problem, m, row), vectors) for m, row in enumerate(tables)]
    whole = [*(2**20 for _ in problem.pool.links), 1, max(1, problem.host_cores)]
    columns, points = [], []
    for m, front in enumerate(fronts):
        for point, k, (bottleneck, *takes) in front.pipelines:
            parts = tuple(take / part for take, part in zip(takes, whole, strict=True))
            columns.append(Column(model=m, devices=k, bottleneck_ns=bottleneck, takes=parts))
            points.append(point)
    found = most_periods(columns, problem.pool.counts, problem.workload.weights, left_s())
    if found is None:
        return None
    free = [[d for d, k in enumerate(problem.pool.devices) if k == kind] for kind in range(len(problem.pool.kinds))]
    pipelines = [
        PoolPipeline(model=columns[j].model, stages=take_devices(fronts[columns[j].model].stages(points[j]), free))
        for j, often, _ in sorted(found.columns, key=lambda each: columns[each[0]].model)
        for _ in range(often)
    ]
    plan = with_best_shares(problem, by_first_stage(tuple(pipelines), len(problem.pool.devices)))
    period = score_pool(problem, plan).period
    is_best = found.least >= period * (1 - 2 * Fraction(NEAR))
    return Limited(plan=plan, least=period if is_best else found.least, columns=len(columns))


def _takes(problem: PoolProblem, model: int, tables: Sequence[StageTable]) -> list[tuple[Ints, Ints]]:
    """Return what an inference takes of links (in 2**-20 ns), host and cores in a stage of each kind [a, b, r].

    The second are what it takes besides in a first stage [r].
    """
    pool, found = problem.pool, []
    for k, (kind, table) in enumerate(zip(pool.kinds, tables, strict=True)):
        serial, work = problem.host_ns(model, k)
        of_links = [table.moved_bytes * link.ns_per_mib * (kind.link == name) for name, link in pool.links]
        of_host = np.full(table.time.shape, serial, dtype=np.int64)
        first = np.array([*(0 for _ in of_links), 0, work], dtype=np.int64)
        found.append((np.stack([*of_links, of_host, of_host], axis=-1), first))
    return found


class _Front:
    """The undominated pipelines of one model for each vector of devices.

    A point is a pipeline up to some state: its bottleneck, what it takes, and its number.
    """

    def __init__(self, tables: Sequence[StageTable], takes: Sequence[tuple[Ints, Ints]], vectors: Vectors) -> None:
        self._tables, self._takes, self._vectors = tables, takes, vectors
        self._end = tables[0].end
        width = takes[0][0].shape[-1] + 2
        self._before: list[Ints] = [np.array([[-1, 0, -1, 0, 0]], dtype=np.int64)]  # point, state, kind, replicas, k
        self._made = 1
        self._at: list[list[Ints]] = []
        start = np.zeros((1, width), dtype=np.int64)
        for number, k in enumerate(vectors.all):
            check()
            smaller = [self._at[vectors.index(less(k, kind, 1))] for kind, n in enumerate(k) if n]
            own = [start] + [self._grown(number, k, state, smaller) for state in range(1, self._end + 1)]
            self._at.append(own)

    @property
    def pipelines(self) -> list[tuple[int, Counts, list[int]]]:
        """The number, the devices, and the costs of each whole pipeline that no other one betters."""
        origin = np.concatenate(self._before)[:, 4]
        rows = {int(row[-1]): row for own in self._at for row in own[self._end]}
        return [
            (point, self._vectors.all[int(origin[point])], row[:-1].tolist()) for point, row in sorted(rows.items())
        ]

    def stages(self, point: int) -> list[Placement]:
        """Return the stages of a pipeline."""
        steps, found, state = np.concatenate(self._before), [], self._end
        while state:
            before, begin, kind, replicas, _ = steps[point].tolist()
            found.append((self._tables[0].ops(begin, state), kind, replicas))
            point, state = before, begin
        return found[::-1]

    def _grown(self, number: int, k: Counts, state: int, smaller: Sequence[Sequence[Ints]]) -> Ints:
        """Return the points of a state for a vector: those of smaller vectors, and those of one stage more."""
        grown, steps = [], []
        for kind, most in enumerate(k):
            time = self._tables[kind].time[:state, state]
            for replicas in range(1, most + 1):
                before = self._at[self._vectors.index(less(k, kind, replicas))][:state]
                sizes = [len(own) if time[a] < IMPOSSIBLE else 0 for a, own in enumerate(before)]
                if not sum(sizes):
                    continue
                begin = np.repeat(np.arange(state), sizes)
                points = np.concatenate([own[:size] for own, size in zip(before, sizes, strict=True)])
                each, first = self._takes[kind]
                new = points.copy()
                new[:, 0] = np.maximum(points[:, 0], -(-time[begin] // replicas))
                new[:, 1:-1] += each[begin, state] + first * (begin == 0)[:, None]
                steps.append(np.stack(np.broadcast_arrays(points[:, -1], begin, kind, replicas, number), axis=1))
                grown.append(new)
        if not grown:
            own = [each[state] for each in smaller]
            return undominated(np.concatenate(own)) if own else np.empty((0, self._takes[0][0].shape[-1] + 2), np.int64)
        new, step = np.concatenate(grown), np.concatenate(steps)
        new[:, -1] = np.arange(len(new)) + 2**40  # so that of equal points the older one is kept
        kept = undominated(np.concatenate([*(each[state] for each in smaller), new]))
        is_new = kept[:, -1] >= 2**40
        self._before.append(step[kept[is_new, -1] - 2**40])
        kept[is_new, -1] = self._made + np.arange(int(is_new.sum()))
        self._made += int(is_new.sum())
        return kept


def undominated(points: Ints) -> Ints:
    """Return the points [n, costs and a number] that no other one betters in all costs; of equal ones the first."""
    points = points[np.lexsort(points.T[::-1])]
    costs, kept = points[:, :-1], []
    left = np.arange(len(points))
    while len(left):
        kept.append(left[0])
        left = left[(costs[left] < costs[left[0]]).any(axis=1)]
    return points[kept]
