"""The shortlist against every plan there is, on small problems."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import combinations, combinations_with_replacement, product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generators.drawn import problems
from generators.problems import chain, op_cost
from segsolve.cost.plan import check_plan, score_plan
from segsolve.errors import UsageError
from segsolve.plan.model import Pipeline, Plan, Stage
from segsolve.problem import Problem
from segsolve.question import Constraints, Cuts, Question
from segsolve.search.ask import answer
from segsolve.search.shortlist import APART, shortlist


def pipelines(problem: Problem, tpus: int) -> Iterator[tuple[int, Pipeline]]:
    """Every pipeline of at most so many TPUs, and how many it takes."""
    for number in range(tpus):
        for cuts in combinations(problem.cuts, number):
            ends = (*cuts, len(problem.ops))
            for replicas in product(range(1, tpus + 1), repeat=len(ends)):
                if sum(replicas) <= tpus:
                    stages = zip((0, *cuts), ends, replicas, strict=True)
                    yield (
                        sum(replicas),
                        Pipeline(stages=tuple(Stage(ops=tuple(range(a, b)), replicas=r) for a, b, r in stages)),
                    )


def every_rate(problem: Problem, kept: Constraints | None = None) -> set[Fraction]:
    kept = kept or Constraints()
    known = [(used, p) for used, p in pipelines(problem, problem.tpus) if not check_plan(problem, Plan(pipelines=(p,)))]
    rates = set()
    for number in range(1, problem.tpus + 1):
        for several in combinations_with_replacement(known, number):
            if sum(used for used, _ in several) <= problem.tpus:
                plan = Plan(pipelines=tuple(p for _, p in several))
                score = score_plan(problem, plan)
                if kept.allow_stages(plan) and kept.allow_latency(score.latency_ns) and kept.allow_rate(score.rate):
                    rates.add(score.rate)
    return rates


@settings(max_examples=60, deadline=None)
@given(problems(max_ops=5, max_tpus=3), st.sampled_from([Fraction(0), Fraction(1, 20), Fraction(1, 2), Fraction(1)]))
def test_it_has_the_best_periods(problem: Problem, share: Fraction) -> None:
    if problem.link is not None:
        return
    rates = sorted(every_rate(problem), reverse=True)
    listed = shortlist(problem, share, 6)
    wanted: list[Fraction] = []
    for rate in rates:
        apart = not wanted or 1 / rate >= (1 + APART) / wanted[-1]
        if apart and 1 / rate <= (1 + share) / rates[0] and len(wanted) < 6:
            wanted.append(rate)
    assert [each.score.rate for each in listed] == wanted
    for each in listed:
        assert check_plan(problem, each.plan) == ()
    if listed:
        best = answer(problem, Question(cuts=Cuts.CHAIN), planner="dp").value
        assert best is not None and listed[0].score.rate == 1 / best


@settings(max_examples=60, deadline=None)
@given(problems(max_ops=5, max_tpus=3), st.data())
def test_it_keeps_constraints(problem: Problem, data: st.DataObject) -> None:
    if problem.link is not None or not problem.cuts:
        return
    free = [each.score for each in shortlist(problem, Fraction(1), 6)]
    if not free:
        return
    some = data.draw(st.sampled_from(free))
    cut = data.draw(st.sampled_from(problem.cuts))
    values: dict[str, Any] = data.draw(
        st.sampled_from(
            [
                {"max_latency_ns": some.latency_ns},
                {"min_fps": float(some.rate) * 1e9 * 0.9},
                {"cut_before": [cut]},
                {"no_cut_before": [cut], "max_latency_ns": some.latency_ns},
                {"keep_together": [[cut - 1, cut]]},
            ]
        )
    )
    kept = Constraints.of(**values)
    rates = sorted(every_rate(problem, kept), reverse=True)
    listed = shortlist(problem, Fraction(1), 6, kept=kept)
    wanted: list[Fraction] = []
    for rate in rates:
        apart = not wanted or 1 / rate >= (1 + APART) / wanted[-1]
        if apart and 1 / rate <= 2 / rates[0] and len(wanted) < 6:
            wanted.append(rate)
    assert [each.score.rate for each in listed] == wanted
    for each in listed:
        assert kept.allow_stages(each.plan) and kept.allow_latency(each.score.latency_ns)


def test_constraints_on_the_number_of_a_stage_are_refused() -> None:
    problem = chain(op_cost(3), op_cost(4), op_cost(5))
    for values in ({"max_stages": 2}, {"pins": [[1, 0]]}):
        with pytest.raises(UsageError, match="does not count stages"):
            shortlist(problem, Fraction(1), 6, kept=Constraints.of(**values))
