"""What no plan betters whatever its cuts, layout and stages: devices do all of the work, the host drives a stage."""

from __future__ import annotations

from fractions import Fraction

from segsolve.checker.document import Certificate, Problem
from segsolve.checker.objectives import objective


def least_value(certificate: Certificate) -> Fraction:
    """Return a value in the objective's unit that no plan is below, over all cuts of the graph; 0 for a front."""
    work = Fraction(least_work_ns(certificate.problem))
    return objective(certificate.question.objective).least(certificate, work)


def is_least(certificate: Certificate) -> bool:
    """Whether a certificate's value is the least that any plan has, by the work alone."""
    return 0 < Fraction(*certificate.value) <= least_value(certificate)


def has_one_stage(problem: Problem) -> bool:
    """Whether one device runs every plan's whole graph, so that it does not matter how it could be cut."""
    return problem.tpus == 1 and not problem.cpus


def least_work_ns(problem: Problem) -> int:
    """Return the time that one inference takes of all devices together at least, however the network is cut.

    0 where stages were measured, which may take less than their parts, and where CPU cores take work over.
    """
    if problem.measured or problem.cpus:
        return 0
    ops = problem.ops
    unavoidable = [op.compute_ns if op.cacheable or not op.weight_bytes else op.streamed_ns for op in ops]
    given = sum(t.input_ns for t in problem.transfers if t.producer < 0 and t.consumers)
    wanted = sum(t.output_ns for t in problem.transfers if t.producer >= 0 and t.is_output)
    return problem.overhead_ns + sum(unavoidable) + given + wanted
