"""Every strategy on the same problem, held against one TPU, the vendor's cut and the proven optimum."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from fractions import Fraction

from segsolve.cost.plan import PlanScore, Score, score_cut
from segsolve.problem import Problem
from segsolve.search.answer import Answer
from segsolve.search.ask import answer_of_strategy
from segsolve.search.simple_layouts import Layouts, layouts_beside
from segsolve.search.strategies import COMPARED, VENDOR
from segsolve.solvers.base import Limits, Observer, Status, Stop, ignore


@dataclass(frozen=True, slots=True, kw_only=True)
class Strategy:
    """One planner's answer; ratios are above 1 where the strategy is faster."""

    answer: Answer
    speedup_over_one_tpu: float | None
    speedup_over_compiler: float | None

    @property
    def score(self) -> Score | None:
        """What its pipeline costs, if it has a plan."""
        return self.answer.score.pipelines[0] if self.answer.score else None


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
        return next((s.score for s in self.strategies if s.answer.planner == VENDOR), None)

    @property
    def best(self) -> Strategy | None:
        """The strategy with the smallest time per inference; of several, the last, which is the exact one."""
        found = [s for s in self.strategies if s.score is not None]
        return min(reversed(found), key=lambda s: s.score.period_ns if s.score else 0, default=None)

    @property
    def is_interrupted(self) -> bool:
        """Whether a search ended before its time."""
        return any(strategy.answer.stopped_by is Stop.INTERRUPTED for strategy in self.strategies)


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
    answers = [answer_of_strategy(problem, name, limits, observe) for name in strategies]
    bound = max((a.bound for a in answers if a.status is not Status.INFEASIBLE), default=Fraction(0))
    one_tpu = score_cut(problem, ())
    vendor = next((a.score for a in answers if a.planner == VENDOR), None)
    return Comparison(
        problem=problem,
        one_tpu=one_tpu,
        bound_ns=-(-bound.numerator // bound.denominator),
        strategies=tuple(
            Strategy(
                answer=_with_bound(a, bound) if a.plan else a,
                speedup_over_one_tpu=_ratio(one_tpu.period_ns, a.score),
                speedup_over_compiler=_ratio(vendor.period_ns if vendor else None, a.score),
            )
            for a in answers
        ),
    )


def side_by_side(
    problems: Iterable[Problem], *, keeps_state: bool = False, limits: Limits | None = None, observe: Observer = ignore
) -> Iterator[tuple[Comparison, Layouts | None]]:
    """Yield for each problem its strategies and its layouts, and nothing after Ctrl-C, be it in a search or not.

    The layouts are None where it came before they were found.

    Raises:
        SolverFault: a planner answered wrongly.
    """
    for problem in problems:
        try:
            strategies = compare(problem, limits=limits, observe=observe)
        except KeyboardInterrupt:
            return
        layouts = None
        if not strategies.is_interrupted:
            with suppress(KeyboardInterrupt):
                layouts = layouts_beside(problem, keeps_state=keeps_state, limits=limits, observe=observe)
        yield strategies, layouts
        if layouts is None or layouts.is_interrupted:
            return


def _with_bound(found: Answer, bound: Fraction) -> Answer:
    """Return an answer with the bound of all."""
    is_best = found.status is Status.OPTIMAL and found.value is not None and found.value <= bound
    return replace(found, status=Status.OPTIMAL if is_best else Status.FEASIBLE, bound=bound)


def _ratio(slow_ns: int | None, fast: PlanScore | None) -> float | None:
    if slow_ns is None or fast is None or not fast.period_ns:
        return None
    return slow_ns / fast.period_ns
