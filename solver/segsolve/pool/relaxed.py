"""The stages of one model on one kind with any subset of their layers on chip: what first fit cannot better.

For each stage and each amount of memory, the least time (a 0/1 knapsack of its layers, their bytes rounded down). That
is the relaxation which the pattern bound prices: the device caches by first fit, which is one of the subsets.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from segsolve.cost.arrays import Ints
from segsolve.cost.table import IMPOSSIBLE
from segsolve.deadline import check
from segsolve.pool.arcs import Arcs

FINE_BYTES = 4096
"""Layers' bytes are rounded down to multiples of it."""


@dataclass(frozen=True, eq=False)
class Relaxed:
    """Stages [arcs] of a model on a kind, by their states; `coarse` multiples of FINE_BYTES are a level of memory."""

    arcs: Arcs
    coarse: int

    @cached_property
    def pairs(self) -> tuple[Ints, Ints]:
        """The first and the last state of each stage."""
        first, last = np.triu_indices(len(self.arcs), 1)
        order = np.lexsort((first, last))
        first, last = first[order], last[order]
        possible = self.arcs.resident_ns[first, last] < IMPOSSIBLE
        return first[possible], last[possible]

    @cached_property
    def scratch(self) -> Ints:
        """The scratch memory of each stage, in bytes."""
        first, last = self.pairs
        return np.array([self.arcs.scratch(a, b) for a, b in zip(first.tolist(), last.tolist(), strict=True)])

    @property
    def levels(self) -> int:
        """The number of levels of memory, 0 included."""
        return self.arcs.problem.capacity_bytes // (FINE_BYTES * self.coarse) + 1

    @cached_property
    def time(self) -> Ints:
        """The least time [arcs, levels] in ns of each stage with less than a level more of memory; or IMPOSSIBLE."""
        first, last = self.pairs
        fine = self.levels * self.coarse
        saved = np.zeros((len(self.arcs), fine), dtype=np.int64)  # by the first state, of stages up to the current one
        total, needed = np.zeros(len(self.arcs), dtype=np.int64), np.zeros(len(self.arcs), dtype=np.int64)
        ends: list[list[tuple[int, int]]] = [[], *self._layers_by_state]
        rows = []
        for b in range(1, len(self.arcs)):
            check()
            for weight, cost in ends[b]:
                size = weight // FINE_BYTES
                if size == 0:
                    saved[:b] += cost
                elif size < fine:
                    np.maximum(saved[:b, size:], saved[:b, :-size] + cost, out=saved[:b, size:])
                total[:b] += cost
                needed[:b] += size
            own = first[last == b]
            time = (
                self.arcs.resident_ns[own, b][:, None]
                + total[own][:, None]
                - saved[own][:, self.coarse - 1 :: self.coarse]
            )
            if self.arcs.problem.no_spill:
                rooms = np.arange(self.levels) * self.coarse + self.coarse - 1
                time = np.where(needed[own][:, None] <= rooms, time, IMPOSSIBLE)
            rows.append(time)
        return np.concatenate(rows)

    @property
    def _layers_by_state(self) -> list[list[tuple[int, int]]]:
        """For each state but the first, the layers (bytes, ns if they stream) that the one before has not."""
        _, weights, costs, _ = self.arcs.layers
        found = []
        for b in range(1, len(self.arcs)):
            held = self.arcs.holds(b - 1, b)
            found.append(list(zip(weights[held].tolist(), costs[held].tolist(), strict=True)))
        return found
