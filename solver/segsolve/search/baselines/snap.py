"""From wished to legal cut positions."""

from __future__ import annotations

from collections.abc import Iterable

from segsolve.problem import Problem


def snap(problem: Problem, wishes: Iterable[float]) -> tuple[int, ...]:
    """Return the legal positions nearest to the wishes; wishes that meet become one cut."""
    if not problem.cuts:
        return ()
    return tuple(sorted({min(problem.cuts, key=lambda cut: (abs(cut - wish), cut)) for wish in wishes}))
