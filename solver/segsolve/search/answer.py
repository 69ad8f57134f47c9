"""What is answered to a question: a plan of pipelines, its cost, and what is known of its quality and from whom."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from segsolve.cost.plan import PlanScore
from segsolve.plan.model import Plan
from segsolve.question import Question
from segsolve.search.objectives import aim
from segsolve.solvers.base import Confirmation, Status, Stop


@dataclass(frozen=True, slots=True, kw_only=True)
class ParetoPoint:
    """A plan that no other betters in TPUs, throughput and latency at once."""

    plan: Plan
    score: PlanScore


@dataclass(frozen=True, slots=True, kw_only=True)
class Basis:
    """On what about single pipelines an answer rests, for others to confirm.

    `is_claimed` says that claims about them prove the answer; `sharing` names the cost of what all pipelines share, if
    the claims are about that. `bound` is what they prove where that is less, and `by_rate` the inferences per ns that
    no plan exceeds, with the cost by which it is shared, where a batch rests on that.
    """

    is_claimed: bool = True
    sharing: str | None = None
    bound: Fraction | None = None
    by_rate: tuple[Fraction, str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The best plan for a question.

    `value` and `bound` are in the objective's unit: ns per inference (throughput), ns (latency, batch), or TPUs. No
    plan that the question allows has a value below `bound`; `status` is optimal where the two meet. `best_over` says
    over what the plan is known to be the best, where that is less than the question allows. `cuts` are those that were
    searched: "dag" all cuts of the graph, "chain" those of the execution order.

    `found_by` names what made the plan, `confirmed_by` what else showed something about it, each written by the code
    that did the work. `points` are those of a Pareto front, by TPUs and latency, `plan` then being that of the most
    throughput unless `point` says which one of them it is, from 1 on. `certificate` proves the value to `segsolve
    check`, over the cuts that were searched. `basis` is there while others than the search are still to confirm it.
    """

    question: Question
    planner: str
    status: Status
    plan: Plan | None
    score: PlanScore | None
    value: Fraction | None
    bound: Fraction
    cuts: str
    found_by: str
    confirmed_by: tuple[Confirmation, ...] = ()
    best_over: str | None = None
    note: str = ""
    points: tuple[ParetoPoint, ...] = ()
    point: int | None = None
    certificate: dict[str, Any] | None = field(default=None, repr=False)
    basis: Basis | None = None
    stopped_by: Stop = Stop.FINISHED
    wall_s: float = 0.0
    deterministic_s: float = 0.0
    seed: int = 0

    @property
    def gap(self) -> float | None:
        """Distance of the plan from the bound, relative to the plan; None without a plan."""
        if self.value is None:
            return None
        return float((self.value - self.bound) / self.value) if self.value else 0.0

    @property
    def objective_ns(self) -> int | None:
        """The value in ns, rounded up; for the objectives that count none, the time per inference."""
        if self._counts_devices:
            return self.score.period_ns if self.score else None
        return None if self.value is None else -(-self.value.numerator // self.value.denominator)

    @property
    def bound_ns(self) -> int:
        """The bound in ns, rounded up; for the objectives that count none, the plan's own time per inference."""
        if self._counts_devices:
            return self.score.period_ns if self.score else 0
        return -(-self.bound.numerator // self.bound.denominator)

    @property
    def proof(self) -> str | None:
        """What shows that the plan is optimal, or that there is none, in one line; None where nothing does."""
        if self.status not in (Status.OPTIMAL, Status.INFEASIBLE):
            return None
        return proof_of(self.confirmed_by)

    @property
    def _counts_devices(self) -> bool:
        return not aim(self.question.objective).counts_ns


def proof_of(confirmed_by: tuple[Confirmation, ...]) -> str | None:
    """Return the first claim of others about a plan, but for what it costs; None if there is none."""
    claims = (f"{c.by}: {c.claim}" for c in confirmed_by if c.by != EVALUATOR)
    return next(claims, None)


IF_NOT_SHARED = "what would be best without it needs"
"""Says in a note what is limited, where the plan itself shows it as well."""
EVALUATOR = "evaluator"
