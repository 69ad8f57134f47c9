"""A bound on any layout that needs no search: devices cannot do less than all of the work."""

from __future__ import annotations

from fractions import Fraction

from segsolve.problem import Problem


def least_period(problem: Problem) -> Fraction:
    """Return a time per inference in ns that no layout on any cuts of the graph betters.

    Per inference some device takes each operation, the model's inputs and outputs pass once at least, and one stage
    at least pays its overhead; all devices together have as many ns per ns as there are of them. No bound where stages
    were measured, which may take less than their parts.
    """
    if problem.measured:
        return Fraction(0)
    work = problem.overhead_ns + sum(op.compute_ns for op in problem.ops)
    work += sum(op.streamed_ns - op.compute_ns for op in problem.ops if op.weight_bytes and not op.cacheable)
    work += sum(t.input_ns for t in problem.transfers if t.producer < 0 and t.consumers)
    work += sum(t.output_ns for t in problem.transfers if t.producer >= 0 and t.is_output)
    return Fraction(work, problem.tpus)
