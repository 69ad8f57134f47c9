"""The best cuts of one topological order of groups.

Exact for the order; another order may be better, so over many orders this is the heuristic that the search starts
from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segsolve.cost.states import prefixes_of
from segsolve.cost.table import IMPOSSIBLE, StageTable
from segsolve.solvers.ladder.dag import Dag

Times = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A stage: groups, and whether a CPU core runs it."""

    groups: tuple[int, ...]
    on_cpu: bool


def best_cuts(dag: Dag, order: Sequence[int], tpus: int) -> tuple[int, tuple[Part, ...]] | None:
    """Return the smallest bottleneck, in ns, of the order's cuts, and the parts; None if none are possible."""
    stages = stage_table(dag, order)
    accelerator, cpu = stages.time, stages.core_time if dag.problem.cpus else None
    table = _reach(accelerator, cpu, tpus, dag.problem.cpus)
    if table[-1][-1][-1] >= IMPOSSIBLE:
        return None
    return int(table[-1][-1][-1]), _parts(table, accelerator, cpu, order)


def stage_table(dag: Dag, order: Sequence[int]) -> StageTable:
    """Return the table of the stages between the prefixes of an order of groups."""
    return StageTable(dag.problem, prefixes_of([dag.groups[g] for g in order]), costs=dag.costs)


def _reach(accelerator: Times, cpu: Times | None, tpus: int, cpus: int) -> list[list[Times]]:
    """Return for each number of accelerators and cores the smallest bottleneck [n + 1] up to each position."""
    table: list[list[Times]] = []
    for a in range(tpus + 1):
        row: list[Times] = []
        for c in range(cpus + 1):
            best = np.full(len(accelerator), IMPOSSIBLE, dtype=np.int64)
            best[0] = 0
            if a:
                best = np.minimum(best, np.minimum(table[a - 1][c], _step(table[a - 1][c], accelerator)))
            if c and cpu is not None:
                best = np.minimum(best, np.minimum(row[c - 1], _step(row[c - 1], cpu)))
            row.append(best)
        table.append(row)
    return table


def _step(before: Times, times: Times) -> Times:
    ends: Times = np.maximum(before[:, None], times).min(axis=0)
    return ends


def _parts(table: list[list[Times]], accelerator: Times, cpu: Times | None, order: Sequence[int]) -> tuple[Part, ...]:
    """Walk back from the end to the parts that have its bottleneck."""
    parts: list[Part] = []
    a, c, here = len(table) - 1, len(table[0]) - 1, len(order)
    limit = table[a][c][here]
    while here:
        if a and table[a - 1][c][here] <= limit:
            a -= 1
            continue
        if c and table[a][c - 1][here] <= limit:
            c -= 1
            continue
        on_cpu, before = _previous(table, accelerator, cpu, (a, c, here), int(limit))
        parts.append(Part(groups=tuple(order[before:here]), on_cpu=on_cpu))
        a, c, here = a - (not on_cpu), c - on_cpu, before
    return tuple(reversed(parts))


def _previous(
    table: list[list[Times]], accelerator: Times, cpu: Times | None, state: tuple[int, int, int], limit: int
) -> tuple[bool, int]:
    """Return the processor of a part that ends in a state within the limit, and where it begins."""
    a, c, here = state
    if a:
        begins = np.flatnonzero(np.maximum(table[a - 1][c], accelerator[:, here]) <= limit)
        if len(begins):
            return False, int(begins[0])
    assert cpu is not None
    return True, int(np.flatnonzero(np.maximum(table[a][c - 1], cpu[:, here]) <= limit)[0])
