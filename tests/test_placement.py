"""What becomes of a stage's weights, layer by layer: the evaluator's own choice, and in words."""

from __future__ import annotations

from hypothesis import given, settings

from generators.drawn import problems
from generators.problems import op_cost, transfer
from segsolve.cost.stage import Placement, placements, stage_score
from segsolve.problem import Problem
from segsolve.report.placed import placed_sentence, streamed_sentences

MIB = 2**20


@settings(deadline=None)
@given(problems())
def test_placements_are_the_evaluator_s(problem: Problem) -> None:
    n = len(problem.ops)
    for first in range(n):
        for end in range(first + 1, n + 1):
            stage = range(first, end)
            score, placed = stage_score(problem, stage), placements(problem, stage)
            assert sum(p.weight_bytes for p in placed if p.cached) == score.onchip_bytes
            assert sum(p.streamed_bytes for p in placed) == score.offchip_bytes
            assert sum(p.cost_ns for p in placed) == score.stream_ns
            assert {p.op for p in placed if p.cacheable and not p.cached} == set(score.spilled_ops)
            assert all(0 <= p.left_bytes <= score.capacity_bytes for p in placed)
            assert all(p.weight_bytes <= p.left_bytes for p in placed if p.cached)


def streaming_problem() -> Problem:
    layers = [
        op_cost(name="first", weight_bytes=6 * MIB, streamed_ns=9_000_000, cache_rank=0),
        op_cost(name="block1;block1/bias", weight_bytes=2 * MIB, streamed_ns=5_400_010, cache_rank=1),
        op_cost(name="block2", weight_bytes=3 * MIB, streamed_ns=10, cache_rank=2),
        op_cost(name="norm", weight_bytes=2048, streamed_ns=70_010, cacheable=False, cache_rank=3),
    ]
    ops = tuple(layers)
    transfers = (transfer(-1, 0), *(transfer(i, i + 1) for i in range(3)))
    return Problem(
        name="net", ops=ops, transfers=transfers, cuts=(1, 2, 3), tpus=2, capacity_bytes=7 * MIB, overhead_ns=0
    )


def test_sentences_say_what_does_not_fit_what_is_left_and_what_it_costs() -> None:
    assert streamed_sentences(streaming_problem(), range(4)) == [
        "layer block1 (2.00 MiB) does not fit: 1.00 MiB are left; it is streamed at every inference and costs 5.40 ms",
        "constants of norm (2.0 KiB) never stay on chip; they are streamed at every inference, which costs 0.07 ms",
        "layer block2 (3.00 MiB) does not fit: 1.00 MiB are left; it is streamed at every inference and costs no time, "
        "as its arithmetic takes longer",
    ]


def test_many_streamed_layers_are_summed_up() -> None:
    sentences = streamed_sentences(streaming_problem(), range(4), most=1)
    assert sentences[1:] == ["2 more layers stream, 3.00 MiB for 0.07 ms"]
    assert streamed_sentences(streaming_problem(), range(1)) == []


def test_a_full_memory_has_nothing_left() -> None:
    placed = Placement(
        op=0, weight_bytes=MIB, streamed_bytes=MIB, left_bytes=0, cached=False, cacheable=True, cost_ns=2_000_000
    )
    assert "does not fit: nothing is left; it is streamed" in placed_sentence("conv", placed)
