"""Stages between ideals: which there are, and that they cost what the evaluator says."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
from hypothesis import given, settings

from generators.drawn import problems
from generators.problems import chain, op_cost
from segsolve.cost.states import ideals
from segsolve.cost.table import lattice_table
from segsolve.problem import Problem


def closed(problem: Problem, ops: frozenset[int]) -> bool:
    """Whether a set holds what its members read, and splits nothing that must stay together."""
    makers = (t.producer for t in problem.transfers for c in t.consumers if c in ops and t.producer >= 0)
    glued = (i for i in range(1, len(problem.ops)) if i not in problem.cuts)
    return all(maker in ops for maker in makers) and all((i in ops) == (i - 1 in ops) for i in glued)


@settings(max_examples=60, deadline=None)
@given(problems(max_ops=7))
def test_ideals_are_the_closed_sets(problem: Problem) -> None:
    listed = ideals(problem)
    assert listed is not None
    members = listed.members
    found = {frozenset(map(int, np.flatnonzero(row))) for row in members}
    n = len(problem.ops)
    wanted = {frozenset(s) for k in range(n + 1) for s in combinations(range(n), k) if closed(problem, frozenset(s))}
    assert found == wanted
    assert len(found) == len(members)
    for after, row in enumerate(members):
        assert not any((row <= members[before]).all() for before in range(after))  # a part comes before the whole


def test_too_many_ideals_are_not_listed() -> None:
    free = replace(chain(*(op_cost(1) for _ in range(14))), transfers=())
    assert ideals(free, most=2**14) is not None
    assert ideals(free, most=2**14 - 1) is None
    assert lattice_table(free) is None
