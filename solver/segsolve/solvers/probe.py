"""Which positions a pipeline of few and fast enough stages can reach: exact, and independent of any solver.

The greedy rule (make every stage as long as the bound allows) is not exact here, because transfers and whole-layer
spill make a longer stage sometimes faster; the probe therefore carries the whole set of reachable positions.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from segsolve.cost.segment_table import IMPOSSIBLE

Reachable = NDArray[np.bool_]


def forward(time: NDArray[np.int64], stages: int, bound_ns: int) -> list[Reachable]:
    """Return for k = 0..stages which positions exactly k stages, none slower than `bound_ns`, can end at."""
    allowed = time <= min(bound_ns, IMPOSSIBLE - 1)
    sets: list[Reachable] = [np.zeros(len(time), dtype=np.bool_)]
    sets[0][0] = True
    for _ in range(stages):
        sets.append(np.asarray(allowed[sets[-1]].any(axis=0), dtype=np.bool_))
    return sets


def backward(time: NDArray[np.int64], stages: int, bound_ns: int) -> list[Reachable]:
    """Return for k = 0..stages from which positions at most k stages, none slower than `bound_ns`, reach the end."""
    allowed = time <= min(bound_ns, IMPOSSIBLE - 1)
    sets: list[Reachable] = [np.zeros(len(time), dtype=np.bool_)]
    sets[0][-1] = True
    for _ in range(stages):
        sets.append(sets[-1] | allowed[:, sets[-1]].any(axis=1))
    return sets


def exists_plan(time: NDArray[np.int64], stages: int, bound_ns: int) -> bool:
    """Whether a plan of at most `stages` stages has no stage slower than `bound_ns`; exact."""
    return bool(backward(time, stages, bound_ns)[-1][0])
