"""The most that one device can be worth under potentials: the checker's own pricing, which errs upwards only.

A device holds at most one stage of each model, within its memory and within a period. For each stage, the layers that
save most in each amount of memory are found exactly (their bytes rounded down to levels); the device itself, which
caches by first fit, saves no more. Memory and time are then rounded down to levels once more, stage by stage.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from segsolve.checker.costs import scratch
from segsolve.checker.document import Problem
from segsolve.checker.failure import CertificateFault
from segsolve.checker.pool.dedicated import prefix_states
from segsolve.checker.pool.document import PoolCertificate, Shared
from segsolve.checker.rows import FORBIDDEN, Rows

Ints = NDArray[np.int64]
_ENDLESS = 2**59  # bytes: all weights of a problem fit


@dataclass(frozen=True, eq=False)
class Stages:
    """All stages of a model on a kind: first and last state, scratch memory, least time [stages, levels of memory]."""

    first: Ints
    last: Ints
    scratch: Ints
    time: Ints


def prove_shared(certificate: PoolCertificate, proof: Shared) -> int:
    """Prove that no plan of one pipeline per model, on shared devices, has a period of `proof.period_ns` or less.

    Return how many stages were priced.

    Raises:
        CertificateFault: the potentials do not show it.
    """
    if any(own[0] != 0 for own in proof.potentials):
        raise CertificateFault("a potential does not begin at 0")
    ends = sum(own[-1] for own in proof.potentials)
    potentials = [np.array(own, dtype=np.int64) for own in proof.potentials]
    available, priced = 0, 0
    for kind, each in enumerate(certificate.kinds):
        stages = [stages_of(row[kind], proof) for row in certificate.problems]
        priced += sum(len(own.first) for own in stages)
        capacity = min(row[kind].capacity_bytes for row in certificate.problems)
        available += each.count * _most(certificate, proof, kind, stages, potentials, capacity)
    if ends <= available:
        raise CertificateFault(
            f"the potentials do not show that no period is {proof.period_ns} ns or less: devices may be worth "
            f"{available}, all models are {ends}"
        )
    return priced


def least_work(certificate: PoolCertificate) -> int:
    """Return a period that no plan of one pipeline per model is below: all weights on chip, spread evenly, in ns."""
    total = Fraction(0)
    for row, model in zip(certificate.problems, certificate.models, strict=True):
        times = [_resident(problem) for problem in row]
        best = [0]
        for b in range(1, len(times[0])):
            best.append(min(best[a] + min(int(time[a, b]) for time in times) for a in range(b)))
        total += Fraction(model.weight * best[-1], len(certificate.devices))
    return int(total)


def stages_of(problem: Problem, proof: Shared) -> Stages:
    """Return the stages of a problem with their least times in each level of memory."""
    fine = proof.layer_level_bytes
    per_level = proof.memory_level_bytes // fine
    levels = problem.capacity_bytes // proof.memory_level_bytes + 1
    resident = _resident(problem)
    states = [0, *problem.cuts, len(problem.ops)]
    firsts, lasts, scratches, times = [], [], [], []
    for a in range(len(states) - 1):
        saved = np.zeros(levels * per_level, dtype=np.int64)
        streamed = needed = 0
        for b in range(a + 1, len(states)):
            for op in problem.ops[states[b - 1] : states[b]]:
                if not op.cacheable or not op.weight_bytes:
                    continue
                size, cost = op.weight_bytes // fine, op.streamed_ns - op.compute_ns
                streamed += cost
                needed += size
                with_it = saved[: max(0, len(saved) - size)] + cost
                saved[size:] = np.maximum(saved[size:], with_it)
            if resident[a, b] >= FORBIDDEN:
                continue
            time = resident[a, b] + streamed - saved[per_level - 1 :: per_level]
            if problem.no_spill:
                rooms = np.arange(1, levels + 1) * per_level - 1
                time = np.where(rooms >= needed, time, FORBIDDEN)
            firsts.append(a)
            lasts.append(b)
            scratches.append(scratch(problem, range(states[a], states[b])))
            times.append(time)
    return Stages(np.array(firsts), np.array(lasts), np.array(scratches), np.array(times))


def _resident(problem: Problem) -> Ints:
    """Return the times [states, states] of stages with all their weights on chip."""
    free = problem.model_copy(update={"capacity_bytes": _ENDLESS, "no_spill": False, "measured": []})
    rows = Rows(free, prefix_states(problem))
    states = [0, *problem.cuts, len(problem.ops)]
    times = np.full((len(states), len(states)), FORBIDDEN, dtype=np.int64)
    for a in range(len(states) - 1):
        columns = np.arange(a + 1, len(states))
        times[a, columns] = rows.time(a, columns)
    from segsolve.checker.costs import stage_cost

    for measured in problem.measured:
        if measured.first in states and measured.end in states:
            own = stage_cost(problem, range(measured.first, measured.end))
            times[states.index(measured.first), states.index(measured.end)] += own.correction_ns
    return times


def _most(
    certificate: PoolCertificate,
    proof: Shared,
    kind: int,
    stages: Sequence[Stages],
    potentials: Sequence[Ints],
    capacity: int,
) -> int:
    """Return the most that a device of a kind is worth, over all classes of scratch memory."""
    tops = proof.scratch_classes[kind]
    found = np.unique(np.concatenate([own.scratch for own in stages]))
    if tops != sorted(set(tops)) or found[-1] > tops[-1]:
        raise CertificateFault("the classes of scratch memory do not hold all stages")
    best, below = 0, -1
    for top in tops:
        inside = found[(found > below) & (found <= top)]
        below = top
        if not len(inside):
            continue
        levels = max(0, capacity - int(inside[0])) // proof.memory_level_bytes + 1
        grids = [
            _worths(own, weight.weight, gains, proof, levels, top)
            for own, weight, gains in zip(stages, certificate.models, potentials, strict=True)
        ]
        best = max(best, _together(grids))
    return best


def _worths(stages: Stages, weight: int, potentials: Ints, proof: Shared, levels: int, most_scratch: int) -> Ints:
    """Return what one stage of a model is worth at most [levels of memory, levels of time]."""
    gains = potentials[stages.last] - potentials[stages.first]
    grid = np.zeros((levels, proof.time_levels + 1), dtype=np.int64)
    for number in np.argsort(gains, kind="stable").tolist():  # what is worth more is written last
        if gains[number] <= 0 or stages.scratch[number] > most_scratch:
            continue
        time = stages.time[number, :levels]
        fits = np.flatnonzero(time <= proof.period_ns // weight)
        grid[fits, time[fits] * weight * proof.time_levels // max(1, proof.period_ns)] = gains[number]
    return np.maximum.accumulate(np.maximum.accumulate(grid, axis=1), axis=0)


def _together(grids: Sequence[Ints]) -> int:
    """Return the most that stages of all models are worth together within the grid."""
    total = grids[0]
    for number, grid in enumerate(grids[1:], 2):
        if number == len(grids):
            return int((total + grid[::-1, ::-1]).max())
        total = _convolved(total, grid)
    return int(total[-1, -1])


def _convolved(one: Ints, other: Ints) -> Ints:
    """Return the largest sums of a cell of each grid whose levels add up to no more than those of the cell."""
    if _steps(one) < _steps(other):
        one, other = other, one
    result = one.copy()
    rises = other > 0
    rises[1:] &= other[1:] > other[:-1]
    rises[:, 1:] &= other[:, 1:] > other[:, :-1]
    for j, t in np.argwhere(rises).tolist():
        into = result[j:, t:]
        np.maximum(into, one[: into.shape[0], : into.shape[1]] + other[j, t], out=into)
    return result


def _steps(grid: Ints) -> int:
    return int(np.count_nonzero(np.diff(grid, axis=0)))
