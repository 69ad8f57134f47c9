"""The plain question, one pipeline for throughput, as every planner answers it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from fractions import Fraction

from segsolve.deadline import OutOfTime
from segsolve.problem import Problem
from segsolve.question import Question
from segsolve.search.answer import Answer
from segsolve.search.base import PLAIN
from segsolve.search.certificate import certificate
from segsolve.search.chain.confirmed import solve
from segsolve.search.chain.table import segment_table
from segsolve.search.confirm import confirmed, refuted
from segsolve.search.objectives import aim
from segsolve.search.strategies import DEFAULT, EXACT
from segsolve.solvers.base import Limits, Observer, Status
from segsolve.solvers.dynamic.pipelines import Pipelines

_LEAST = Fraction(1)  # ns; a stage that costs nothing counts as that


def answer_of_planner(problem: Problem, question: Question, planner: str, limits: Limits, observe: Observer) -> Answer:
    """Return a planner's confirmed answer; an optimal one gets its certificate.

    Raises:
        SolverFault: the planner answered wrongly.
    """
    known = solve(problem, planner=planner, limits=limits, observe=observe)
    asked = question if planner in EXACT else replace(question, layout=PLAIN.layout, cuts=PLAIN.cuts)
    value = None if known.value is None else max(_LEAST, known.value)
    return certified(problem, replace(known, question=asked, value=value, bound=max(_LEAST, known.bound)), limits)


def certified(problem: Problem, known: Answer, limits: Limits | None = None) -> Answer:
    """Return a planner's answer with what else shows that it is optimal: CP-SAT's refutation, and a certificate."""
    if known.status is not Status.OPTIMAL or known.value is None:
        return known
    question, value = known.question, known.value
    pipelines = Pipelines(segment_table(problem), question.constraints, problem.tpus, replicate=False)
    statements = tuple(aim(question.objective).claims(pipelines, question, value))
    claim = "no pipeline is faster, over all cuts of the execution order"
    confirmed_by, document, spent = [*known.confirmed_by], None, known.deterministic_s
    if known.planner == DEFAULT:
        found, more = refuted(statements, claim, limits or Limits())
        confirmed_by += [found] if found else []
        spent += more
    strength = "integer potentials, for `segsolve check` to prove again"
    with suppress(OutOfTime):
        document, proven = confirmed(
            "certificate", claim, strength, lambda: certificate(pipelines, question, value, statements)
        )
        confirmed_by.append(proven)
    return replace(known, confirmed_by=tuple(confirmed_by), deterministic_s=spent, certificate=document)
