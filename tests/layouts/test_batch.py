"""Bounds on the time of a batch, where pipelines are too many to try them all."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from generators.drawn import problems
from segsolve.cost.table import chain_table
from segsolve.problem import Problem
from segsolve.question import Constraints
from segsolve.search.batch import _close_fronts, _fronts, _least_ns, best_batch
from segsolve.solvers.dynamic.pipelines import Pipelines


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(problems(max_ops=4, max_tpus=4), st.integers(1, 9), st.booleans())
def test_no_plan_is_below_the_bounds(problem: Problem, inferences: int, single: bool) -> None:
    pipelines = Pipelines(chain_table(problem), Constraints(), problem.tpus, replicate=not single)
    found = best_batch(pipelines, inferences, problem.tpus, single=single)
    if found is None:
        return
    assert found.bound_ns == found.time_ns  # all pipelines were tried
    loose = _least_ns(_fronts(pipelines), inferences, problem.tpus, single=single)
    close = _least_ns(_close_fronts(pipelines), inferences, problem.tpus, single=single)
    assert loose <= close <= found.time_ns
