"""The best plans that differ in their period, exactly: what is worth compiling and measuring.

Predictions are off by more than the best plans differ by. Of the plans of one period, whose slowest stages are equally
slow, the one of the least latency stands for all; the shortlist has the best periods in order. Over all layouts of the
execution order: any pipelines side by side, each with replicated stages, or a single pipeline of one TPU per stage.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from segsolve.cost.plan import PlanScore, score_plan
from segsolve.cost.table import IMPOSSIBLE, chain_table
from segsolve.errors import UsageError
from segsolve.plan.model import Pipeline, Plan, Stage
from segsolve.problem import Problem
from segsolve.question import Constraints
from segsolve.question.constraints.max_stages import MaxStages
from segsolve.question.constraints.pins import Pins
from segsolve.search.answer import Answer
from segsolve.solvers.base import Status

APART = Fraction(1, 10_000)
"""Periods that differ by less than this share are one: what a stage takes is rounded to ns before it is shared."""
_MOST_TRIED = 20_000
_Path = tuple[tuple[int, int], ...]
"""Where each stage of a pipeline ends, as an index of the positions, and its replicas."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A plan of the shortlist."""

    plan: Plan
    score: PlanScore


def shortlist(
    problem: Problem, share: Fraction, most: int, *, single: bool = False, kept: Constraints | None = None
) -> tuple[Listed, ...]:
    """Return the `most` best plans whose periods are apart, none more than a `share` above the best.

    With `single`, of one pipeline without replicas. All keep the constraints `kept`.

    Raises:
        UsageError: the devices share a link, whose load is no sum of stages, or a constraint counts stages.
    """
    constraints = kept or Constraints()
    check_listed(constraints.values)
    if problem.link is not None:
        raise UsageError("plans on devices that share a link have no shortlist", "give a device of its own link each")
    pipelines = _Pipelines(constraints.restricted(problem), constraints, single=single)
    found: list[Listed] = []
    limit: Fraction | None = None
    for rate, paths in _combined(pipelines, problem.tpus, single=single):
        limit = limit if limit is not None else 1 / rate * (1 + share)
        if 1 / rate > limit or len(found) == most or not constraints.allow_rate(rate):
            break
        if found and 1 / rate < (1 + APART) / found[-1].score.rate:
            continue
        plan = Plan(pipelines=tuple(pipelines.pipeline(path) for path in paths))
        found.append(Listed(plan=plan, score=score_plan(problem, plan)))
    return tuple(found)


def check_listed(asked: Iterable[str]) -> None:
    """Raise a UsageError if constraints, given by key, are about the number of a stage, which is not counted here."""
    for kind in (MaxStages, Pins):
        if kind.key in asked:
            raise UsageError(
                f"--within lists no plans under {kind.option.flag}: its search does not count stages",
                "leave it out; a latency, a rate and constraints on cuts are kept",
            )


def answers(listed: Sequence[Listed], best: Answer) -> tuple[Answer, ...]:
    """Return a shortlist as answers to the question that the best plan answers, which takes the first place."""
    rest = (
        Answer(
            question=best.question,
            planner="shortlist",
            status=Status.FEASIBLE,
            plan=each.plan,
            score=each.score,
            value=1 / each.score.rate,
            bound=best.bound,
            cuts=best.cuts,
            found_by="dynamic programming over periods",
        )
        for each in listed[1:]
    )
    return (best, *rest)


def _combined(pipelines: _Pipelines, tpus: int, *, single: bool) -> Iterator[tuple[Fraction, tuple[_Path, ...]]]:
    """Yield combinations of pipelines on all TPUs or fewer, by falling rate.

    A combination names for each of its pipelines the rank among those of as many TPUs; it follows from one that has
    a better rank at one place. For one rate, the first that comes stands for all.
    """

    def rate_of(parts: tuple[int, ...], ranks: tuple[int, ...]) -> Fraction | None:
        periods = [pipelines.ranked(part, rank) for part, rank in zip(parts, ranks, strict=True)]
        if any(period is None for period in periods):
            return None
        return sum((Fraction(1, max(1, period[0])) for period in periods if period), Fraction(0))

    heap: list[tuple[Fraction, int, tuple[int, ...], tuple[int, ...]]] = []
    seen: set[tuple[tuple[int, ...], tuple[int, ...]]] = set()

    def push(parts: tuple[int, ...], ranks: tuple[int, ...]) -> None:
        if (parts, ranks) in seen or len(seen) == _MOST_TRIED:
            return
        seen.add((parts, ranks))
        if (rate := rate_of(parts, ranks)) is not None:
            heapq.heappush(heap, (-rate, sum(parts), parts, ranks))

    for parts in ((tpus,),) if single else _partitions(tpus):
        push(parts, (0,) * len(parts))
    while heap:
        rate, _, parts, ranks = heapq.heappop(heap)
        paths = tuple(p[1] for part, rank in zip(parts, ranks, strict=True) if (p := pipelines.ranked(part, rank)))
        yield -rate, paths
        for k in range(len(parts)):
            push(parts, tuple(rank + (i == k) for i, rank in enumerate(ranks)))


def _partitions(total: int, largest: int | None = None) -> Iterator[tuple[int, ...]]:
    """Yield the ways to split all TPUs among pipelines, the largest first."""
    if total == 0:
        yield ()
    for first in range(min(total, largest or total), 0, -1):
        for rest in _partitions(total - first, first):
            yield (first, *rest)


