"""The tables of all stages cost what the evaluator says, whatever the states between the stages are."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generators.dags import spilling_dag
from generators.drawn import Draw, problems
from generators.problems import chain, large_chain, op_cost
from segsolve.cost.stage import cannot_run, stage_score
from segsolve.cost.states import prefixes_of
from segsolve.cost.table import IMPOSSIBLE, StageTable, chain_table, lattice_table
from segsolve.plan.model import Processor
from segsolve.problem import Problem
from segsolve.search.ladder.start import depth_first
from segsolve.solvers.ladder.dag import dag_of


@st.composite
def with_cores(draw: Draw) -> Problem:
    """Problems in which some operations run on cores, some on nothing else, some nowhere else."""
    problem: Problem = draw(problems(max_ops=7))
    ops = tuple(
        replace(
            op,
            cpu_ns=draw(st.sampled_from((None, 0, 7, 100))),
            on_accelerator=draw(st.sampled_from((True, True, True, True, False))),
        )
        for op in problem.ops
    )
    return replace(problem, ops=ops, cpus=1)


def expected(problem: Problem, ops: tuple[int, ...], processor: Processor) -> int:
    """Return what the evaluator says that a stage takes."""
    if cannot_run(problem, ops, processor):
        return IMPOSSIBLE
    score = stage_score(problem, ops, processor)
    return IMPOSSIBLE if problem.no_spill and score.spilled_ops else score.time_ns


def moved(problem: Problem, ops: tuple[int, ...]) -> int:
    score = stage_score(problem, ops)
    return score.moved_bytes


def agrees(table: StageTable) -> None:
    problem, members = table.problem, table.members
    assert not members[0].any() and members[table.end].all()
    for a in range(len(table)):
        for b in range(len(table)):
            if a == b or not (members[a] <= members[b]).all():
                assert (table.time[a, b], table.core_time[a, b]) == (IMPOSSIBLE, IMPOSSIBLE)
                assert table.moved_bytes[a, b] == 0
                continue
            ops = table.ops(a, b)
            assert set(ops) == set(np.flatnonzero(members[b] & ~members[a]).tolist())
            assert table.time[a, b] == expected(problem, ops, Processor.EDGETPU)
            assert table.core_time[a, b] == expected(problem, ops, Processor.CPU)
            assert table.moved_bytes[a, b] == moved(problem, ops)


def in_some_order(problem: Problem, seed: int) -> StageTable:
    dag = dag_of(problem)
    return StageTable(problem, prefixes_of([dag.groups[g] for g in depth_first(dag, random.Random(seed))]))


@settings(max_examples=200, deadline=None)
@given(problems() | with_cores())
def test_prefixes_of_the_execution_order(problem: Problem) -> None:
    agrees(chain_table(problem))


@settings(max_examples=150, deadline=None)
@given(problems(max_ops=6) | with_cores())
def test_ideals_of_the_graph(problem: Problem) -> None:
    table = lattice_table(problem)
    assert table is not None
    agrees(table)


@settings(max_examples=150, deadline=None)
@given(problems() | with_cores(), st.integers(0, 99))
def test_prefixes_of_any_topological_order_of_groups(problem: Problem, seed: int) -> None:
    agrees(in_some_order(problem, seed))


@pytest.mark.parametrize("seed", range(20))
def test_graphs_whose_weights_and_inputs_do_not_fit(seed: int) -> None:
    problem = spilling_dag(9, 3, seed)
    table = lattice_table(problem)
    assert table is not None
    agrees(table)
    agrees(in_some_order(problem, seed))


@settings(max_examples=60, deadline=None)
@given(problems(max_ops=8))
def test_a_chain_is_a_lattice_of_prefixes(problem: Problem) -> None:
    chained = replace(problem, transfers=chain(*problem.ops).transfers)
    table, lattice = chain_table(chained), lattice_table(chained)
    assert lattice is not None
    assert (table.members == lattice.members).all()
    assert (table.time == lattice.time).all()
    assert (table.moved_bytes == lattice.moved_bytes).all()


@pytest.mark.parametrize(("n", "every"), [(120, 7), (700, 61)])
def test_long_chains_are_priced_block_by_block(n: int, every: int) -> None:
    problem = large_chain(n, 4, 1)
    table = chain_table(problem)
    for a in range(0, n, every):
        for b in range(a + 1, n + 1, every):
            assert table.time[a, b] == stage_score(problem, range(a, b)).time_ns
        row = table.times(a, a + 1, slice(a + 1, n + 1))[0]
        assert (row == table.time[a, a + 1 :]).all()


def test_a_limit_leaves_out_the_stages_that_compute_longer_and_no_others() -> None:
    problem = large_chain(300, 4, 2)
    limit = sum(op.compute_ns for op in problem.ops) // 3
    whole, limited = chain_table(problem), chain_table(problem, limit)
    total = np.cumsum([0, *(op.compute_ns for op in problem.ops)])
    short = total[None, :] - total[:, None] <= limit
    assert (limited.time == np.where(short, whole.time, IMPOSSIBLE)).all()


def test_wide_graphs_are_priced_block_by_block() -> None:
    problem = spilling_dag(18, 4, 3)
    table = lattice_table(problem)
    assert table is not None and len(table) > 300
    rng = random.Random(0)
    for _ in range(300):
        a, b = sorted(rng.sample(range(len(table)), 2))
        nested = bool((table.members[a] <= table.members[b]).all())
        assert table.time[a, b] == (expected(problem, table.ops(a, b), Processor.EDGETPU) if nested else IMPOSSIBLE)


def test_sums_beyond_what_floating_point_holds_are_exact() -> None:
    problem = chain(*(op_cost(2**55 + i) for i in range(4)), ns=2**55 + 1, tpus=4)
    branches = replace(problem, transfers=(*problem.transfers, replace(problem.transfers[1], consumers=(2, 3))))
    for table in (chain_table(branches), lattice_table(branches)):
        assert table is not None
        agrees(table)
