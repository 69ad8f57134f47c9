"""What exact planners on a chain and on a DAG have in common: states, and the stages between any two of them."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from segsolve.problem import Problem


class StageTable(Protocol):
    """Stages lead from state 0, nothing done, through ascending states to state `end`, everything done."""

    @property
    def problem(self) -> Problem:
        """The problem whose stages these are."""
        ...

    @property
    def members(self) -> NDArray[np.bool_]:
        """Which operations [n, operations] are done in each state."""
        ...

    @property
    def time(self) -> NDArray[np.int64]:
        """The time [n, n], in ns, of the stage between two states; `IMPOSSIBLE` where there is none."""
        ...

    @property
    def moved_bytes(self) -> NDArray[np.int64]:
        """The bytes [n, n] that the stage between two states moves per inference."""
        ...

    @property
    def end(self) -> int:
        """Index of the last state."""
        ...

    def ops(self, a: int, b: int) -> tuple[int, ...]:
        """Return the operations of the stage from state `a` to state `b`, ascending."""
        ...
