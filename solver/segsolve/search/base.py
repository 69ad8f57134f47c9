"""What every planner takes and returns."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from segsolve.cost.plan import check, score
from segsolve.problem import Problem, Segmentation
from segsolve.search.answer import proof_of
from segsolve.solvers.base import Confirmation, Limits, Observer, Status, Stop


@dataclass(frozen=True, slots=True, kw_only=True)
class SolveResult:
    """What a planner found, and apart from it why it stopped.

    `bound_ns`: no plan has a smaller bottleneck. `found_by` names what made the plan, `confirmed_by` what else showed
    something about it; a planner itself leaves the latter empty. `note` tells users what is unusual.
    """

    planner: str
    status: Status
    plan: Segmentation | None
    objective_ns: int | None
    bound_ns: int
    stopped_by: Stop = Stop.FINISHED
    wall_s: float
    deterministic_s: float = 0.0
    seed: int = 0
    found_by: str = ""
    confirmed_by: tuple[Confirmation, ...] = ()
    note: str = ""

    @property
    def proof(self) -> str | None:
        """What shows that the plan is optimal, or that there is none, in one line; None where nothing does."""
        return proof_of(self.confirmed_by) if self.status in (Status.OPTIMAL, Status.INFEASIBLE) else None

    @property
    def gap(self) -> float | None:
        """Distance of the plan from the bound, relative to the plan; None without a plan."""
        if self.objective_ns is None:
            return None
        return (self.objective_ns - self.bound_ns) / self.objective_ns if self.objective_ns else 0.0


class Planner(Protocol):
    """A strategy that segments a chain."""

    name: str

    def solve(self, problem: Problem, limits: Limits, observe: Observer) -> SolveResult:
        """Return the best plan that the strategy finds."""
        ...


@dataclass(frozen=True, slots=True)
class Heuristic:
    """A planner that makes one plan and proves nothing."""

    name: str
    segment: Callable[[Problem], Segmentation | None]

    def solve(self, problem: Problem, limits: Limits, observe: Observer) -> SolveResult:
        """Return the strategy's plan if it is valid; a strategy that ignores memory may break `no_spill`."""
        start = time.perf_counter()
        plan = self.segment(problem)
        wrong = check(problem, plan) if plan else ("no plan found",)
        valid = plan is not None and not wrong
        return SolveResult(
            planner=self.name,
            found_by=self.name,
            status=Status.FEASIBLE if valid else Status.UNKNOWN,
            plan=plan if valid else None,
            objective_ns=score(problem, plan).bottleneck_ns if plan and valid else None,
            bound_ns=0,
            wall_s=time.perf_counter() - start,
            seed=limits.seed,
            note="" if valid else wrong[0],
        )
