"""What is proven of potentials, against what all patterns are worth under them."""

from __future__ import annotations

import pytest

from generators.pools import random_pool
from segsolve.pool.arcs import arcs_of
from segsolve.pool.bound import PatternBound
from segsolve.pool.local import LocalSearch
from segsolve.pool.patterns import Pricer, every_pattern


@pytest.mark.parametrize("seed", range(6000, 6030))
def test_a_ratio_is_that_of_all_patterns(seed: int) -> None:
    problem = random_pool(seed)
    arcs = [[arcs_of(costs) for costs in row] for row in problem.costs]
    every = every_pattern(Pricer(problem, arcs), 10**6)
    pricer = Pricer(problem, arcs)
    start = LocalSearch(problem, pricer).start()
    assert every is not None
    assert start is not None
    high = -(-start.value.numerator // start.value.denominator)
    bound = PatternBound(problem, pricer, high, lambda _: None, lambda _: high)
    node = bound._root
    for period in (high, high * 9 // 10, high * 3 // 4):
        point, worths = node.point, [0] * len(problem.pool.kinds)
        for pattern in every:
            if pattern.load_ns <= period:
                worth = sum(int(point.whole[m][b] - point.whole[m][a]) for m, a, b in pattern.stages)
                worths[pattern.kind] = max(worths[pattern.kind], worth)
        total = sum(n * worth for n, worth in zip(problem.pool.counts, worths, strict=True))
        if not total:  # nothing can be done in so short a time
            continue
        true = point.ends / total
        found = bound._ratio(node, point, period)
        assert found <= true
        assert found > 1 or found >= 0.99 * true  # beyond 1, all is proven
        assert not bound._ratio(node, point, period, least=true * (1 + 1e-6))
