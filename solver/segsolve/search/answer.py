"""What is answered to a question: a plan of pipelines, its cost, and what is known of its quality."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from segsolve.cost.plan import PlanScore
from segsolve.plan.model import Plan
from segsolve.question import Objective, Question
from segsolve.solvers.base import Status, Stop


@dataclass(frozen=True, slots=True, kw_only=True)
class ParetoPoint:
    """A plan that no other betters in TPUs, throughput and latency at once."""

    plan: Plan
    score: PlanScore


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The best plan for a question.

    `value` and `bound` are in the objective's unit: ns per inference (throughput), ns (latency, batch), or TPUs. No
    plan has a value below `bound`. `cuts` says what the bound holds for: "dag" all cuts of the graph, "chain" those of
    the execution order. `points` are those of a Pareto front, by TPUs and latency, `plan` then being that of the most
    throughput. `certificate` is the document that proves the bound to `segsolve check`.
    """

    question: Question
    planner: str
    status: Status
    plan: Plan | None
    score: PlanScore | None
    value: Fraction | None
    bound: Fraction
    cuts: str
    proof: str | None = None
    note: str = ""
    points: tuple[ParetoPoint, ...] = ()
    certificate: dict[str, Any] | None = field(default=None, repr=False)
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
        if self.value is None or self.score is None:
            return None
        return self.score.period_ns if self._counts_devices else -(-self.value.numerator // self.value.denominator)

    @property
    def bound_ns(self) -> int:
        """The bound in ns, rounded up; for the objectives that count none, the plan's own time per inference."""
        if self._counts_devices:
            return self.score.period_ns if self.score else 0
        return -(-self.bound.numerator // self.bound.denominator)

    @property
    def _counts_devices(self) -> bool:
        return self.question.objective in (Objective.DEVICES, Objective.PARETO)
