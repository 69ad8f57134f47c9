"""Bounds on any layout that need no search: devices cannot do less than all of the work."""

from __future__ import annotations

from fractions import Fraction

from segsolve.problem import Problem
from segsolve.question import Constraints, Question
from segsolve.search.objectives import aim
from segsolve_runtime.contract.wording import exact_ms


def least_work(problem: Problem) -> int:
    """Return the ns that devices spend on an inference at least, whatever the layout and the cuts of the graph.

    Some device takes each operation, the model's inputs and outputs pass once at least, and one stage at least pays its
    overhead. No bound where stages were measured, which may take less than their parts, or cores take operations over.
    """
    if problem.measured or problem.cpus:
        return 0
    work = problem.overhead_ns + sum(op.compute_ns for op in problem.ops)
    work += sum(op.streamed_ns - op.compute_ns for op in problem.ops if op.weight_bytes and not op.cacheable)
    work += sum(t.input_ns for t in problem.transfers if t.producer < 0 and t.consumers)
    return work + sum(t.output_ns for t in problem.transfers if t.producer >= 0 and t.is_output)


def least_host(problem: Problem) -> int:
    """Return the ns for which an inference of one stage occupies the host: no layout takes less per inference."""
    return problem.host.load_ns(1) if problem.host else 0


def least_value(problem: Problem, question: Question) -> Fraction:
    """Return a value in the unit of a question's objective that no plan is below; 0 for a front."""
    goal = aim(question.objective)
    least = goal.least(question, Fraction(least_work(problem)), problem.tpus)
    return max(least, Fraction(least_host(problem))) if goal.is_rate else least


def out_of_reach(problem: Problem, constraints: Constraints) -> str | None:
    """Return why no plan keeps a limit of latency or rate, whatever its cuts and layout; None if that is not known."""
    work, rate = least_work(problem), constraints.least_fps
    if work and not constraints.allow_latency(work):
        return f"no inference takes less than {exact_ms(work)}, however the graph is cut"
    period = max(Fraction(work, problem.tpus), Fraction(least_host(problem)))
    if rate is not None and period * rate > 10**9:
        return f"no plan makes more than {float(10**9 / period):.1f} inferences per second, however the graph is cut"
    return None
