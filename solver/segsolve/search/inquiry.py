"""A question about the stages of one table, with what the ways to its answer share: pipelines, plans, answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any

from segsolve.cost.plan import PlanScore, check_plan, score_plan
from segsolve.cost.stage_table import StageTable
from segsolve.errors import SolverFault
from segsolve.plan.model import Pipeline, Plan
from segsolve.problem import Problem
from segsolve.question import Layout, Objective, Question
from segsolve.search.answer import Answer
from segsolve.search.certificate import certificate
from segsolve.search.objectives import Choice
from segsolve.search.pipelines import Pipelines
from segsolve.solvers.base import Limits, Status

MOST_TPUS = 64  # of one pipeline; the search grows with the square
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
    def is_single(self) -> bool:
        """Whether one pipeline is asked for, one TPU per stage."""
        return self.question.layout is Layout.PIPELINE

    @cached_property
    def pipelines(self) -> Pipelines:
        """The pipelines that are tried: those of at most `MOST_TPUS` TPUs."""
        most = min(self.problem.tpus, MOST_TPUS)
        return Pipelines(self.table, self.question.constraints, most, replicate=not self.is_single)

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
        plan = Plan(pipelines=tuple(made[choice] for choice in layout))
        if wrong := check_plan(self.problem, plan):
            raise fault(f"its plan is not valid: {wrong[0]}")
        return plan

    def best(self, plan: Plan, score: PlanScore, value: Fraction, **others: Any) -> Answer:
        """Return the answer that a plan is the best of all whose pipelines were tried; `others` are further fields."""
        known: dict[str, Any] = {
            "status": Status.OPTIMAL,
            "plan": plan,
            "score": score,
            "value": value,
            "bound": value,
            "proof": self._proof,
        }
        return self._answer(**(known | others))

    def nothing(self) -> Answer:
        """Return the answer that no plan of the pipelines that were tried keeps the constraints."""
        return self._answer(
            status=Status.INFEASIBLE,
            plan=None,
            score=None,
            value=None,
            bound=Fraction(0),
            proof=f"exact search: no plan keeps the constraints, over all cuts {self._where}",
        )

    def certificate(self, value: Fraction, *, on_link: bool = False) -> dict[str, Any] | None:
        """Return the document that proves a value, None where pipelines that were not tried might better it."""
        is_few = self.question.objective is Objective.DEVICES and value <= MOST_TPUS + 1
        if self.problem.tpus > MOST_TPUS and not is_few:
            return None
        return certificate(self.pipelines, self.question, value, on_link=on_link)

    def is_fast_enough(self, score: PlanScore) -> bool:
        """Whether a plan makes as many inferences per second as are asked for."""
        least = self.question.constraints.min_fps
        return least is None or score.rate * 10**9 >= Fraction(least)

    def value_of(self, plan: Plan, score: PlanScore) -> Fraction:
        """Return what a plan is worth under the objective, in the objective's unit."""
        match self.question.objective:
            case Objective.LATENCY:
                return Fraction(score.latency_ns)
            case Objective.BATCH:
                return Fraction(score.batch_ns(self.question.batch))
            case Objective.DEVICES:
                return Fraction(plan.tpus)
            case _:
                return 1 / score.rate

    def _answer(self, **known: Any) -> Answer:
        return Answer(
            question=self.question, planner=self.planner, cuts=self.cuts, **({"seed": self.limits.seed} | known)
        )

    @property
    def _proof(self) -> str:
        many = f"pipeline and no division of {self.problem.tpus} TPUs among several"
        what = "pipeline" if self.is_single or self.problem.tpus == 1 else many
        return f"potentials: no {what} is better, over all cuts {self._where}"

    @property
    def _where(self) -> str:
        return "of its graph" if self.cuts == "dag" else "of the execution order"


def fault(what: str) -> SolverFault:
    """Return the error that the exact search contradicts itself or the evaluator."""
    return SolverFault(f"the exact search answered wrongly: {what}", "please report this with the model")
