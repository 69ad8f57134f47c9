"""A claim about single pipelines: found by dynamic programs, proven by potentials, its contrary refuted by CP-SAT."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segsolve.solvers.dynamic.paths import Paths


@dataclass(frozen=True, eq=False, kw_only=True)
class Statement:
    """A claim: no pipeline of `paths` has all shares below `below_ns`, or each adds up to `at_least` of `cost` [n, n].

    `cost_name` is what that is: "latency", "bytes" or "stages".

    With `most_stages`, of pipelines of at most so many stages, which `paths` has as its own limit.

    `below_ns` is `IMPOSSIBLE` where shares do not matter, `cost` None where there is to be no pipeline at all.
    """

    paths: Paths
    below_ns: int
    cost: NDArray[np.int64] | None = None
    at_least: int = 0
    cost_name: str | None = None
    most_stages: int | None = None
