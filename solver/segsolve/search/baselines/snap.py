"""From wished to legal cut positions."""

from __future__ import annotations

from collections.abc import Iterable

from segsolve.problem import Problem, Segmentation


def snap(problem: Problem, wishes: Iterable[float]) -> Segmentation:
    """Return a plan that cuts at the legal positions nearest to the wishes; wishes that meet become one cut."""
    if not problem.cuts:
        return Segmentation(cuts=())
    return Segmentation(
        cuts=tuple(sorted({min(problem.cuts, key=lambda cut: (abs(cut - wish), cut)) for wish in wishes}))
    )
