"""The protocol of everything that turns a network into costs."""

from __future__ import annotations

from typing import Protocol

from segsolve.problem import Problem


class CostSource(Protocol):
    """Makes the problem of spreading one network over identical devices."""

    def problem(self, *, tpus: int, no_spill: bool = False) -> Problem:
        """Return the problem for a number of TPUs; ns and bytes."""
        ...
