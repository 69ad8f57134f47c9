"""Graphs whose ideals are too many to list: one pipeline, improved and bounded by the ladder program."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from segsolve.cost.plan import check_plan
from segsolve.deadline import left_s
from segsolve.errors import SolverFault
from segsolve.problem import Problem
from segsolve.search.answer import Answer
from segsolve.search.ladder.confirm import solve_and_confirm
from segsolve.solvers.base import Limits, Observer, Status, Stop


def wide_answer(problem: Problem, known: Answer, limits: Limits, observe: Observer) -> Answer:
    """Return the best single pipeline over all cuts of the graph, with the bound that the search came to.

    It starts from a known plan, one TPU per stage. Each stage costs the host its time, whatever it holds: numbers of
    stages for which that takes as long as the best plan are not searched, and fewer stages have no smaller bottleneck.

    Raises:
        SolverFault: a solver contradicts a known plan.
    """
    assert known.plan is not None and known.value is not None
    best, value, floor, searched, least = known, known.value, Fraction(0), list[Answer](), list[Fraction]()
    hint = [stage.ops for stage in known.plan.pipelines[0].stages]
    for stages in range(problem.tpus, 0, -1):
        host = Fraction(problem.host.load_ns(stages) if problem.host else 0)
        is_interrupted = bool(searched) and searched[-1].stopped_by is Stop.INTERRUPTED
        if max(host, floor) < value and not is_interrupted:
            left = limits if limits.time_limit_s is None else replace(limits, time_limit_s=left_s())
            searched.append(solve_and_confirm(problem, stages=stages, hint=hint, limits=left, observe=observe))
            floor = max(floor, searched[-1].bound)
            best, value = _better(problem, best, value, searched[-1])
        least.append(max(host, floor))
    bound = min([value, *least])
    return replace(
        best,
        question=known.question,
        planner=known.planner,
        bound=bound,
        status=Status.OPTIMAL if bound == value else Status.FEASIBLE,
        cuts="dag",
        best_over=None,
        basis=None,
        certificate=None,
        confirmed_by=tuple(by for found in searched for by in found.confirmed_by),
        note="; ".join(dict.fromkeys(found.note for found in searched if found.note)),
        stopped_by=next((f.stopped_by for f in searched if f.stopped_by is not Stop.FINISHED), Stop.FINISHED),
        deterministic_s=known.deterministic_s + sum(found.deterministic_s for found in searched),
    )


def _better(problem: Problem, known: Answer, value: Fraction, found: Answer) -> tuple[Answer, Fraction]:
    """Return the answer whose plan is faster by the evaluator, at its rate on the shared host and link, and its ns."""
    if found.plan is None or found.score is None:
        return known, value
    assert not check_plan(problem, found.plan)
    period = Fraction(found.score.period_ns)
    return (known, value) if period >= value else (replace(found, value=period), period)


def graph_answer(problem: Problem, limits: Limits, observe: Observer) -> Answer:
    """Return the best single pipeline of a problem over accelerators and CPU cores, one device per stage.

    Raises:
        SolverFault: a solver contradicts a known plan.
    """
    found = solve_and_confirm(problem, stages=problem.tpus, limits=limits, observe=observe)
    if found.plan and (wrong := check_plan(problem, found.plan)):
        raise SolverFault(f"the search on the graph answered wrongly: {wrong[0]}", "please report this with the graph")
    value = Fraction(found.score.period_ns) if found.score else None
    return replace(found, value=value, bound=max(Fraction(1), found.bound))  # a stage that costs nothing counts as 1 ns
