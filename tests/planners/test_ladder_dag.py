"""The ladder's view of a problem: groups, tensors, what may be joined."""

from __future__ import annotations

import dataclasses

import pytest

from generators.dags import random_dag
from generators.problems import chain, op_cost, transfer
from segsolve.problem import OpCost
from segsolve.solvers.ladder.dag import build, dag_of
from segsolve.solvers.ladder.reduce import reduced


def test_operations_between_legal_cuts_are_one_group() -> None:
    problem = chain(*(op_cost(t) for t in (1, 2, 4, 8)), cuts=(1, 3), ns=0)
    dag = dag_of(problem)
    assert dag.groups == ((0,), (1, 2), (3,))
    assert dag.compute_ns == (1, 6, 8)
    assert dag.edges == ((0, 1), (1, 2))


def test_what_is_paid_in_any_case_is_a_groups_own_cost() -> None:
    dag = dag_of(chain(op_cost(10), op_cost(20), ns=3))
    assert dag.compute_ns == (13, 23)
    assert [(t.producer, t.consumers, t.in_ns, t.out_ns) for t in dag.tensors] == [(0, (1,), 3, 3)]


def test_an_input_that_several_groups_read_is_paid_by_each_stage_of_theirs() -> None:
    problem = chain(op_cost(1), op_cost(1), transfers=(transfer(-1, 0, 1, ns=5),))
    (tensor,) = dag_of(problem).tensors
    assert (tensor.producer, tensor.consumers, tensor.in_ns, tensor.out_ns) == (-1, (0, 1), 5, 0)


def test_tensors_with_the_same_ends_are_one() -> None:
    problem = chain(op_cost(1), op_cost(1), transfers=(transfer(0, 1, ns=5), transfer(0, 1, ns=7)))
    (tensor,) = dag_of(problem).tensors
    assert (tensor.in_ns, tensor.out_ns) == (12, 12)


def test_ancestors_descendants_and_reduced_edges() -> None:
    tensors = (transfer(0, 1, 2), transfer(1, 2))
    dag = dag_of(chain(*(op_cost(1) for _ in range(3)), transfers=tensors))
    assert dag.ancestors == (0b001, 0b011, 0b111)
    assert dag.descendants == (0b111, 0b110, 0b100)
    assert dag.edges == ((0, 1), (0, 2), (1, 2))
    assert dag.reduced_edges == ((0, 1), (1, 2))


def test_groups_that_depend_on_each_other_in_a_circle_are_refused() -> None:
    problem = chain(*(op_cost(1) for _ in range(3)))
    with pytest.raises(ValueError, match="circle"):
        build(problem, [(0, 2), (1,)])


def test_free_leaves_join_their_neighbour() -> None:
    """A constant before and a by-product after an operation; the operations that work stay apart."""
    tensors = (transfer(0, 1, ns=3), transfer(1, 2, 3, ns=4))
    problem = chain(op_cost(0), op_cost(5), op_cost(0), op_cost(6), transfers=tensors)
    assert reduced(dag_of(problem)).groups == ((0, 1, 2), (3,))


@pytest.mark.parametrize(
    "leaf",
    [op_cost(1), op_cost(0, weight_bytes=60), op_cost(0, on_accelerator=False, cpu_ns=0)],
    ids=["works", "needs memory", "cannot be there"],
)
def test_leaves_that_cost_something_stay_apart(leaf: OpCost) -> None:
    problem = chain(op_cost(0), op_cost(5, weight_bytes=60), transfers=(transfer(0, 1, ns=3),))
    problem = dataclasses.replace(problem, ops=(leaf, problem.ops[1]))
    assert len(reduced(dag_of(problem))) == 2


def test_reduction_keeps_every_operation_once() -> None:
    for seed in range(20):
        dag = reduced(dag_of(random_dag(30, 3, seed)))
        assert sorted(op for group in dag.groups for op in group) == list(range(30))
