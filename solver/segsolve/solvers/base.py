"""What every solver is told, what it tells while it works, and how it ends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from segsolve.values import MOST_THREADS, whole, within


class Status(StrEnum):
    """What is known of a plan, in the words of the solvers."""

    OPTIMAL = "optimal"
    FEASIBLE = "feasible"
    INFEASIBLE = "infeasible"
    UNKNOWN = "unknown"


class Stop(StrEnum):
    """Why a planner stopped."""

    FINISHED = "finished"
    TIME_LIMIT = "time limit"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How long and how a planner may search; heuristics ignore it.

    Raises:
        UsageError: a value makes no sense.
    """

    time_limit_s: float | None = None
    workers: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        if self.time_limit_s is not None:
            within("--time-limit", self.time_limit_s, 0)
        whole("--workers", self.workers, 1, MOST_THREADS)
        whole("--seed", self.seed, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """News of a running search: the best plan's bottleneck and the proven bound so far, in ns."""

    objective_ns: int | None
    bound_ns: int
    wall_s: float


Observer = Callable[[Progress], None]


def ignore(_: Progress) -> None:
    """The observer for those who do not watch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmation:
    """What one way to an answer, apart from the one that found it, has shown: made by the code that ran.

    `by` names it ("evaluator", "cp-sat", "exact probe", "highs", "certificate", "bounds"), `claim` is what it showed,
    `strength` how firmly, `seconds` what it cost.
    """

    by: str
    claim: str
    strength: str
    seconds: float
