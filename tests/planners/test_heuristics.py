"""The heuristics by example, and against the rules that they are named after."""

from __future__ import annotations

import pytest

from generators.problems import chain, op_cost, transfer
from segsolve.problem import OpCost, Problem
from segsolve.search.baselines import balanced, compiler, profiled, uniform
from segsolve.search.baselines.balanced import level_starts


def sized(*sizes: int, tpus: int, **others: object) -> Problem:
    """A chain of operations with these parameters, which stream as slowly as they are large."""
    ops = (op_cost(1, weight_bytes=n, parameter_bytes=n, streamed_ns=1 + n, cache_rank=i) for i, n in enumerate(sizes))
    return chain(*ops, tpus=tpus, ns=0, **others)


@pytest.mark.parametrize(
    ("sizes", "tpus", "cuts"),
    [
        ((10, 10, 10, 10), 2, (2,)),
        ((5, 10, 10, 10, 5), 2, (2,)),  # 5 + 10 + 10 would exceed 40 / 2
        ((30, 1, 1, 1), 2, (1,)),  # larger than the average alone, it still gets a segment
        ((1, 1, 1, 30), 4, (1, 2, 3)),  # every later TPU gets an operation
        ((0, 0, 40), 2, (2,)),
        ((10, 10), 4, (1,)),
        ((10,), 4, ()),
    ],
)
def test_the_vendors_rule(sizes: tuple[int, ...], tpus: int, cuts: tuple[int, ...]) -> None:
    assert compiler.segment(sized(*sizes, tpus=tpus)) == cuts


def test_the_vendors_rule_keeps_to_legal_cuts() -> None:
    assert compiler.segment(sized(10, 10, 10, 10, tpus=2, cuts=(3,))) == (3,)


@pytest.mark.parametrize(("n", "tpus", "cuts"), [(6, 3, (2, 4)), (7, 2, (3,)), (2, 4, (1,)), (1, 3, ())])
def test_uniform_counts_operations(n: int, tpus: int, cuts: tuple[int, ...]) -> None:
    assert uniform.segment(sized(*[1] * n, tpus=tpus)) == cuts


def test_levels_follow_the_deepest_operation_so_far() -> None:
    """A block of two branches: 0 feeds 1 and 3, 1 feeds 2, and 4 joins; 3 is as deep as 1, so no level begins there."""
    tensors = (transfer(-1, 0), transfer(0, 1, 3), transfer(1, 2), transfer(2, 4), transfer(3, 4), transfer(4))
    assert level_starts(chain(*(op_cost() for _ in range(5)), transfers=tensors)) == (1, 2, 4)


def test_balanced_minimises_the_largest_parameter_sum() -> None:
    assert balanced.segment(sized(9, 1, 5, 5, tpus=2)) == (2,)
    assert balanced.segment(sized(1, 1, 1, 9, tpus=2)) == (3,)


def _layer(size: int, scratch: int, rank: int) -> OpCost:
    return op_cost(
        1, weight_bytes=size, parameter_bytes=size, streamed_ns=1 + size, scratch_bytes=scratch, cache_rank=rank
    )


def test_balanced_moves_levels_to_a_neighbour_with_room() -> None:
    """Even parameters, but the large maps of the first segment leave it less memory."""
    ops = [_layer(10, 15, 0), _layer(10, 0, 1), _layer(10, 0, 2), _layer(10, 0, 3)]
    assert balanced.segment(chain(*ops, tpus=2, ns=0, capacity_bytes=30)) == (1,)


def test_balanced_stays_when_no_neighbour_has_room() -> None:
    ops = [_layer(10, 15, 0), _layer(10, 0, 1), _layer(10, 0, 2), _layer(10, 0, 3)]
    assert balanced.segment(chain(*ops, tpus=2, ns=0, capacity_bytes=29)) == (2,)


def test_the_profiler_stops_at_a_millisecond() -> None:
    """Its bisection ends when the fastest and the slowest stage differ by less than 1 ms: here at once."""
    ops = [op_cost(300_000, parameter_bytes=p) for p in (4, 1, 1, 1)]
    problem = chain(*ops, tpus=2, ns=0)
    assert profiled.segment(problem) == compiler.segment(problem) == (1,)


def test_the_profiler_evens_out_stage_times() -> None:
    ops = [op_cost(3_000_000, parameter_bytes=p) for p in (4, 1, 1, 1)]
    assert profiled.segment(chain(*ops, tpus=2, ns=0)) == (2,)
