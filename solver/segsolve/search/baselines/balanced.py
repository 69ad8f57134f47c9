"""Balanced segmentation of the research: even parameters over depth levels, then relief for what spills.

Source: J. Villarrubia, L. Costero, F. D. Igual, K. Olcoz, "Balanced segmentation of CNNs for multi-TPU inference",
2025, arXiv:2503.01035. There a level is a depth of the graph; here, where stages are ranges of one execution
order, an operation's level is the largest depth seen up to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from segsolve.cost.stage import stage_score
from segsolve.problem import Problem
from segsolve.search.base import Heuristic


def segment(problem: Problem) -> tuple[int, ...]:
    """Minimise the largest parameter sum, then shift levels out of segments that spill."""
    cuts = _balance(problem)
    return tuple(_relieve(problem, cuts))


def level_starts(problem: Problem) -> tuple[int, ...]:
    """Return the legal positions at which a deeper level of the network begins."""
    depth: list[int] = []
    deepest, starts = 0, []
    legal = set(problem.cuts)
    for position, reads in enumerate(problem.reads):
        producers = [problem.transfers[t].producer for t in reads]
        depth.append(1 + max((depth[p] for p in producers if p >= 0), default=0))
        if depth[position] > deepest:
            deepest = depth[position]
            if position in legal:
                starts.append(position)
    return tuple(starts)


def _balance(problem: Problem) -> list[int]:
    """Find by bisection the smallest largest parameter sum that the TPUs can hold, and its cuts."""
    levels = [
        (first, sum(op.parameter_bytes for op in problem.ops[first:end]))
        for first, end in pairwise((0, *level_starts(problem), len(problem.ops)))
    ]
    low, high = 0, sum(size for _, size in levels)
    while low < high:
        middle = (low + high) // 2
        if _fill(levels, middle, problem.tpus) is None:
            low = middle + 1
        else:
            high = middle
    return _fill(levels, high, problem.tpus) or []


def _fill(levels: Sequence[tuple[int, int]], limit: int, tpus: int) -> list[int] | None:
    """Fill one segment after the other with levels (start, bytes) up to `limit`; None if the TPUs do not suffice."""
    cuts: list[int] = []
    held = 0
    for first, size in levels:
        if size > limit:
            return None
        if held + size > limit:
            cuts.append(first)
            held = 0
        held += size
    return cuts if len(cuts) < tpus else None


def _relieve(problem: Problem, cuts: list[int]) -> list[int]:
    """Shift levels towards the end while a segment spills, then towards the start; keep what spills least."""
    towards_end = _shift(problem, cuts, range(len(cuts)), -1)
    towards_start = _shift(problem, towards_end, range(len(cuts) - 1, -1, -1), 1)
    return min((cuts, towards_end, towards_start), key=lambda c: _spilled_bytes(problem, c))


def _shift(problem: Problem, cuts: list[int], order: range, step: int) -> list[int]:
    """Move each cut by levels while the segment that this shortens spills and the one that grows has room.

    `step` -1 moves a cut back, which shortens the segment before it; 1 moves it on and shortens the one after it.
    """
    starts = (0, *level_starts(problem), len(problem.ops))
    moved = list(cuts)
    for k in order:
        shortened, grown = (k, k + 1) if step < 0 else (k + 1, k)
        while _spills(problem, moved, shortened):
            target = starts[starts.index(moved[k]) + step]
            tried = [*moved[:k], target, *moved[k + 1 :]]
            if not (0, *moved)[k] < target < (*moved, len(problem.ops))[k + 1] or _spills(problem, tried, grown):
                break
            moved = tried
    return moved


def _spills(problem: Problem, cuts: list[int], segment: int) -> bool:
    """Whether a segment's weights do not all fit its TPU."""
    bounds = (0, *cuts, len(problem.ops))
    return bool(stage_score(problem, range(bounds[segment], bounds[segment + 1])).spilled_ops)


def _spilled_bytes(problem: Problem, cuts: list[int]) -> int:
    stages = (range(first, end) for first, end in pairwise((0, *cuts, len(problem.ops))))
    return sum(problem.ops[i].weight_bytes for stage in stages for i in stage_score(problem, stage).spilled_ops)


PLANNER = Heuristic("balanced", segment)
