"""The linear program behind the pattern bound: answer and dual prove each other, whatever it was asked before."""

from __future__ import annotations

import random

import numpy as np
import pytest

from generators.pools import random_pool
from segsolve.pool.arcs import arcs_of
from segsolve.pool.patterns import Pricer, every_pattern
from segsolve.solvers.cpsat.potentials import Pattern, Program


@pytest.mark.parametrize("seed", range(5))
def test_potentials_and_amounts_prove_each_other(seed: int) -> None:
    problem, rng = random_pool(seed), random.Random(seed)
    arcs = [[arcs_of(costs) for costs in row] for row in problem.costs]
    every = [(p.kind, frozenset(p.stages)) for p in every_pattern(Pricer(problem, arcs), 10**6) or ()]
    whole = [(k, frozenset({(m, 0, row[0].end)})) for m, row in enumerate(arcs) for k in range(len(row))]
    counts, sizes = problem.pool.counts, [len(row[0]) for row in arcs]
    program = Program(sizes, counts)
    for most in (40, 10, 80, 10, 40):
        patterns: list[Pattern] = list(dict.fromkeys(whole + rng.sample(every, min(most, len(every)))))
        ends, potentials, slack, amounts = program.solve(patterns)
        assert ends == pytest.approx(sum(own[-1] for own in potentials))
        assert all(own[0] == 0 and (np.diff(own[1:]) >= -1e-9).all() for own in potentials)
        assert slack.min() > -1e-9
        assert amounts.min() > -1e-9
        worth = [0.0] * len(counts)
        for kind, stages in patterns:
            worth[kind] = max(worth[kind], sum(potentials[m][b] - potentials[m][a] for m, a, b in stages))
        assert sum(n * z for n, z in zip(counts, worth, strict=True)) <= 1 + 1e-9
        for kind, count in enumerate(counts):
            used = sum(amount for (k, _), amount in zip(patterns, amounts, strict=True) if k == kind)
            assert used <= count * ends + 1e-9
        for m, size in enumerate(sizes):
            own = [(a, b, x) for (_, held), x in zip(patterns, amounts, strict=True) for n, a, b in held if n == m]
            for cut in range(1, size):  # each model's operations are done as often as they begin
                assert sum(x for a, b, x in own if a < cut <= b) >= 1 - 1e-9
