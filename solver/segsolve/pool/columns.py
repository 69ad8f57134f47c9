"""The best plan in which every TPU serves one stage, with all that plans are asked for: from columns, by HiGHS.

A column is a pipeline of a model: the TPUs that it takes of each kind, its bottleneck B, what an inference occupies
each link, the host and its cores for, and its latency. Of each model all columns are found that no other one betters in
all of these, by the recurrence of `exclusive` over sets of undominated points in place of least bottlenecks. Then, with
x_j pipelines of a column and r_j the inferences per ns that these do,

    most lambda:  r_j <= x_j / B_j,  sum of k_j x_j <= the pool,  of links and host no more than there is,
                  sum over the columns of m of r_j >= lambda w_m

HiGHS solves that to a millionth. What it chose gets its shares in fractions, and the evaluator's price. The least worst
latency at some rates is the smallest latency whose columns, and those of less, make them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from segsolve.cost.arrays import Ints
from segsolve.cost.table import IMPOSSIBLE, StageTable
from segsolve.deadline import OutOfTime, check, left_s
from segsolve.pool.evaluate import score_pool
from segsolve.pool.exclusive import Counts, Placement, Vectors, less, take_devices
from segsolve.pool.model import Goal, PoolProblem
from segsolve.pool.plan import PoolPipeline, PoolPlan, by_first_stage
from segsolve.pool.shares import with_best_shares
from segsolve.question.kept import Constraints
from segsolve.solvers.columns import NEAR, Column, most_periods

_MOST_STEPS = 10**8
"""Of the recurrence: pairs of states for each vector, kind and number of replicas. More would take minutes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limited:
    """The best plan of `columns`, so many, None if there is none that keeps what is asked.

    No period, or worst latency, in ns, is below `least`, to a millionth.
    """

    plan: PoolPlan | None
    least: Fraction
    columns: int


def best_limited(problem: PoolProblem, tables: Sequence[Sequence[StageTable]]) -> Limited | None:
    """Return the best plan in which each TPU has one stage at most, with links, host and all constraints.

    None if the pool is too large for all columns.

    Raises:
        OutOfTime: there was no time for all of them.
    """
    steps = sum(sum(k) for k in Vectors(problem.pool.counts).all)
    if steps * sum(len(row[0]) ** 2 for row in tables) > _MOST_STEPS:
        return None
    return _Columns(problem, tables).best()


class _Columns:
    """All columns of a problem, and what plans of them come to."""

    def __init__(self, problem: PoolProblem, tables: Sequence[Sequence[StageTable]]) -> None:
        self._problem = problem
        vectors = Vectors(problem.pool.counts)
        self._fronts = [
            _Front(row, _takes(problem, m, row), vectors, problem.workload.demands[m].kept)
            for m, row in enumerate(tables)
        ]
        whole = [*(2**20 for _ in problem.pool.links), 1, max(1, problem.host_cores)]
        self._all: list[tuple[Column, int, int]] = []  # with its latency and its point
        for m, front in enumerate(self._fronts):
            for point, k, (bottleneck, *takes, latency, _) in front.pipelines:
                parts = tuple(take / part for take, part in zip(takes, whole, strict=True))
                self._all.append((Column(model=m, devices=k, bottleneck_ns=bottleneck, takes=parts), latency, point))

    def best(self) -> Limited:
        """Return the best plan."""
        if self._problem.workload.goal is Goal.LATENCY and self._problem.workload.scale_fps is not None:
            return self._soonest(self._problem.workload.scale_fps)
        plan, least = self._fastest(self._all)
        if plan is not None:
            period = score_pool(self._problem, plan).period
            least = period if least >= period * (1 - 2 * Fraction(NEAR)) else least
        return Limited(plan=plan, least=least, columns=len(self._all))

    def _soonest(self, wanted: Fraction) -> Limited:
        """Return the plan of the least worst latency that makes so many periods per second."""
        latencies = sorted({latency for _, latency, _ in self._all})
        low, high, found = 0, len(latencies), None  # all below `low` are too few; those of `high` make the rates
        while low < high:
            check()
            middle = (low + high) // 2
            plan, least = self._fastest([each for each in self._all if each[1] <= latencies[middle]])
            if plan is not None and score_pool(self._problem, plan).scale_fps >= wanted:
                high, found = middle, plan
            elif plan is None or least * wanted > 10**9 * (1 - 2 * Fraction(NEAR)):
                low = middle + 1
            else:  # HiGHS was not in time to tell
                raise OutOfTime
        if found is not None:
            return Limited(plan=found, least=Fraction(latencies[high]), columns=len(self._all))
        return Limited(plan=None, least=Fraction(max(latencies, default=0) + 1), columns=len(self._all))

    def _fastest(self, columns: Sequence[tuple[Column, int, int]]) -> tuple[PoolPlan | None, Fraction]:
        """Return the plan of the least period that HiGHS finds, and what it says that none is below."""
        problem, counts = self._problem, self._problem.pool.counts
        found = most_periods([each[0] for each in columns], counts, problem.workload.weights, left_s())
        if found is None:
            return None, Fraction(0)
        free = [[d for d, k in enumerate(problem.pool.devices) if k == kind] for kind in range(len(counts))]
        chosen = [columns[j] for j, often, _ in found.columns for _ in range(often)]
        pipelines = [
            PoolPipeline(model=one.model, stages=take_devices(self._fronts[one.model].stages(point), free))
            for one, _, point in sorted(chosen, key=lambda each: each[0].model)
        ]
        plan = by_first_stage(tuple(pipelines), len(problem.pool.devices))
        return with_best_shares(problem, plan), found.least


def _takes(problem: PoolProblem, model: int, tables: Sequence[StageTable]) -> list[tuple[Ints, Ints]]:
    """Return what an inference takes in a stage of each kind [a, b, r], and in a first stage besides [r].

    That is of links (in 2**-20 ns), of the host and its cores; its time, and 1 for the stage, where these matter.
    """
    pool, found = problem.pool, []
    workload, kept = problem.workload, problem.workload.demands[model].kept
    is_timed = workload.goal is Goal.LATENCY or kept.most_latency_ns is not None
    for k, (kind, table) in enumerate(zip(pool.kinds, tables, strict=True)):
        serial, *first_of_host = problem.host_ns(model, k)
        of_links = [table.moved_bytes * link.ns_per_mib * (kind.link == name) for name, link in pool.links]
        of_host = np.full(table.time.shape, serial, dtype=np.int64)
        first = np.array([*(0 for _ in of_links), *first_of_host, 0, 0], dtype=np.int64)
        of_plan = np.minimum(table.time, IMPOSSIBLE) * is_timed, np.full_like(of_host, kept.most_stages is not None)
        found.append((np.stack([*of_links, of_host, of_host, *of_plan], axis=-1), first))
    return found


class _Front:
    """The undominated pipelines of one model for each vector of devices.

    A point is a pipeline up to some state: its bottleneck, what it takes, its latency and stages, and its number.
    """

    def __init__(
        self,
        tables: Sequence[StageTable],
        takes: Sequence[tuple[Ints, Ints]],
        vectors: Vectors,
        kept: Constraints,
    ) -> None:
        self._tables, self._takes, self._vectors = tables, takes, vectors
        self._most = [IMPOSSIBLE if most is None else most for most in (kept.most_latency_ns, kept.most_stages)]
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
                step = np.stack(np.broadcast_arrays(points[:, -1], begin, kind, replicas, number), axis=1)
                inside = (new[:, -3:-1] <= self._most).all(axis=1)
                steps.append(step[inside])
                grown.append(new[inside])
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
