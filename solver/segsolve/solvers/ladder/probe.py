"""Whether some pipeline keeps a bound: exact, over the ideals that the bound leaves between any two stages.

At the end of stage k an ideal is done: all groups that cannot be in a later stage, and of the others some. Stage by
stage the probe carries the ideals that stages within the bound can reach; no solver has a part in it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segsolve.cost.states import Ideals
from segsolve.cost.table import StageTable
from segsolve.solvers.ladder.bounds import Bounds, Windows
from segsolve.solvers.ladder.dag import Dag

Flags = NDArray[np.bool_]
_ROWS = 128
MOST = 100_000
"""Ideals that are still looked at."""


@dataclass(frozen=True, slots=True)
class Probe:
    """What a probe found: whether a pipeline keeps the bound, and over how many ideals it looked."""

    exists: bool
    ideals: int


def probe(
    dag: Dag, bounds: Bounds, bound_ns: int, *, most: int = MOST, is_late: Callable[[], bool] = lambda: False
) -> Probe | None:
    """Return whether a pipeline of the bounds' accelerators and cores keeps a bound.

    None if there are more than `most` ideals between the stages, or `is_late` says that it takes too long.
    """
    windows = bounds.windows(bound_ns)
    if windows.empty:
        return Probe(False, 0)
    run = _Run(dag, bounds, windows, bound_ns, is_late)
    looked = 1
    for k in range(windows.stages):
        states = run.between(k, most - looked)
        if states is None or not run.advance(k, states):
            return None
        looked += len(states)
        if not run.reached:
            break
    return Probe(bool(run.reached), looked)


class _Run:
    """One probe: `reached` are, by the number of cores that were used, the ideals that are done."""

    def __init__(self, dag: Dag, bounds: Bounds, windows: Windows, bound_ns: int, is_late: Callable[[], bool]) -> None:
        self._dag, self._bounds, self._windows, self._bound, self._is_late = dag, bounds, windows, bound_ns, is_late
        self._work, self._total = bounds.work_ns, int(bounds.work_ns.sum())
        self.reached: dict[int, set[int]] = {0: {0}}

    def between(self, k: int, most: int) -> list[int] | None:
        """Return the ideals, as bits, that can be done at the end of stage k, least work first; None if too many.

        The stages so far can do their work, and those that are left the rest.
        """
        windows, everything = self._windows, range(len(self._dag))
        least = sum(1 << g for g in everything if windows.latest[g] <= k)
        free = [g for g in everything if windows.earliest[g] <= k < windows.latest[g]]
        done = sum(int(self._work[g]) for g in everything if least >> g & 1)
        after = done + sum(int(self._work[g]) for g in free)
        found: dict[int, int] = {}
        for low, high in self._possible_work(k + 1):
            if high - done <= after - low:
                grown = self._grown({least: done}, free, high - done, most - len(found))
            else:  # from all that may be done, without more and more of it
                whole = least | sum(1 << g for g in free)
                grown = self._grown({whole: after}, free, after - low, most - len(found), shrink=True)
            if grown is None:
                return None
            found |= {ideal: work for ideal, work in grown.items() if low <= work <= high}
        return sorted(found, key=found.__getitem__)

    def _grown(
        self, level: dict[int, int], free: Sequence[int], room: int, most: int, *, shrink: bool = False
    ) -> dict[int, int] | None:
        """Return the ideals, and their work, within some work of a first one: larger ones, or with `shrink` smaller."""
        near = self._dag.descendants if shrink else self._dag.ancestors
        steps = [(1 << g, near[g], int(self._work[g])) for g in free]
        (start,) = level.values()
        found: dict[int, int] = {}
        while level:
            found |= level
            grown: dict[int, int] = {}
            for ideal, done in level.items():
                open_, left = (ideal if shrink else ~ideal), room - abs(done - start)
                for bit, needed, work in steps:
                    if needed & open_ == bit and work <= left:
                        grown[ideal ^ bit] = done - work if shrink else done + work
            level = grown
            if len(found) + len(grown) > most or self._is_late():
                return None
        return found

    def _possible_work(self, stages: int) -> list[tuple[int, int]]:
        """Return from what to what work can be done after so many stages, by how many of them were cores."""
        if self._dag.problem.measured:
            return [(0, self._total)]
        tpus, cpus, bound = self._bounds.tpus, self._dag.problem.cpus, self._bound
        return [
            (
                self._total - self._bounds.most_work(tpus - stages + cores, cpus - cores, bound),
                self._bounds.most_work(stages - cores, cores, bound),
            )
            for cores in range(min(stages, cpus) + 1)
            if stages - cores <= tpus
        ]

    def advance(self, stage: int, states: list[int]) -> bool:
        """Find the ideals that one more stage reaches, an empty stage included; return whether there was time."""
        problem, everything = self._dag.problem, (1 << len(self._dag)) - 1
        here = self._sorted(set().union(*self.reached.values()))
        table = StageTable(problem, Ideals(_members(self._dag, [*here, *states, everything])), costs=self._dag.costs)
        by_cores = {c: np.array([ideal in ideals for ideal in here]) for c, ideals in self.reached.items()}
        hits = {c: np.zeros(len(states), dtype=np.bool_) for c in range(problem.cpus + 1)}
        for first in range(0, len(here), _ROWS):
            if self._is_late():
                return False
            end = min(first + _ROWS, len(here))
            columns = table.worth_pricing(first, end, slice(len(here), len(here) + len(states)), self._bound)
            found = slice(columns.start - len(here), columns.stop - len(here))
            fast = table.times(first, end, columns) <= self._bound
            on_core = table.core_times(first, end, columns) <= self._bound if problem.cpus else fast
            for c, rows in by_cores.items():
                if stage - c < self._bounds.tpus:
                    hits[c][found] |= fast[rows[first:end]].any(axis=0)
                if c < problem.cpus:
                    hits[c + 1][found] |= on_core[rows[first:end]].any(axis=0)
        kept = set(states)
        reached = {
            c: {states[i] for i in np.flatnonzero(found)} | (self.reached.get(c, set()) & kept)
            for c, found in hits.items()
        }
        self.reached = {c: ideals for c, ideals in reached.items() if ideals}
        return True

    def _sorted(self, ideals: set[int]) -> list[int]:
        found = list(ideals)
        work = _groups(self._dag, found) @ self._work
        return [found[i] for i in np.argsort(work, kind="stable")]


def _groups(dag: Dag, ideals: Sequence[int]) -> Flags:
    """Return which groups are done in ideals."""
    size = (len(dag) + 7) // 8
    raw = np.frombuffer(b"".join(bits.to_bytes(size, "little") for bits in ideals), dtype=np.uint8)
    return np.unpackbits(raw.reshape(-1, size), axis=1, count=len(dag), bitorder="little").astype(np.bool_)


def _members(dag: Dag, ideals: Sequence[int]) -> Flags:
    """Return which operations are done in ideals of groups."""
    group_of = [dag.group_of[op] for op in range(len(dag.problem.ops))]
    return np.asarray(_groups(dag, ideals)[:, group_of], dtype=np.bool_)
