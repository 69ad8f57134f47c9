"""What is answered to a question about a pool: a plan, its cost, and what is known of its quality and from whom."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction

from segsolve.pool.bound import Proof
from segsolve.pool.evaluate import PoolScore
from segsolve.pool.model import Goal, PoolProblem
from segsolve.pool.plan import PoolPlan
from segsolve.pool.resources import Prices
from segsolve.solvers.base import Confirmation, Status, Stop

DEDICATED, SHARED = "TPUs of one stage each", "shared TPUs with one pipeline per model"
COPIES = "copies of models on shared TPUs"


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """Plans of a kind: the value of the best that was found, None without one, and what none of them is below (ns)."""

    name: str
    value: Fraction | None
    bound: Fraction


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolAnswer:
    """The best plan for a workload on a pool.

    `value` is ns: the period, or for the goal of latency the worst latency. No plan that was asked for has a value
    below `bound`. That is over all cuts of the models' execution orders; `over` says over which plans, and `families`
    has each kind of these apart. `certified` is the part of the bound that `segsolve check` can prove again, the rest
    is CP-SAT's word. `narrow` are the two over plans without copies of models on shared TPUs, where those with them
    were asked for, too; `prices` prove what holds for all; `dedicated_period` is the least period without shared TPUs,
    which is exact; `shared` the proof for shared ones; `simple_shared` the simple uses with shared TPUs that were
    plans to choose from.
    """

    problem: PoolProblem
    status: Status
    plan: PoolPlan | None
    score: PoolScore | None
    value: Fraction | None
    bound: Fraction
    found_by: str
    over: str
    families: tuple[Family, ...] = ()
    certified: Fraction = Fraction(0)
    narrow: tuple[Fraction, Fraction] | None = None
    prices: Prices | None = field(default=None, repr=False)
    confirmed_by: tuple[Confirmation, ...] = ()
    dedicated_period: Fraction | None = None
    shared: Proof | None = field(default=None, repr=False)
    simple_shared: Mapping[str, PoolPlan] | None = field(default=None, repr=False)
    note: str = ""
    stopped_by: Stop = Stop.FINISHED
    wall_s: float = 0.0
    seed: int = 0

    @property
    def gap(self) -> float | None:
        """Distance of the plan from the bound, relative to the plan; None without a plan."""
        if self.value is None:
            return None
        return float((self.value - self.bound) / self.value) if self.value else 0.0

    @property
    def best_without_copies(self) -> bool:
        """Whether no plan without copies of models on shared TPUs is better, those with them being left open."""
        return self.status is Status.FEASIBLE and self.narrow is not None and self.narrow[0] == self.value

    @property
    def keeps_rates(self) -> bool:
        """Whether the plan makes the rates that were asked for, if any were."""
        if self.score is None:
            return self.problem.workload.scale_fps is None
        return self.score.makes_rates

    @property
    def proof(self) -> str | None:
        """What shows that there is no plan, in one line."""
        return self.note or None

    @property
    def unit(self) -> str:
        """What the value is."""
        return "period" if self.problem.workload.goal is Goal.RATES else "worst latency"
