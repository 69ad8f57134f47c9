"""What plans of a pool cost: one resident is a stage as it always was; several share memory and time."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest

from generators.pools import random_pool
from segsolve.cost.stage import scratch_bytes, stage_score
from segsolve.pool.arcs import arcs_of
from segsolve.pool.evaluate import check_pool, device_scores, score_pool
from segsolve.pool.model import Kind, Pool, weights_of
from segsolve.pool.plan import PoolPipeline, PoolStage, Resident, by_first_stage
from segsolve.problem import MeasuredStage


@pytest.mark.parametrize("seed", range(20))
def test_one_resident_is_a_stage_as_ever(seed: int) -> None:
    for row in random_pool(seed).costs:
        for problem in row:
            for a in range(len(problem.ops)):
                for b in range(a + 1, len(problem.ops) + 1):
                    assert device_scores([problem], [range(a, b)]) == (stage_score(problem, range(a, b)),)


@pytest.mark.parametrize("seed", range(20))
def test_the_searchs_prices_are_the_evaluators(seed: int) -> None:
    for row in random_pool(seed).costs:
        for problem in row:
            arcs = arcs_of(problem)
            for a in range(arcs.end):
                for b in range(a + 1, arcs.end + 1):
                    ops = arcs.states.ops(a, b)
                    assert arcs.scratch(a, b) == scratch_bytes(problem, ops)
                    for room in (0, 1, 150, 333, 500, 900, 5000):
                        price, exact = arcs.price(a, b, room), stage_score(problem, ops, room_bytes=room)
                        assert (price.time_ns, price.onchip_bytes) == (exact.time_ns, exact.onchip_bytes)
                        assert price.moved_bytes == exact.moved_bytes
                        assert price.fits is not bool(exact.spilled_ops)


def test_the_first_resident_caches_first_and_scratch_is_the_largest() -> None:
    problem = random_pool(0).costs[0][0]
    op = replace(
        problem.ops[0], weight_bytes=600, streamed_bytes=600, compute_ns=10, streamed_ns=110, scratch_bytes=100
    )
    one = replace(problem, ops=(op,), transfers=(), cuts=(), capacity_bytes=1000, overhead_ns=0)
    other = replace(one, ops=(replace(op, scratch_bytes=300),))
    first, second = device_scores([one, other], [(0,), (0,)])
    assert (first.onchip_bytes, first.capacity_bytes, first.time_ns) == (600, 700, 10)
    assert (second.onchip_bytes, second.capacity_bytes, second.time_ns) == (0, 100, 110)


def test_a_measured_stage_keeps_its_error_where_it_shares() -> None:
    problem = random_pool(0).costs[0][0]
    op = replace(problem.ops[0], weight_bytes=600, streamed_bytes=600, compute_ns=10, streamed_ns=110, scratch_bytes=0)
    measured = (MeasuredStage(first=0, end=1, time_ns=25),)
    one = replace(problem, ops=(op,), transfers=(), cuts=(), capacity_bytes=1000, overhead_ns=0, measured=measured)
    assert [s.time_ns for s in device_scores([one, one], [(0,), (0,)])] == [25, 125]
    arcs = arcs_of(one)
    assert [arcs.price(0, 1, room).time_ns for room in (1000, 400)] == [25, 125]


def test_loads_rates_and_latencies() -> None:
    problem = random_pool(3, models=1)
    problem = replace(problem, pool=Pool(kinds=(Kind(name="only", count=3),)), costs=((problem.costs[0][0],),))
    ops = tuple(range(len(problem.costs[0][0].ops)))
    cut = problem.costs[0][0].cuts[0]
    plan = by_first_stage(
        (
            PoolPipeline(
                model=0,
                stages=(PoolStage(ops=ops[:cut], devices=(0,)), PoolStage(ops=ops[cut:], devices=(1, 2))),
            ),
        ),
        3,
    )
    score, weight = score_pool(problem, plan), problem.workload.weights[0]
    head, tail = (stage.time_ns for stage in score.stages[0])
    assert list(map(int, score.device_loads)) == [weight * head, weight * -(-tail // 2), weight * -(-tail // 2)]
    assert score.period == max(score.device_loads)
    assert score.rate_fps(0) == Fraction(10**9 * weight) / score.period
    assert score.latency_ns(0) == score.own_latency_ns(0) == head + tail
    assert plan.layout_of(0) == "3[1,2]"


def test_what_is_no_plan_is_said() -> None:
    problem = random_pool(4, models=1)
    problem = replace(problem, pool=Pool(kinds=(Kind(name="only", count=2),)), costs=((problem.costs[0][0],),))
    ops = tuple(range(len(problem.costs[0][0].ops)))

    def faults(*stages: tuple[tuple[int, ...], tuple[int, ...]]) -> tuple[str, ...]:
        pipeline = PoolPipeline(model=0, stages=tuple(PoolStage(ops=o, devices=d) for o, d in stages))
        return check_pool(problem, by_first_stage((pipeline,), 2))

    assert faults((ops, (0,))) == ()
    assert any("every operation" in fault for fault in faults((ops[:-1], (0,))))
    assert any("two stages of one model" in fault for fault in faults((ops[:1], (0,)), (ops[1:], (0,))))
    plan = by_first_stage((PoolPipeline(model=0, stages=(PoolStage(ops=ops, devices=(0,)),)),), 2)
    wrong = replace(plan, residents=((), (Resident(0, 0),)))
    assert any("residents" in fault for fault in check_pool(problem, wrong))


def test_rates_become_the_smallest_whole_weights() -> None:
    weights, unit = weights_of({"a": Fraction(30), "b": Fraction("7.5")})
    assert weights == {"a": 4, "b": 1}
    assert unit == Fraction(15, 2)
