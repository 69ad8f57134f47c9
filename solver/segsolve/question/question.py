"""A question: an objective, the space of layouts and cuts, and constraints."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from segsolve.question.kept import Constraints
from segsolve.values import MOST_BATCH, whole


class Objective(StrEnum):
    """What the best plan is best at; `search.objectives` has a module for each."""

    THROUGHPUT = "throughput"
    LATENCY = "latency"
    BATCH = "batch"
    DEVICES = "devices"
    PARETO = "pareto"


class Layout(StrEnum):
    """Which layouts a plan may have."""

    ANY = "any"
    PIPELINE = "pipeline"


class Cuts(StrEnum):
    """Where a network may be cut: at positions of its execution order, or between any operations of its graph."""

    AUTO = "auto"
    CHAIN = "chain"
    DAG = "dag"


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked of a problem (UsageError: a number makes no sense)."""

    objective: Objective = Objective.THROUGHPUT
    layout: Layout = Layout.ANY
    cuts: Cuts = Cuts.AUTO
    batch: int = 15
    constraints: Constraints = field(default_factory=Constraints)

    def __post_init__(self) -> None:
        whole("--batch", self.batch, 1, MOST_BATCH)
