"""Plans in which a model has several pipelines on shared TPUs, each of which does a part of its inferences.

A group of TPUs that serves all models does complete periods by itself, so that groups add up their rates: the best
pool of groups is a knapsack over count vectors. From there, and from the best plan of one pipeline per model, copies of
whole models are added and pipelines taken away as long as that helps. For a fixed structure the shares of the pipelines
are a linear program; its answer is rounded to fractions, and the evaluator prices those.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from itertools import product

from segsolve.cost.states import Ideals, Prefixes
from segsolve.cost.table import IMPOSSIBLE
from segsolve.deadline import is_over
from segsolve.pool.arcs import Arcs
from segsolve.pool.evaluate import PoolScore, score_pool
from segsolve.pool.local import LocalSearch, Placed
from segsolve.pool.model import LATE_NS, UNKEPT_NS, Goal, PoolProblem
from segsolve.pool.patterns import Held, Pattern, Pricer
from segsolve.pool.plan import PoolPipeline, PoolPlan, PoolStage, by_first_stage
from segsolve.pool.shares import fractions, parts
from segsolve.solvers.prices import least_load

Where = tuple[int, int, int]  # first state, last state, device
_MOVES, _MOST_MOVES = 1_000_000, 100_000  # of local search: for all groups, for one
_MOST_GROUPS = 200  # count vectors, the smallest
_MOST_TRIED = 300  # structures that are priced
_LEAST = 0.02  # of a share: a frame that waits for the turn of a pipeline that does less would wait for long


@dataclass(frozen=True)
class _Pipe:
    """A pipeline: its model, and its stages in order."""

    model: int
    stages: tuple[Where, ...]


class Copies:
    """The search of one problem."""

    def __init__(self, problem: PoolProblem, arcs: Sequence[Sequence[Arcs]], pricer: Pricer, seed: int) -> None:
        self._problem, self._arcs, self._pricer, self._seed = problem, arcs, pricer, seed
        self._devices = problem.pool.devices
        self._known: dict[tuple[_Pipe, ...], tuple[float, tuple[float, ...]]] = {}

    def best(self, start: Placed | None) -> tuple[PoolPlan, PoolScore] | None:
        """Return the best plan that was found, with copies of a model at least; None if there is none."""
        found: list[tuple[float, tuple[_Pipe, ...]]] = []
        if start is not None:
            starts = [_pipes(start.patterns, self._problem.models)]
        else:
            every = [
                _Pipe(m, ((0, row[0].end, d),)) for d in range(len(self._devices)) for m, row in enumerate(self._arcs)
            ]
            starts = [tuple(every), self._grouped()]
        for pipes in starts:
            if pipes:
                found.append(self._improved(pipes))
        plans = []
        for value, pipes in found:
            if value < IMPOSSIBLE and len(pipes) > self._problem.models:
                plans.append(self._plan(pipes))
        return min(plans, key=lambda each: self._exact(each[1]), default=None)

    def _exact(self, score: PoolScore) -> tuple[bool, Fraction]:
        if self._problem.workload.goal is Goal.RATES:
            return bool(score.late_ns), score.period
        wanted = self._problem.workload.scale_fps
        return wanted is not None and score.scale_fps < wanted, Fraction(score.worst_latency_ns)

    def _grouped(self) -> tuple[_Pipe, ...]:
        """Return the pipelines of groups of devices that make the most periods together."""
        counts = self._problem.pool.counts
        vectors = sorted((k for k in product(*(range(n + 1) for n in counts)) if sum(k)), key=lambda k: (sum(k), k))
        groups: dict[tuple[int, ...], Placed] = {}
        for k in vectors[:_MOST_GROUPS]:
            if is_over() and groups:
                break
            group = self._group(k, min(_MOST_MOVES, _MOVES // len(vectors)))
            if group is not None:
                groups[k] = group
        best: dict[tuple[int, ...], tuple[float, tuple[tuple[int, ...], ...]]] = {}
        for k in product(*(range(n + 1) for n in counts)):
            best[k] = (0.0, ())
            for part, group in groups.items():
                if all(a <= b for a, b in zip(part, k, strict=True)):
                    rate, others = best[tuple(b - a for a, b in zip(part, k, strict=True))]
                    best[k] = max(best[k], (rate + 1 / max(1.0, float(group.value)), (*others, part)))
        free = [[d for d, kind in enumerate(self._devices) if kind == k] for k in range(len(counts))]
        pipes: list[_Pipe] = []
        for part in best[counts][1]:
            own = [free[k].pop(0) for k, n in enumerate(part) for _ in range(n)]
            pipes += _pipes(groups[part].patterns, self._problem.models, own)
        return tuple(pipes)

    def _group(self, counts: tuple[int, ...], moves: int) -> Placed | None:
        """Return the best plan of one pipeline per model on some devices by themselves."""
        problem = replace(self._problem, workload=replace(self._problem.workload, goal=Goal.RATES, scale_fps=None))
        search = LocalSearch(problem, self._pricer, [k for k, n in enumerate(counts) for _ in range(n)])
        start = search.start()
        if start is None or sum(counts) == 1:
            return start
        return search.improve(start, moves, self._seed)

    def _improved(self, pipes: tuple[_Pipe, ...]) -> tuple[float, tuple[_Pipe, ...]]:
        """Add and take away copies as long as that makes the value smaller."""
        value = self._value(pipes)
        goes_on, most = True, len(self._known) + _MOST_TRIED
        while goes_on:
            goes_on = False
            for other in self._moves(pipes):
                if is_over() or len(self._known) > most:
                    return value, pipes
                if (found := self._value(other)) < value * (1 - 1e-9):
                    value, pipes, goes_on = found, other, True
                    break
        return value, pipes

    def _moves(self, pipes: tuple[_Pipe, ...]) -> Iterator[tuple[_Pipe, ...]]:
        counts = [sum(pipe.model == m for pipe in pipes) for m in range(self._problem.models)]
        shares = self._known[_ordered(pipes)][1]
        idle = sorted(range(len(pipes)), key=lambda p: dict(zip(_ordered(pipes), shares, strict=True))[pipes[p]])
        for p in idle:
            if counts[pipes[p].model] > 1:
                yield (*pipes[:p], *pipes[p + 1 :])
        tried = set()
        for d, kind in enumerate(self._devices):
            held = frozenset((pipe.model, a, b) for pipe in pipes for a, b, e in pipe.stages if e == d)
            for m in range(self._problem.models):
                if (kind, held, m) not in tried and all(other != m for other, _, _ in held):
                    tried.add((kind, held, m))
                    yield (*pipes, _Pipe(m, ((0, self._arcs[m][0].end, d),)))

    def _value(self, pipes: tuple[_Pipe, ...]) -> float:
        """Return the period of a structure, with the best shares; or its worst latency if these keep the rates."""
        key = _ordered(pipes)
        if key not in self._known:
            self._known[key] = self._priced(key)
        return self._known[key][0]

    def _priced(self, pipes: tuple[_Pipe, ...]) -> tuple[float, tuple[float, ...]]:
        patterns = self._patterns(pipes)
        if any(pattern.load_ns >= IMPOSSIBLE for pattern in patterns):
            return float(IMPOSSIBLE), (0.0,) * len(pipes)
        score = score_pool(self._problem, self._structure(pipes, patterns, None))
        period, shares = least_load(score.loads_of_pipelines, [pipe.model for pipe in pipes])
        if score.late_ns:
            return UNKEPT_NS + score.late_ns + period, tuple(shares.tolist())
        workload = self._problem.workload
        if workload.goal is Goal.RATES or workload.scale_fps is None:
            return period, tuple(shares.tolist())
        late = max(0.0, period - float(10**9 / workload.scale_fps))
        return score.worst_latency_ns + (LATE_NS + late if late > 0 else 0.0), tuple(shares.tolist())

    def _patterns(self, pipes: Sequence[_Pipe]) -> list[Pattern]:
        held: list[list[Held]] = [[] for _ in self._devices]
        for pipe in pipes:
            for a, b, d in pipe.stages:
                held[d].append((pipe.model, a, b))
        return [self._pricer.price(kind, own) for kind, own in zip(self._devices, held, strict=True)]

    def _plan(self, pipes: tuple[_Pipe, ...]) -> tuple[PoolPlan, PoolScore]:
        """Return the plan of a structure, with shares in fractions.

        Pipelines that do next to nothing are left out, or do a little more: first fit is not monotone, so that others
        may be slower without them.
        """
        key = _ordered(pipes)
        shares, patterns = self._known[key][1] if key in self._known else self._priced(key)[1], self._patterns(key)
        models = [pipe.model for pipe in key]
        least = min(_LEAST, 0.5 / max(Counter(models).values()))  # of very many copies each does less
        kept = tuple(pipe for pipe, share in zip(key, shares, strict=True) if share >= least)
        loads = score_pool(self._problem, self._structure(key, patterns, None)).loads_of_pipelines
        speeds = [Fraction(1, max(1, *(patterns[d].load_ns for _, _, d in pipe.stages))) for pipe in key]
        if len(kept) < len(key):
            shares = tuple(least_load(loads, models, least)[1].tolist())
        ways = [parts(models, speeds), fractions(models, shares, loads)]
        plans = [self._structure(key, patterns, own) for own in ways]
        found = [(plan, score_pool(self._problem, plan)) for plan in plans]
        if len(kept) < len(key):
            found.append(self._plan(kept))
        return min(found, key=lambda each: self._exact(each[1]))

    def _structure(
        self, pipes: tuple[_Pipe, ...], patterns: Sequence[Pattern], shares: Sequence[Fraction] | None
    ) -> PoolPlan:
        plan = by_first_stage(
            tuple(
                PoolPipeline(
                    model=pipe.model,
                    stages=tuple(
                        PoolStage(ops=self._states[pipe.model].ops(a, b), devices=(d,)) for a, b, d in pipe.stages
                    ),
                    share=shares[p] if shares else Fraction(1, sum(other.model == pipe.model for other in pipes)),
                )
                for p, pipe in enumerate(pipes)
            ),
            len(self._devices),
        )
        order = [{m: i for i, (m, _, _) in enumerate(pattern.stages)} for pattern in patterns]
        return replace(
            plan,
            residents=tuple(
                tuple(sorted(residents, key=lambda r: rank[pipes[r.pipeline].model]))
                for residents, rank in zip(plan.residents, order, strict=True)
            ),
        )

    @cached_property
    def _states(self) -> list[Prefixes | Ideals]:
        return [row[0].states for row in self._arcs]


def _ordered(pipes: Sequence[_Pipe]) -> tuple[_Pipe, ...]:
    return tuple(sorted(pipes, key=lambda pipe: (pipe.model, pipe.stages)))


def _pipes(patterns: Sequence[Pattern], models: int, devices: Sequence[int] | None = None) -> tuple[_Pipe, ...]:
    """Return the pipelines of a plan of one pipeline per model, whose d-th pattern is on the d-th of some devices."""
    found = []
    for m in range(models):
        own = [
            (a, b, devices[d] if devices else d)
            for d, pattern in enumerate(patterns)
            for other, a, b in pattern.stages
            if other == m
        ]
        found.append(_Pipe(m, tuple(sorted(own))))
    return tuple(found)
