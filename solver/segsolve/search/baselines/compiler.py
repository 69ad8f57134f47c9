"""The vendor's rule: what ``edgetpu_compiler --num_segments`` does.

Source: libcoral's parameter-count partitioner, of which all 201 published splits are exact reproductions.
"""

from __future__ import annotations

from segsolve.problem import Problem
from segsolve.search.base import Heuristic


def segment(problem: Problem) -> tuple[int, ...]:
    """Close a segment just before its parameter bytes would exceed the average; the last takes the rest.

    The average is that of the whole network and is not recomputed. Every segment keeps at least one operation.
    """
    average = sum(op.parameter_bytes for op in problem.ops) // problem.tpus + 1
    legal = set(problem.cuts)
    cuts: list[int] = []
    held = 0
    for position, op in enumerate(problem.ops):
        full = held + op.parameter_bytes > average or position == _latest_end(problem, len(cuts))
        if full and position in legal and len(cuts) < problem.tpus - 1:
            cuts.append(position)
            held = 0
        held += op.parameter_bytes
    return tuple(cuts)


def _latest_end(problem: Problem, segments: int) -> int:
    """Return the position before which a segment must end so that every later TPU still gets an operation."""
    return len(problem.ops) - (problem.tpus - 1 - segments)


PLANNER = Heuristic("compiler", segment)