class _Pipelines:
    """The best pipelines of at most so many TPUs, by period."""

    def __init__(self, problem: Problem, kept: Constraints, *, single: bool) -> None:
        table = chain_table(problem)
        self._problem, self._single, self._kept = problem, single, kept
        self._time, self._positions = kept.time(table), table.positions
        self._known: dict[int, list[tuple[int, _Path]]] = {}
        self._left: dict[int, list[int]] = {}

    def ranked(self, tpus: int, rank: int) -> tuple[int, _Path] | None:
        """Return the period in ns and the stages of the pipeline of a rank; None if there are not so many."""
        known = self._known.setdefault(tpus, [])
        left = self._left.setdefault(tpus, [*self._periods(tpus)])
        while len(known) <= rank and left:
            period = left.pop()
            if (path := self._fastest(tpus, period)) is not None:
                known.append((period, path))
        return known[rank] if rank < len(known) else None

    def pipeline(self, path: _Path) -> Pipeline:
        """Return a pipeline by where its stages end."""
        stages, begin = [], 0
        for end, replicas in path:
            ops = tuple(range(int(self._positions[begin]), int(self._positions[end])))
            stages.append(Stage(ops=ops, replicas=replicas))
            begin = end
        return Pipeline(stages=tuple(stages))

    def _periods(self, tpus: int) -> list[int]:
        """Return all times that a stage may take per inference and that can be a pipeline's, the largest first."""
        times = self._time[self._time < IMPOSSIBLE].astype(np.int64)
        shared = [-(-times // replicas) for replicas in self._replicas(tpus)]
        every = np.unique(np.concatenate(shared)) if shared else np.zeros(0, np.int64)
        least = self._least(tpus)
        return [] if least is None else [int(ns) for ns in every[every >= least][::-1]]

    def _least(self, tpus: int) -> int | None:
        """Return the least period (bisection on the times; one that is possible stays so when it grows)."""
        times = self._time[self._time < IMPOSSIBLE].astype(np.int64)
        every = np.unique(np.concatenate([-(-times // replicas) for replicas in self._replicas(tpus)]))
        low, high = 0, len(every)
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if self._is_possible(tpus, int(every[middle])) else (middle + 1, high)
        return int(every[low]) if low < len(every) else None

    def _replicas(self, tpus: int) -> range:
        return range(1, 2 if self._single else tpus + 1)

    def _is_possible(self, tpus: int, period: int) -> bool:
        """Whether the stages of a pipeline can all keep a period: the fewest TPUs that lead to each position."""
        needed = self._needed(period)
        fewest = np.full(len(needed), np.inf)
        fewest[0] = 0
        for end in range(1, len(needed)):
            fewest[end] = (fewest[:end] + needed[:end, end]).min()
        return bool(fewest[-1] <= tpus)

    def _needed(self, period: int) -> NDArray[np.float64]:
        """Return how many replicas each stage needs to keep a period; infinite if that is too many or impossible."""
        time = self._time.astype(np.float64)
        needed = np.maximum(1, np.ceil(time / max(1, period)))
        needed[self._time >= IMPOSSIBLE] = np.inf
        if self._single:
            needed[needed > 1] = np.inf
        return np.asarray(needed, dtype=np.float64)

    def _fastest(self, tpus: int, period: int) -> _Path | None:
        """Return the pipeline of exactly this period with the least latency.

        Dynamic programming over positions, TPUs used so far, and whether a stage takes the period exactly; each stage
        has the fewest replicas that keep the period, as more of them do nothing for the latency.
        """
        needed, points = self._needed(period), len(self._time)
        latency = np.full((points, tpus + 1, 2), np.inf)
        latency[0, 0, 0] = 0
        came: dict[tuple[int, int, int], tuple[int, int, int, int]] = {}
        for end in range(1, points):
            column, times = needed[:end, end], self._time[:end, end]
            for count in (int(c) for c in np.unique(column[np.isfinite(column)]) if c <= tpus):
                exact = -(-times.astype(np.int64) // count) == period
                for flag in (0, 1):
                    begins = np.flatnonzero((column == count) & (exact == bool(flag)))
                    if len(begins):
                        self._extend(latency, came, begins, end, count, is_exact=bool(flag))
        used = min(range(tpus + 1), key=lambda u: (latency[points - 1, u, 1], u))
        least = latency[points - 1, used, 1]
        if not np.isfinite(least) or not self._kept.allow_latency(int(least)):
            return None
        return _walked(came, (points - 1, used, 1))

    def _extend(
        self,
        latency: NDArray[np.float64],
        came: dict[tuple[int, int, int], tuple[int, int, int, int]],
        begins: NDArray[np.intp],
        end: int,
        count: int,
        *,
        is_exact: bool,
    ) -> None:
        """Let stages of so many replicas lead from some positions to another."""
        values = latency[begins, : latency.shape[1] - count] + self._time[begins, end].astype(np.float64)[:, None, None]
        best = values.argmin(axis=0)
        for used, flag in np.argwhere(np.isfinite(values.min(axis=0))).tolist():
            value, to = values[best[used, flag], used, flag], (end, used + count, flag | is_exact)
            if value < latency[to]:
                latency[to] = value
                came[to] = (int(begins[best[used, flag]]), used, flag, count)


def _walked(came: dict[tuple[int, int, int], tuple[int, int, int, int]], at: tuple[int, int, int]) -> _Path:
    path = []
    while at[0]:
        begin, used, flag, count = came[at]
        path.append((at[0], count))
        at = (begin, used, flag)
    return tuple(reversed(path))
