"""A question about the stages of one table, with what the ways to its answer share: pipelines, plans, answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from typing import Any

from segsolve.cost.plan import PlanScore, check_plan, score_plan
from segsolve.cost.table import IMPOSSIBLE, StageTable
from segsolve.deadline import OutOfTime
from segsolve.plan.model import Pipeline, Plan
from segsolve.problem import Problem
from segsolve.question import Constraints, Layout, Question
from segsolve.search.answer import EVALUATOR, Answer, Basis, ParetoPoint
from segsolve.search.bounds import least_value
from segsolve.search.certificate import certificate, ways
from segsolve.search.claims import BY_STAGES, by_stages, first_result, no_pipeline
from segsolve.search.confirm import confirmed, refuted
from segsolve.search.needed import needed
from segsolve.search.objectives import aim
from segsolve.search.objectives.base import Aim, Choice, fault
from segsolve.search.objectives.devices import Devices
from segsolve.solvers.base import Confirmation, Limits, Status
from segsolve.solvers.dynamic.pipelines import Pipelines
from segsolve.solvers.statement import Statement

MOST_TPUS = 64  # of one pipeline; the search grows with the square
DYNAMIC = "dynamic program"
_MOST_TIES = 20  # equally good layouts that are told apart by their plans


@dataclass(frozen=True, eq=False, kw_only=True)
class Inquiry:
    """What is asked about which stages, and how; `cuts` says which cuts the stages are all of, "chain" or "dag"."""

    table: StageTable
    question: Question
    planner: str
    limits: Limits
    cuts: str

    @property
    def problem(self) -> Problem:
        """The problem whose stages these are."""
        return self.table.problem

    @property
    def constraints(self) -> Constraints:
        """What a plan must keep."""
        return self.question.constraints

    @property
    def aim(self) -> Aim:
        """What the plan is best at."""
        return aim(self.question.objective)

    @property
    def is_single(self) -> bool:
        """Whether one pipeline is asked for, one TPU per stage."""
        return self.question.layout is Layout.PIPELINE

    @cached_property
    def pipelines(self) -> Pipelines:
        """The pipelines that are tried: those of at most `MOST_TPUS` TPUs."""
        most = min(self.problem.tpus, MOST_TPUS)
        return Pipelines(self.table, self.constraints, most, replicate=not self.is_single)

    def preferred(self, layouts: Sequence[tuple[Choice, ...]]) -> tuple[Plan, PlanScore]:
        """Return, of layouts that are equally good, the plan of the smallest latency, then of the fewest TPUs."""
        found = [self.plan(layout, self.pipelines.pipeline) for layout in layouts[:_MOST_TIES]]
        scored = [(plan, score_plan(self.problem, plan)) for plan in found]
        return min(scored, key=lambda one: (one[1].latency_ns, one[0].tpus, -len(one[0].pipelines)))

    def plan(self, layout: tuple[Choice, ...], make: Callable[[int, int], Pipeline]) -> Plan:
        """Return the plan of a layout, whose pipelines `make` returns for their TPUs and bottleneck in ns.

        Raises:
            SolverFault: the evaluator refuses it.
        """
        made = {choice: make(*choice) for choice in dict.fromkeys(layout)}
        return self.checked(Plan(pipelines=tuple(made[choice] for choice in layout)))[0]

    def best(
        self,
        plan: Plan,
        score: PlanScore,
        value: Fraction,
        *,
        bound: Fraction | None = None,
        sharing: str | None = None,
        is_claimed: bool = True,
        claimed: Fraction | None = None,
        by_rate: tuple[Fraction, str] | None = None,
        note: str = "",
        points: tuple[ParetoPoint, ...] = (),
        shown: tuple[Confirmation, ...] = (),
    ) -> Answer:
        """Return the answer that a plan is the best of all whose pipelines were tried, still to be `confirmed`.

        `bound` is what no plan is below, if not its value. `is_claimed` says that claims about single pipelines prove
        the value, `claimed` what they prove if that may be less; `sharing` names the cost of what all share, if they
        are about that, `by_rate` the rate and the cost that a batch's are about. `shown` is what the search itself has
        shown beside.

        Raises:
            SolverFault: the evaluator disagrees.
        """
        least = value if bound is None else bound
        return self._answer(
            status=Status.OPTIMAL if least == value else Status.FEASIBLE,
            plan=plan,
            score=score,
            value=value,
            bound=least,
            found_by=DYNAMIC,
            confirmed_by=(self._priced(plan, value), *shown),
            note=note,
            points=points,
            basis=Basis(
                is_claimed=is_claimed and (claimed is None or claimed == value),
                sharing=sharing,
                bound=None if claimed is None or claimed == value else claimed,
                by_rate=by_rate,
            ),
        )

    def nothing(self, *, is_claimed: bool = True) -> Answer:
        """Return the answer that no plan of the pipelines that were tried keeps the constraints.

        `is_claimed` says that no single pipeline keeps them; otherwise it is their rates that do not add up.
        """
        what = f"no plan keeps the constraints, over all cuts {self._where}"
        return self._answer(
            status=Status.INFEASIBLE,
            plan=None,
            score=None,
            value=None,
            bound=Fraction(0),
            found_by=DYNAMIC,
            confirmed_by=(Confirmation(by=DYNAMIC, claim=what, strength="exact", seconds=0.0),),
            basis=Basis(is_claimed=is_claimed),
        )

    def confirmed(self, found: Answer) -> Answer:
        """Return an answer to this question with who else confirms it: CP-SAT, and a certificate.

        Raises:
            SolverFault: CP-SAT or the certificate disagrees.
        """
        basis, value = found.basis, found.value
        if basis is None:
            return found
        found = replace(found, basis=None)
        if value is None:
            claim = f"no pipeline keeps the constraints, over all cuts {self._where}"
            return self._refuted(found, no_pipeline(self.pipelines), claim) if basis.is_claimed else found
        if found.bound == value and basis.is_claimed:
            statements = self._claims(value, basis)
            found = self._refuted(found, self._by_use(statements, found.plan), self._claimed(basis))
            with suppress(OutOfTime):
                found = self._certified(found, value, statements, self._claimed(replace(basis, sharing=None)))
        elif found.bound == value and 0 < value <= least_value(self.problem, self.question):
            found = self._certified(found, value, (), "no plan does less work")
        elif found.status is Status.FEASIBLE and basis.bound and value > least_value(self.problem, self.question):
            with suppress(OutOfTime):
                found = self._certified(found, value, self._claims(value, basis), self._claimed(basis), basis.bound)
        return found

    def _refuted(self, found: Answer, statements: Sequence[Statement], claim: str) -> Answer:
        """Let CP-SAT look for what contradicts an answer, if it is the planner."""
        if self.planner != "cpsat":
            return found
        by, spent = refuted(statements, claim, self.limits)
        said = (*found.confirmed_by, by) if by else found.confirmed_by
        return replace(found, confirmed_by=said, deterministic_s=found.deterministic_s + spent)

    def _priced(self, plan: Plan, value: Fraction) -> Confirmation:
        """Let the evaluator check and price a plan again."""

        def price() -> PlanScore:
            if wrong := check_plan(self.problem, plan):
                raise fault(f"its plan is not valid: {wrong[0]}")
            return score_plan(self.problem, plan)

        objective = self.question.objective
        claim = "the plan is valid and costs what is said"
        score, found = confirmed(EVALUATOR, claim, "exact", price)
        if self.aim.has_value and (again := self.value_of(plan, score)) != value:
            raise fault(f"it claims a {objective} of {value}, its plan has {again}")
        return found

    def _certified(
        self,
        found: Answer,
        value: Fraction,
        statements: Sequence[Statement],
        claim: str,
        bound: Fraction | None = None,
    ) -> Answer:
        """Return an answer with the document that proves it, or a `bound`, if that is less.

        Without one where pipelines not tried might better it.
        """
        is_few = isinstance(self.aim, Devices) and value <= MOST_TPUS + 1
        if self.problem.tpus > MOST_TPUS and not is_few:
            return found
        document, proven = confirmed(
            "certificate",
            claim,
            "integer potentials, for `segsolve check` to prove again",
            lambda: certificate(self.pipelines, self.question, value, statements, bound),
        )
        if found.points:
            listed = [[p.plan.tpus, p.score.latency_ns, [*p.score.rate.as_integer_ratio()]] for p in found.points]
            document |= {"points": listed, "plans": [ways(self.table, point.plan) for point in found.points]}
        return replace(found, certificate=document, confirmed_by=(*found.confirmed_by, proven))

    def _claims(self, value: Fraction, basis: Basis) -> tuple[Statement, ...]:
        """Return what must hold of single pipelines so that no plan has a smaller value than is proven."""
        if basis.by_rate:
            rate, cost = basis.by_rate
            takes, tpus = self.problem.shared.takes(cost), self.pipelines.tpus
            return (*first_result(self.pipelines), *needed(self.pipelines, cost, tpus, takes, rate))
        if basis.sharing == BY_STAGES:
            return tuple(by_stages(self.pipelines, lambda p: self.aim.claims(p, self.question, value)))
        if basis.sharing:
            return tuple(self._claims_sharing(basis.sharing, value))
        return tuple(self.aim.claims(self.pipelines, self.question, value))

    def _claims_sharing(self, cost: str, value: Fraction) -> list[Statement]:
        """Return what must hold of single pipelines so that no plan has a smaller value, though all share something."""
        takes = self.problem.shared.takes(cost)
        if self.aim.counts_ns:
            return needed(self.pipelines, cost, self.pipelines.tpus, takes, 1 / value)
        fewer, too_slow = min(self.pipelines.tpus, int(value) - 1), Fraction(self.constraints.least_fps or 0) / 10**9
        return needed(self.pipelines, cost, fewer, takes, too_slow)

    def _by_use(self, statements: Sequence[Statement], plan: Plan | None) -> list[Statement]:
        """Order claims by their use: those about pipelines of the plan's own sizes come first."""
        sizes = {pipeline.tpus for pipeline in plan.pipelines} if plan else set()
        return sorted(statements, key=lambda s: (s.paths.most not in sizes, s.paths.most))

    def _claimed(self, basis: Basis) -> str:
        what, sharing = self.aim.claimed(self.constraints), basis.sharing
        if basis.by_rate:
            what = "no pipeline has an earlier first result, nor as little of what all share as a faster plan needs"
        elif sharing == BY_STAGES:
            what += ", nor of those of as few stages"
        elif sharing:
            does = "moves so little" if sharing == "bytes" else "has so few stages"
            what = f"no pipeline {does} at its bottleneck as a better plan needs"
        if not self.constraints.are_limits:
            what += " that keeps the constraints"
        return f"{what}, over all cuts {self._where}"

    def unknown(self, bound: Fraction, note: str) -> Answer:
        """Return the answer that no plan was found, which does not mean that there is none."""
        return self._answer(
            status=Status.UNKNOWN, plan=None, score=None, value=None, bound=bound, found_by=DYNAMIC, note=note
        )

    @cached_property
    def has_pipelines(self) -> bool:
        """Whether a single pipeline keeps the constraints but that of the rate, which is one of a whole plan."""
        limit = self.constraints.most_latency_ns
        best = self.pipelines.bottlenecks if limit is None else self.pipelines.within(limit)
        return best[-1] < IMPOSSIBLE

    def checked(self, plan: Plan) -> tuple[Plan, PlanScore]:
        """Return a plan with its cost.

        Raises:
            SolverFault: the evaluator refuses it.
        """
        if wrong := check_plan(self.problem, plan):
            raise fault(f"its plan is not valid: {wrong[0]}")
        return plan, score_plan(self.problem, plan)

    def value_of(self, plan: Plan, score: PlanScore) -> Fraction:
        """Return what a plan is worth under the objective, in the objective's unit."""
        return self.aim.value(self.question, plan, score)

    def _answer(self, **known: Any) -> Answer:
        return Answer(
            question=self.question, planner=self.planner, cuts=self.cuts, **({"seed": self.limits.seed} | known)
        )

    @property
    def _where(self) -> str:
        return "of its graph" if self.cuts == "dag" else "of the execution order"
