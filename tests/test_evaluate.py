"""The specification by example: every figure here was worked out by hand."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given

from generators.drawn import problems
from generators.problems import chain, op_cost, transfer
from segsolve.cost.plan import check_plan, plan_timeline, score_cut, score_plan
from segsolve.cost.stage import stage_score
from segsolve.errors import DeviceError
from segsolve.plan.model import cut_at
from segsolve.problem import MeasuredStage, Problem
from segsolve.search.chain.confirmed import solve

WHOLE = ()


def cut(*positions: int) -> tuple[int, ...]:
    return positions


def check(problem: Problem, cuts: tuple[int, ...]) -> tuple[str, ...]:
    return check_plan(problem, cut_at(cuts, len(problem.ops)))


def test_a_stage_pays_overhead_compute_input_and_output() -> None:
    problem = chain(op_cost(10), op_cost(20), op_cost(30), ns=4, overhead_ns=5)
    stages = score_cut(problem, cut(2)).stages
    assert [s.time_ns for s in stages] == [5 + 10 + 20 + 4 + 4, 5 + 30 + 4 + 4]
    assert [(s.input_ns, s.output_ns) for s in stages] == [(4, 4), (4, 4)]


def test_bottleneck_throughput_latency_and_batch() -> None:
    costs = score_cut(chain(op_cost(10), op_cost(20), ns=0), cut(1))
    assert costs.bottleneck_ns == 20
    assert costs.latency_ns == 30
    assert costs.throughput_fps == pytest.approx(5e7)
    assert costs.batch_ns(15) == 30 + 14 * 20


def test_a_tensor_is_paid_once_by_its_maker_and_once_by_each_stage_that_reads_it() -> None:
    ops = tuple(op_cost(0) for _ in range(4))
    fan_out = transfer(0, 1, 2, 3, ns=7)
    problem = chain(*ops, tpus=4, transfers=(fan_out,))
    assert [s.output_ns for s in score_cut(problem, cut(1, 2)).stages] == [7, 0, 0]
    assert [s.input_ns for s in score_cut(problem, cut(1, 2)).stages] == [0, 7, 7]
    assert [s.input_ns for s in score_cut(problem, cut(1)).stages] == [0, 7]


def test_what_passes_by_costs_a_stage_nothing() -> None:
    ops = tuple(op_cost(0) for _ in range(3))
    skip = transfer(0, 2, ns=7)
    stages = score_cut(chain(*ops, tpus=3, transfers=(skip,)), cut(1, 2)).stages
    assert [(s.input_ns, s.output_ns) for s in stages] == [(0, 7), (0, 0), (7, 0)]


def test_an_output_that_is_read_later_is_handed_out_once() -> None:
    early = transfer(0, 1, ns=7, is_output=True)
    problem = chain(op_cost(0), op_cost(0), transfers=(early,))
    assert score_cut(problem, WHOLE).stages[0].output_ns == 7
    assert [s.output_ns for s in score_cut(problem, cut(1)).stages] == [7, 0]


def test_weights_are_cached_by_rank_whole_layers_first_fit() -> None:
    layers = [
        op_cost(10, name="a", weight_bytes=60, streamed_ns=15, cache_rank=2),
        op_cost(10, name="b", weight_bytes=70, streamed_ns=99, cache_rank=0),
        op_cost(10, name="c", weight_bytes=20, streamed_ns=99, cache_rank=3),
    ]
    stage = score_cut(chain(*layers, ns=0, capacity_bytes=100), WHOLE).stages[0]
    assert stage.onchip_bytes == 70 + 20
    assert stage.offchip_bytes == 60
    assert stage.spilled_ops == (0,)
    assert stage.stream_ns == 5


def test_activations_take_capacity_from_weights() -> None:
    layers = [op_cost(0, weight_bytes=50, streamed_ns=9), op_cost(0, scratch_bytes=60)]
    problem = chain(*layers, ns=0, capacity_bytes=100)
    assert score_cut(problem, WHOLE).stages[0].spilled_ops == (0,)
    assert score_cut(problem, cut(1)).stages[0].capacity_bytes == 100
    assert score_cut(problem, cut(1)).offchip_bytes == 0


def test_a_tensor_that_comes_in_takes_capacity_only_where_it_comes_in() -> None:
    problem = chain(op_cost(0, scratch_bytes=10), op_cost(0, weight_bytes=50, streamed_ns=9), ns=0, capacity_bytes=100)
    problem = dataclasses.replace(
        problem,
        transfers=tuple(dataclasses.replace(t, scratch_bytes=60 * (t.producer == 0)) for t in problem.transfers),
    )
    assert score_cut(problem, WHOLE).stages[0].capacity_bytes == 90
    assert [stage.capacity_bytes for stage in score_cut(problem, cut(1)).stages] == [90, 40]
    assert score_cut(problem, cut(1)).stages[1].spilled_ops == (1,)


def test_scratch_beyond_the_memory_leaves_nothing() -> None:
    problem = chain(op_cost(0, weight_bytes=1, streamed_ns=3, scratch_bytes=500), capacity_bytes=100)
    assert score_cut(problem, WHOLE).stages[0].capacity_bytes == 0
    assert score_cut(problem, WHOLE).stages[0].offchip_bytes == 1


def test_constants_that_are_never_cached_stream_but_are_no_spill() -> None:
    problem = chain(op_cost(1, weight_bytes=5, streamed_ns=4, cacheable=False), no_spill=True)
    stage = score_cut(problem, WHOLE).stages[0]
    assert (stage.offchip_bytes, stage.stream_ns, stage.spilled_ops) == (5, 3, ())
    assert check(problem, WHOLE) == ()


def test_check_names_what_is_wrong() -> None:
    problem = chain(*(op_cost() for _ in range(4)), cuts=(1, 3))
    assert check(problem, cut(1)) == ()
    assert check(problem, cut(2)) == ("operations 1 and 2 must stay together",)
    assert check(problem, cut(1, 3)) == ("the plan needs 3 TPUs, there are 2",)
    assert check(problem, cut(3, 1))[-1] == "the stages do not hold every operation exactly once"
    tight = dataclasses.replace(problem, ops=(op_cost(name="big", weight_bytes=101), *problem.ops[1:]), no_spill=True)
    assert check(tight, cut(1)) == ("stage 0 cannot hold the weights of 'big'",)


@pytest.mark.parametrize(
    "broken",
    [
        {"ops": ()},
        {"tpus": 0},
        {"cuts": (0,)},
        {"cuts": (2, 1)},
        {"cuts": (3,)},
        {"capacity_bytes": -1},
        {"overhead_ns": -1},
        {"transfers": (transfer(0, 7),)},
    ],
)
def test_a_problem_that_makes_no_sense_is_refused(broken: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r".+"):
        chain(op_cost(), op_cost(), op_cost(), **broken)


@pytest.mark.parametrize(
    ("broken", "what"),
    [
        ({"ops": (op_cost(2**59), op_cost(2**59))}, "times of chain"),
        ({"overhead_ns": 2**59}, "times of chain"),
        ({"ns": 2**58}, "times of chain"),
        ({"measured": (MeasuredStage(first=0, end=1, time_ns=2**60),)}, "times of chain"),
        ({"ops": (op_cost(weight_bytes=2**59), op_cost(weight_bytes=2**59))}, "bytes of chain"),
        ({"capacity_bytes": 2**60}, "bytes of chain"),
        ({"ops": (op_cost(scratch_bytes=2**62), op_cost())}, "bytes of chain"),
    ],
)
def test_amounts_whose_sums_could_overflow_are_refused(broken: dict[str, Any], what: str) -> None:
    ops = broken.get("ops", (op_cost(), op_cost()))
    with pytest.raises(DeviceError, match=f"the {what} add up to"):
        chain(*ops, **{k: v for k, v in broken.items() if k != "ops"})


def test_the_largest_sums_do_not_overflow() -> None:
    problem = chain(op_cost(2**58), op_cost(2**58), op_cost(2**58), ns=2**53, tpus=2)
    assert solve(problem).objective_ns == 2**59 + 2**54


def test_costs_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="negative"):
        op_cost(-1)
    with pytest.raises(ValueError, match="faster"):
        op_cost(5, streamed_ns=4)
    with pytest.raises(ValueError, match="ascending"):
        transfer(3, 2)
    with pytest.raises(ValueError, match="ascending"):
        transfer(0, 2, 1)


@given(problems())
def test_stages_together_do_all_the_work(problem: Problem) -> None:
    stages = score_cut(problem, problem.cuts).stages
    whole = stage_score(problem, range(len(problem.ops)))
    assert sum(s.compute_ns for s in stages) == whole.compute_ns
    assert sum(s.onchip_bytes + s.offchip_bytes for s in stages) == whole.onchip_bytes + whole.offchip_bytes
    assert sum(s.input_ns for s in stages) >= whole.input_ns
    assert all(s.onchip_bytes <= s.capacity_bytes for s in stages)


@given(problems())
def test_the_timeline_ends_when_the_batch_does(problem: Problem) -> None:
    costs = score_plan(problem, cut_at(problem.cuts, len(problem.ops)))
    slots = plan_timeline(costs, inferences=4)
    assert max(slot.end_ns for slot in slots) == costs.batch_ns(4)
    assert len(slots) == 4 * (len(problem.cuts) + 1)
