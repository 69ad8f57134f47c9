"""Plans of several pipelines: their notation, and what the evaluator makes of them."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest

from generators.problems import chain, op_cost
from segsolve.cost.plan import check_plan, score_plan
from segsolve.plan.model import Pipeline, Plan, Stage, cut_at, pipeline_of
from segsolve.problem import SharedLink


def plan(*pipelines: Pipeline) -> Plan:
    return Plan(pipelines=pipelines)


def stages(*sizes: int, replicas: tuple[int, ...] = ()) -> Pipeline:
    ends = [sum(sizes[: k + 1]) for k in range(len(sizes))]
    counts = replicas or (1,) * len(sizes)
    return Pipeline(
        stages=tuple(
            Stage(ops=tuple(range(end - size, end)), replicas=r)
            for size, end, r in zip(sizes, ends, counts, strict=True)
        )
    )


@pytest.mark.parametrize(
    ("made", "layout"),
    [
        (plan(stages(1, 1, 1)), "3"),
        (plan(stages(2, 1), stages(2, 1)), "2x2"),
        (plan(stages(1, 1, 1), stages(1, 1, 1), stages(1, 2)), "2x3+2"),
        (plan(stages(1, 1, 1, replicas=(1, 2, 1)), stages(3)), "4[1,2,1]+1"),
    ],
)
def test_the_layout_is_written_briefly(made: Plan, layout: str) -> None:
    assert made.layout == layout


def test_only_one_plain_chain_is_told_by_its_cuts() -> None:
    assert cut_at((1, 3), 5).cuts == (1, 3)
    assert plan(stages(1, 2), stages(1, 2)).cuts is None
    assert plan(stages(1, 2, replicas=(1, 2))).cuts is None
    assert plan(pipeline_of([(0, 2), (1, 3)])).cuts is None


def test_op_ranges_are_maximal_runs() -> None:
    assert Stage(ops=(0, 1, 4, 6, 7)).op_ranges == ((0, 1), (4, 4), (6, 7))


def test_replicas_share_the_time_of_their_stage() -> None:
    problem = chain(op_cost(10), op_cost(25), tpus=4)
    made = score_plan(problem, plan(stages(1, 1, replicas=(1, 2))))
    fast, slow = (stage.time_ns for stage in made.pipelines[0].stages)
    assert made.period_ns == max(fast, -(-slow // 2))


def test_pipelines_add_up_their_rates() -> None:
    problem = chain(op_cost(10), op_cost(30), tpus=3)
    made = score_plan(problem, plan(stages(1, 1), stages(2)))
    first, second = made.pipelines
    assert made.rate == Fraction(1, first.bottleneck_ns) + Fraction(1, second.bottleneck_ns)
    assert made.latency_ns == max(first.latency_ns, second.latency_ns)


def test_a_shared_link_bounds_the_rate_and_serves_the_frugal_first() -> None:
    problem = replace(
        chain(op_cost(10, weight_bytes=2**20), tpus=2, capacity_bytes=0), link=SharedLink(ns_per_mib=10**6)
    )
    copies = score_plan(problem, plan(stages(1), stages(1)))
    load = copies.pipelines[0].link_ns
    assert load >= 10**6
    assert copies.limited_by == ("link",)
    assert copies.rate == Fraction(1, load)


def test_a_batch_is_spread_over_the_pipelines() -> None:
    problem = chain(op_cost(10), op_cost(30), tpus=3)
    made = score_plan(problem, plan(stages(1, 1), stages(1, 1)))
    single = made.pipelines[0]
    assert made.batch_ns(6) == single.batch_ns(3)


@pytest.mark.parametrize(
    ("made", "sentence"),
    [
        (plan(stages(1, 1, 1), stages(1, 1, 1)), "needs 6 TPUs, there are 4"),
        (plan(stages(1, 1)), "hold every operation exactly once"),
        (plan(pipeline_of([(0, 2), (1,)])), "is read in stage 0"),
    ],
)
def test_what_is_wrong_with_a_plan_is_a_sentence(made: Plan, sentence: str) -> None:
    problem = chain(op_cost(1), op_cost(1), op_cost(1), tpus=4)
    assert any(sentence in wrong for wrong in check_plan(problem, made))
    assert check_plan(problem, plan(stages(1, 2), stages(2, 1))) == ()
