"""Lower bounds on the bottleneck that need no search."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from segsolve.cost.table import StageTable
from segsolve.deadline import check
from segsolve.problem import Problem
from segsolve.search.bounds import least_work


def lower_bound(table: StageTable) -> int:
    """Return a bound in ns: the slowest stage that some operation cannot avoid, or an even share of all work.

    May be `IMPOSSIBLE` when an operation fits no stage at all.
    """
    return max(_slowest_unavoidable(table.time), _even_share(table))


def bound_of_work(problem: Problem) -> int:
    """Return a bound in ns that needs no table: the dearest operation alone, or an even share of all work."""
    if problem.measured or problem.cpus:
        return 0
    streams = (op.streamed_ns if op.weight_bytes and not op.cacheable else op.compute_ns for op in problem.ops)
    most = min(problem.tpus, len(problem.cuts) + 1)
    return max(max(streams) + problem.overhead_ns, -(-least_work(problem) // most))


def _slowest_unavoidable(time: NDArray[np.int64]) -> int:
    """Every operation lies in some stage; take the fastest stage that contains it, and the worst operation."""
    fastest = np.minimum.accumulate(time, axis=0)
    check()
    fastest = np.minimum.accumulate(fastest[:, ::-1], axis=1)[:, ::-1]
    check()
    return int(np.diagonal(fastest, offset=1).max())


def _even_share(table: StageTable) -> int:
    """All computation, spread evenly, and the overhead that each stage pays.

    No bound where stages were measured: those may take less than their operations add up to.
    """
    problem = table.problem
    if problem.measured:
        return 0
    return -(-sum(op.compute_ns for op in problem.ops) // table.most_stages) + problem.overhead_ns
