"""Every strategy on the same problem, held against one TPU, the vendor's cut and the proven optimum."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from segsolve.cost.plan import Score, score
from segsolve.plan.model import segmentation_of
from segsolve.problem import Problem, Segmentation
from segsolve.search.ask import best_pipeline
from segsolve.search.base import SolveResult
from segsolve.search.bounds import least_host
from segsolve.search.chain.confirmed import solve
from segsolve.search.strategies import COMPARED, EXACT, VENDOR
from segsolve.solvers.base import Limits, Observer, Status, Stop, ignore


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
        """The strategy with the smallest time per inference; of several, the last, which is the exact one."""
        found = [s for s in self.strategies if s.score is not None]
        return min(reversed(found), key=lambda s: s.score.period_ns if s.score else 0, default=None)


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
    results = [_found(problem, name, limits, observe) for name in strategies]
    bounds = [r.bound_ns for r in results if r.status is not Status.INFEASIBLE]
    bound = max(*bounds, least_host(problem)) if bounds else 0
    one_tpu = score(problem, Segmentation(cuts=()))
    scores = {r.planner: score(problem, r.plan) for r in results if r.plan is not None}
    return Comparison(
        problem=problem,
        one_tpu=one_tpu,
        bound_ns=bound,
        strategies=tuple(
            Strategy(
                result=_known(r, scores[r.planner], bound) if r.planner in scores else r,
                score=scores.get(r.planner),
                speedup_over_one_tpu=_ratio(one_tpu, scores.get(r.planner)),
                speedup_over_compiler=_ratio(scores.get(VENDOR), scores.get(r.planner)),
            )
            for r in results
        ),
    )


def _found(problem: Problem, planner: str, limits: Limits | None, observe: Observer) -> SolveResult:
    """Return a planner's result; an exact one that the link or the host limits is solved again with these."""
    found = solve(problem, planner=planner, limits=limits, observe=observe)
    if found.plan is None or planner not in EXACT:
        return found
    alone = score(problem, found.plan)
    if alone.period_ns == alone.bottleneck_ns or found.stopped_by is not Stop.FINISHED:
        return found
    shared = best_pipeline(problem, planner, limits)
    plan = segmentation_of(shared.plan) if shared.plan else None
    if plan is None or shared.value is None:
        return found
    return replace(
        found,
        status=shared.status,
        plan=plan,
        objective_ns=score(problem, plan).period_ns,
        bound_ns=shared.bound_ns,
        found_by=shared.found_by,
        confirmed_by=shared.confirmed_by,
        stopped_by=shared.stopped_by,
        wall_s=found.wall_s + shared.wall_s,
    )


def _known(result: SolveResult, score: Score, bound_ns: int) -> SolveResult:
    """Return a result with the bound of all, and with what is shared, of which heuristics know nothing."""
    is_best = result.status is Status.OPTIMAL and score.period_ns <= max(1, bound_ns)
    is_limited = score.period_ns != score.bottleneck_ns
    return replace(
        result,
        status=Status.OPTIMAL if is_best else Status.FEASIBLE,
        objective_ns=score.period_ns if is_limited else result.objective_ns,
        bound_ns=bound_ns,
    )


def _ratio(slow: Score | None, fast: Score | None) -> float | None:
    if slow is None or fast is None or not fast.period_ns:
        return None
    return slow.period_ns / fast.period_ns
