"""Every strategy on the same problem, held against one TPU, the vendor's cut and the proven optimum."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from segsolve.cost.plan import Score, score
from segsolve.problem import Problem, Segmentation
from segsolve.search.base import SolveResult
from segsolve.search.chain.confirmed import solve
from segsolve.search.strategies import COMPARED, VENDOR
from segsolve.solvers.base import Limits, Observer, Status, ignore


@dataclass(frozen=True, slots=True, kw_only=True)
class Strategy:
    """One planner's result and its cost; ratios are above 1 where the strategy is faster."""

    result: SolveResult
    score: Score | None
    speedup_over_one_tpu: float | None
    speedup_over_compiler: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """All strategies on one problem; `one_tpu` is the whole model on a single device."""

    problem: Problem
    one_tpu: Score
    bound_ns: int
    strategies: tuple[Strategy, ...]

    @property
    def vendor(self) -> Score | None:
        """What the vendor's cut costs, if it was compared and has a plan."""
        return next((s.score for s in self.strategies if s.result.planner == VENDOR), None)

    @property
    def best(self) -> Strategy | None:
        """The strategy with the smallest bottleneck; of several, the last, which is the exact one."""
        found = [s for s in self.strategies if s.score is not None]
        return min(reversed(found), key=lambda s: s.score.bottleneck_ns if s.score else 0, default=None)


def compare(
    problem: Problem,
    *,
    strategies: Sequence[str] = COMPARED,
    limits: Limits | None = None,
    observe: Observer = ignore,
) -> Comparison:
    """Run the strategies one after the other; the best proven bound among them is the bound of all.

    Raises:
        UsageError: no planner has one of the names.
        SolverFault: a planner answered wrongly.
    """
    results = [solve(problem, planner=name, limits=limits, observe=observe) for name in strategies]
    bound = max(r.bound_ns for r in results if r.status is not Status.INFEASIBLE) if results else 0
    one_tpu = score(problem, Segmentation(cuts=()))
    scores = {r.planner: score(problem, r.plan) for r in results if r.plan is not None}
    return Comparison(
        problem=problem,
        one_tpu=one_tpu,
        bound_ns=bound,
        strategies=tuple(
            Strategy(
                result=replace(r, bound_ns=bound) if r.plan is not None else r,
                score=scores.get(r.planner),
                speedup_over_one_tpu=_ratio(one_tpu, scores.get(r.planner)),
                speedup_over_compiler=_ratio(scores.get(VENDOR), scores.get(r.planner)),
            )
            for r in results
        ),
    )


def _ratio(slow: Score | None, fast: Score | None) -> float | None:
    if slow is None or fast is None or not fast.bottleneck_ns:
        return None
    return slow.bottleneck_ns / fast.bottleneck_ns
