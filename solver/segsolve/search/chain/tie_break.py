"""Of all plans with the same bottleneck, the one that every exact planner returns."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from segsolve.cost.segment_table import IMPOSSIBLE


def best_path(time: NDArray[np.int64], stages: int, bottleneck_ns: int) -> tuple[int, ...] | None:
    """Return the position indices at which the stages of the preferred plan end; None if there is no such plan.

    Among the plans of at most `stages` stages, none slower than `bottleneck_ns`: the smallest latency, then the
    fewest stages, then the earliest cuts. The plan is unique, so results repeat whatever the planner and its seed.
    """
    allowed = np.where(time <= bottleneck_ns, time, IMPOSSIBLE)
    remaining = _latency_to_end(allowed, stages)
    latencies = [int(row[0]) for row in remaining]
    count = int(np.argmin(latencies))
    if latencies[count] >= IMPOSSIBLE:
        return None
    path, here = [], 0
    for left in range(count - 1, -1, -1):
        here = int(np.argmax(allowed[here] + remaining[left] == remaining[left + 1][here]))
        path.append(here)
    return tuple(path)


def _latency_to_end(allowed: NDArray[np.int64], stages: int) -> list[NDArray[np.int64]]:
    """Return for k = 0..stages the least time [m + 1] of exactly k stages from each position to the end."""
    rows = [np.full(len(allowed), IMPOSSIBLE, dtype=np.int64)]
    rows[0][-1] = 0
    for _ in range(stages):
        rows.append(np.minimum((allowed + rows[-1][None, :]).min(axis=1), IMPOSSIBLE))
    return rows
