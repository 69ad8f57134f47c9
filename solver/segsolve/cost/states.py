"""The ideals of a problem's graph: what can be done when some stage of a pipeline ends.

An ideal is a set of operations that holds the makers of whatever its members read. The stages of a pipeline are the
differences of a growing sequence of ideals, so cutting a DAG is finding a path through their lattice. A chain of n
operations has n + 1 ideals; a network of parallel branches has more, and a wide irregular graph too many to list.
"""

from __future__ import annotations

from bisect import bisect_right

import numpy as np
from numpy.typing import NDArray

from segsolve.problem import Problem

MOST_IDEALS = 3000  # a table of stages has this number squared entries of 8 bytes, 72 MB


def ideals(problem: Problem, most: int = MOST_IDEALS) -> NDArray[np.bool_] | None:
    """Return the ideals [n, operations] as rows of membership, parts before the whole.

    None if there are more than `most`. Operations between two neighbouring legal cuts stay together. The order of
    ideals is unique.
    """
    starts = [0, *problem.cuts]
    needs = _needs(problem, starts)
    found = _grow(needs, most)
    if found is None:
        return None
    members = np.zeros((len(found), len(problem.ops)), dtype=np.bool_)
    ends = [*starts[1:], len(problem.ops)]
    for row, ideal in enumerate(found):
        for atom, (first, end) in enumerate(zip(starts, ends, strict=True)):
            members[row, first:end] = bool(ideal >> atom & 1)
    return members


def _needs(problem: Problem, starts: list[int]) -> list[int]:
    """Return for each atom, a run of operations that stay together, the atoms it reads from, as bits."""
    needs = [0] * len(starts)
    for transfer in problem.transfers:
        if transfer.producer >= 0:
            maker = bisect_right(starts, transfer.producer) - 1
            for consumer in transfer.consumers:
                reader = bisect_right(starts, consumer) - 1
                if reader != maker:
                    needs[reader] |= 1 << maker
    return needs


def _grow(needs: list[int], most: int) -> list[int] | None:
    """Return all ideals as bits, level by level of their size."""
    level, found = {0: 0}, [0]  # each ideal with the first atom that it does not hold
    for _ in needs:
        grown: dict[int, int] = {}
        for ideal, first in level.items():
            for atom in range(first, len(needs)):
                if not ideal >> atom & 1 and needs[atom] & ~ideal == 0:
                    bigger = ideal | 1 << atom
                    grown[bigger] = _first_missing(bigger, first)
        # The prefix of the execution order comes first among equals, so that plans prefer contiguous stages.
        level = dict(sorted(grown.items()))
        found += level
        if len(found) > most:
            return None
    return found


def _first_missing(ideal: int, start: int) -> int:
    while ideal >> start & 1:
        start += 1
    return start
