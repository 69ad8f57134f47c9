"""Stages between ideals: which there are, and that they cost what the evaluator says."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
from hypothesis import given, settings

from generators.drawn import problems
from generators.problems import chain, op_cost
from segsolve.cost.lattice_table import lattice_table
from segsolve.cost.segment_table import IMPOSSIBLE, SegmentTable
from segsolve.cost.stage import stage_score
from segsolve.cost.states import ideals
from segsolve.problem import Problem


def closed(problem: Problem, ops: frozenset[int]) -> bool:
    """Whether a set holds what its members read, and splits nothing that must stay together."""
    makers = (t.producer for t in problem.transfers for c in t.consumers if c in ops and t.producer >= 0)
    glued = (i for i in range(1, len(problem.ops)) if i not in problem.cuts)
    return all(maker in ops for maker in makers) and all((i in ops) == (i - 1 in ops) for i in glued)


@settings(max_examples=60, deadline=None)
@given(problems(max_ops=7))
def test_ideals_are_the_closed_sets(problem: Problem) -> None:
    members = ideals(problem)
    assert members is not None
    found = {frozenset(map(int, np.flatnonzero(row))) for row in members}
    n = len(problem.ops)
    wanted = {frozenset(s) for k in range(n + 1) for s in combinations(range(n), k) if closed(problem, frozenset(s))}
    assert found == wanted
    assert len(found) == len(members)
    for after, row in enumerate(members):
        assert not any((row <= members[before]).all() for before in range(after))  # a part comes before the whole


@settings(max_examples=100, deadline=None)
@given(problems(max_ops=7))
def test_every_stage_costs_what_the_evaluator_says(problem: Problem) -> None:
    table = lattice_table(problem)
    assert table is not None
    for a in range(len(table.members)):
        for b in range(len(table.members)):
            ops = table.ops(a, b)
            if not table.nested[a, b]:
                assert table.time[a, b] == IMPOSSIBLE
                continue
            score = stage_score(problem, ops)
            spills = problem.no_spill and bool(score.spilled_ops)
            assert table.time[a, b] == (IMPOSSIBLE if spills else score.time_ns)
            assert table.moved_bytes[a, b] == score.input_bytes + score.output_bytes + score.offchip_bytes


@settings(max_examples=60, deadline=None)
@given(problems(max_ops=8))
def test_a_chain_is_a_lattice_of_prefixes(problem: Problem) -> None:
    chained = replace(problem, transfers=chain(*problem.ops).transfers)
    table, lattice = SegmentTable(chained), lattice_table(chained)
    assert lattice is not None
    assert (table.members == lattice.members).all()
    assert (table.time == lattice.time).all()
    assert (table.moved_bytes == lattice.moved_bytes).all()


def test_too_many_ideals_are_not_listed() -> None:
    free = replace(chain(*(op_cost(1) for _ in range(14))), transfers=())
    assert ideals(free, most=2**14) is not None
    assert ideals(free, most=2**14 - 1) is None
    assert lattice_table(free) is None
