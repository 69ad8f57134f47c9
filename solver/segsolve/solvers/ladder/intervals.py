"""The time of every stage that is a run of consecutive groups in one topological order, and the best cuts of it.

Exact for the order; another order may be better, so over many orders this is the heuristic that the search starts
from. Costs are those of the evaluator, in vector form.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segsolve.solvers.ladder.dag import Dag

Times = NDArray[np.int64]
IMPOSSIBLE = np.iinfo(np.int64).max // 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A stage: groups, and whether a CPU core runs it."""

    groups: tuple[int, ...]
    on_cpu: bool


def best_cuts(dag: Dag, order: Sequence[int], tpus: int) -> tuple[int, tuple[Part, ...]] | None:
    """Return the smallest bottleneck, in ns, of the order's cuts, and the parts; None if none are possible."""
    accelerator = accelerator_times(dag, order)
    cpu = cpu_times(dag, order) if dag.problem.cpus else None
    table = _reach(accelerator, cpu, tpus, dag.problem.cpus)
    if table[-1][-1][-1] >= IMPOSSIBLE:
        return None
    return int(table[-1][-1][-1]), _parts(table, accelerator, cpu, order)


def accelerator_times(dag: Dag, order: Sequence[int]) -> Times:
    """Return the times [n + 1, n + 1] of the stages from one position of the order to another, on an accelerator."""
    position = np.empty(len(order), dtype=np.int64)
    position[list(order)] = np.arange(len(order))
    compute = _prefix(dag.compute_ns, order)
    times = compute[None, :] - compute[:, None] + _tensor_times(dag, position) + dag.problem.overhead_ns
    _add_memory(dag, order, position, times)
    _put_measured(dag, position, times)
    missing = _prefix([not a for a in dag.accelerated], order)
    times[missing[None, :] > missing[:, None]] = IMPOSSIBLE
    times[np.tril_indices(len(times))] = IMPOSSIBLE
    return times


def cpu_times(dag: Dag, order: Sequence[int]) -> Times:
    """Return the times [n + 1, n + 1] of the stages from one position of the order to another, on a CPU core."""
    compute = _prefix([time or 0 for time in dag.cpu_ns], order)
    missing = _prefix([time is None for time in dag.cpu_ns], order)
    times = compute[None, :] - compute[:, None]
    times[missing[None, :] > missing[:, None]] = IMPOSSIBLE
    times[np.tril_indices(len(times))] = IMPOSSIBLE
    return times


def _prefix(values: Sequence[int], order: Sequence[int]) -> Times:
    return np.concatenate(([0], np.cumsum(np.array(values, dtype=np.int64)[list(order)])))


def _tensor_times(dag: Dag, position: Times) -> Times:
    """Add up rectangles of stages that pay the same tensor: corners first, then two running sums."""
    n = len(position)
    corners: list[tuple[int, int, int, int, int]] = []  # first row, end row, first column, end column, ns
    for tensor in dag.tensors:
        readers = sorted(int(position[c]) for c in tensor.consumers)
        begin = int(position[tensor.producer]) if tensor.producer >= 0 else -1
        if tensor.out_ns:
            corners.append((0, begin + 1, begin + 1, readers[-1] + 1, tensor.out_ns))
        if tensor.in_ns:
            for reader in readers:
                corners.append((begin + 1, reader + 1, reader + 1, n + 1, tensor.in_ns))
                begin = reader
    times = np.zeros((n + 2, n + 2), dtype=np.int64)
    if corners:
        top, bottom, left, right, ns = np.array(corners, dtype=np.int64).T
        for row, column, sign in ((top, left, 1), (top, right, -1), (bottom, left, -1), (bottom, right, 1)):
            np.add.at(times, (row, column), sign * ns)
    summed: Times = times.cumsum(axis=0).cumsum(axis=1)[: n + 1, : n + 1]
    return summed


def _add_memory(dag: Dag, order: Sequence[int], position: Times, times: Times) -> None:
    """Add what streams where weights do not fit, or forbid it."""
    if dag.fits_anyway:
        return
    free = _capacity(dag, order, position)
    if dag.problem.no_spill:
        weights = _prefix(dag.weight_bytes, order)
        times[weights[None, :] - weights[:, None] > free] = IMPOSSIBLE
        return
    for i in dag.problem.cache_order:
        op, where = dag.problem.ops[i], int(position[dag.group_of[i]])
        stages = (slice(0, where + 1), slice(where + 1, None))
        fits = free[stages] >= op.weight_bytes
        free[stages] -= np.where(fits, op.weight_bytes, 0)
        times[stages] += np.where(fits, 0, op.streamed_ns - op.compute_ns)


def _capacity(dag: Dag, order: Sequence[int], position: Times) -> Times:
    """Return for every stage the bytes that its activations leave for weights."""
    scratch = np.array(dag.scratch_bytes, dtype=np.int64)[list(order)]
    largest = np.zeros((len(order) + 1, len(order) + 1), dtype=np.int64)
    for a in range(len(order)):
        largest[a, a + 1 :] = np.maximum.accumulate(scratch[a:])
    for tensor in dag.large_inputs:
        begin = int(position[tensor.producer]) + 1
        for reader in sorted(int(position[c]) for c in tensor.consumers):
            stages = (slice(begin, reader + 1), slice(reader + 1, None))
            largest[stages] = np.maximum(largest[stages], tensor.scratch_bytes)
            begin = reader + 1
    return np.maximum(0, dag.problem.capacity_bytes - largest)


def _put_measured(dag: Dag, position: Times, times: Times) -> None:
    """Replace the times of the stages that were measured as a whole, where the order has them in one run."""
    for stage in dag.problem.measured:
        groups = sorted({dag.group_of[i] for i in range(stage.first, stage.end)})
        where = sorted(int(position[g]) for g in groups)
        whole = sum(len(dag.groups[g]) for g in groups) == stage.end - stage.first
        if whole and where[-1] - where[0] + 1 == len(where):
            times[where[0], where[-1] + 1] = stage.time_ns


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
