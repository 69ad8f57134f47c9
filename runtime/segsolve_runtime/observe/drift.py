"""How far what was measured is from what was predicted."""

from __future__ import annotations

from dataclasses import dataclass

from segsolve_runtime.contract.plan import Plan
from segsolve_runtime.flow.metrics import Metrics

SLOWER = 1.03
"""A stage that takes this many times its prediction is called slower."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """A stage's predicted time, and the median of its measured times, in ns."""

    pipeline: int
    stage: int
    predicted_ns: int
    measured_ns: int

    @property
    def ratio(self) -> float:
        """Measured over predicted time; 1 where nothing was predicted."""
        return self.measured_ns / self.predicted_ns if self.predicted_ns else 1.0


def drift_of(plan: Plan, metrics: Metrics) -> tuple[Drift, ...]:
    """Return the drift of every stage that ran."""
    return tuple(
        Drift(
            pipeline=done.pipeline,
            stage=done.stage,
            predicted_ns=stage.prediction.time_ns,
            measured_ns=done.time_p50_ns,
        )
        for stage, done in zip(plan.all_stages, metrics.stages, strict=True)
        if done.inferences
    )
