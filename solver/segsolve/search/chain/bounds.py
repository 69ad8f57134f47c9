"""Lower bounds on the bottleneck that need no search."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from segsolve.cost.segment_table import SegmentTable


def lower_bound(table: SegmentTable) -> int:
    """Return a bound in ns: the slowest stage that some operation cannot avoid, or an even share of all work.

    May be `IMPOSSIBLE` when an operation fits no stage at all.
    """
    return max(_slowest_unavoidable(table.time), _even_share(table))


def _slowest_unavoidable(time: NDArray[np.int64]) -> int:
    """Every operation lies in some stage; take the fastest stage that contains it, and the worst operation."""
    fastest = np.minimum.accumulate(np.minimum.accumulate(time, axis=0)[:, ::-1], axis=1)[:, ::-1]
    return int(np.diagonal(fastest, offset=1).max())


def _even_share(table: SegmentTable) -> int:
    """All computation, spread evenly, and the overhead that each stage pays.

    No bound where stages were measured: those may take less than their operations add up to.
    """
    problem = table.problem
    if problem.measured:
        return 0
    return -(-sum(op.compute_ns for op in problem.ops) // table.most_stages) + problem.overhead_ns
