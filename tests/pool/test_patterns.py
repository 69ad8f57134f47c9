"""All patterns that are worth enough are found, at the price of the evaluator; none else."""

from __future__ import annotations

import random
from itertools import accumulate

import numpy as np
import pytest

from generators.pools import random_pool
from segsolve.pool.arcs import arcs_of
from segsolve.pool.exact import Exact
from segsolve.pool.patterns import Pricer, every_pattern
from segsolve.pool.steps import Steps

ENDLESS = 2**30


@pytest.mark.parametrize("seed", range(30))
def test_tables_price_as_the_search_does(seed: int) -> None:
    for row in random_pool(seed).costs:
        for problem in row:
            arcs = arcs_of(problem)
            steps = Steps(arcs, ENDLESS)
            rooms = np.arange(0, problem.capacity_bytes + 1, 7)
            for stage, (a, b) in enumerate(zip(*(own.tolist() for own in steps.pairs), strict=True)):
                time, used = steps.at(np.full(len(rooms), stage), rooms)
                prices = [arcs.price(a, b, room) for room in rooms.tolist()]
                assert time.tolist() == [price.time_ns for price in prices]
                assert used.tolist() == [price.onchip_bytes for price in prices]


@pytest.mark.parametrize("room_bits", [0, 5, 15])
@pytest.mark.parametrize("seed", range(3000, 3030))
def test_every_pattern_that_is_worth_enough_is_found(
    seed: int, room_bits: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("segsolve.pool.exact._ROOM_BITS", room_bits)
    problem, rng = random_pool(seed), random.Random(seed)
    weights = problem.workload.weights
    arcs = [[arcs_of(costs) for costs in row] for row in problem.costs]
    every = every_pattern(Pricer(problem, arcs), 10**6)
    assert every is not None
    potentials = [
        np.array(list(accumulate((rng.choice((0, rng.randint(1, 1000))) for _ in range(row[0].end)), initial=0)))
        for row in arcs
    ]
    period = rng.choice([pattern.load_ns for pattern in every])
    for kind in range(len(problem.pool.kinds)):
        steps = [Steps(row[kind], ENDLESS) for row in arcs]
        allowed = [np.array([rng.random() < rng.choice((0.5, 2)) for _ in own.scratch]) for own in steps]
        left_out = {
            (m, a, b)
            for m, own in enumerate(steps)
            for a, b, may in zip(*(pairs.tolist() for pairs in own.pairs), allowed[m].tolist(), strict=True)
            if not may
        }
        true = {
            frozenset(p.stages): (p.load_ns, sum(int(potentials[m][b] - potentials[m][a]) for m, a, b in p.stages))
            for p in every
            if p.kind == kind and p.load_ns <= period and not left_out & set(p.stages)
        }
        top = max((worth for _, worth in true.values()), default=0)
        exact = Exact(steps, weights, min(row[kind].capacity_bytes for row in problem.costs))
        search = exact.search(potentials, period, allowed)
        assert search.most >= top
        for least in (0, top // 2 + 1, top, top + 1):
            found = search.patterns(least, 2**28)
            assert found.complete
            assert exact.loads(found.stages).tolist() == found.load.tolist()
            assert {
                exact.held(own): (load, worth)
                for own, load, worth in zip(
                    found.stages.tolist(), found.load.tolist(), found.worth.tolist(), strict=True
                )
            } == {held: both for held, both in true.items() if both[1] >= least}
