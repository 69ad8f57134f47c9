"""What the compiler's reports say about the costs of a plan.

Of the stages that were compiled they say which bytes stream and what falls back, and so how far their times are off.
What they say of the memory holds for all stages: used and free on-chip bytes together are what the device model tries
to predict.
"""

from __future__ import annotations

from collections.abc import Mapping as MappingType
from dataclasses import dataclass, replace
from statistics import median

from segsolve.compiler.fallback import Fallbacks
from segsolve.compiler.log import Mapping, Report
from segsolve.cost.plan import PlanScore, Score, score_plan
from segsolve.cost.stage import StageScore, stage_score
from segsolve.plan.model import Plan, Processor
from segsolve.problem import MeasuredStage, Problem
from segsolve.profile.analytic import AnalyticCosts
from segsolve.profile.measured import MeasuredCosts
from segsolve.profile.source import CostSource

Ops = tuple[int, ...]
_ROUNDING = 0.005  # of the unit that the compiler prints two digits of: MiB here
AGREEMENT_BYTES = round(2 * _ROUNDING * 2**20)
"""Differences that the compiler's rounding of on-chip and off-chip bytes explains."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StageTruth:
    """A stage as the compiler made it, beside the prediction; ns and bytes.

    `time_ns` is the predicted time, plus what the bytes cost that the compiler streams beyond the predicted ones, plus
    `fallback_ns`: what operations cost more on the host's CPU that were predicted on the device and fell back.
    """

    ops: Ops
    predicted: StageScore
    onchip_bytes: int | None
    onchip_free_bytes: int | None
    offchip_bytes: int | None
    subgraphs: int | None
    fallen_back: tuple[Mapping, ...]
    time_ns: int
    fallback_ns: int = 0

    @property
    def capacity_error(self) -> int | None:
        """How much less or more memory (negative: less) the compiler has for weights than was predicted."""
        if self.onchip_bytes is None or self.onchip_free_bytes is None:
            return None
        return self.onchip_bytes + self.onchip_free_bytes - self.predicted.capacity_bytes


def stream_ns_per_byte(costs: CostSource) -> float:
    """Return what a byte costs that comes from the host at every inference."""
    if isinstance(costs, AnalyticCosts):
        return costs.device.stream_ns_per_byte
    if isinstance(costs, MeasuredCosts):
        return costs.profile.device.stream_ns_per_byte * costs.profile.scale
    raise TypeError(f"{type(costs).__name__} does not say what streaming costs")


def truth_of(
    problem: Problem, ops: Ops, report: Report, stream_ns_per_byte: float, fallbacks: Fallbacks | None = None
) -> StageTruth:
    """Return what a report says of the stage with the operations `ops`; without `fallbacks` these cost nothing."""
    predicted = stage_score(replace(problem, measured=()), ops)
    streamed = predicted.offchip_bytes if report.offchip_bytes is None else report.offchip_bytes
    more = 0 if _agree(streamed, predicted.offchip_bytes) else streamed - predicted.offchip_bytes
    fallback_ns = fallbacks.more_ns(ops, report.fallen_back) if fallbacks else 0
    return StageTruth(
        ops=ops,
        predicted=predicted,
        onchip_bytes=report.onchip_bytes,
        onchip_free_bytes=report.onchip_free_bytes,
        offchip_bytes=report.offchip_bytes,
        subgraphs=report.subgraphs,
        fallen_back=report.fallen_back,
        time_ns=max(0, predicted.modelled_ns + round(more * stream_ns_per_byte) + fallback_ns),
        fallback_ns=fallback_ns,
    )


def corrected(problem: Problem, truths: MappingType[Ops, StageTruth]) -> Problem:
    """Return the problem as the reports have it.

    The memory is off by what it was off by in the median of the compiled stages; each contiguous one of these has the
    time that its own report leads to.
    """
    errors = [truth.capacity_error for truth in truths.values() if truth.capacity_error is not None]
    shift = round(median(errors)) if errors else 0
    shift = 0 if abs(shift) <= AGREEMENT_BYTES else shift
    shifted = replace(problem, capacity_bytes=max(0, problem.capacity_bytes + shift), measured=())
    known = dict(problem.measured_ns)
    for ops, truth in truths.items():
        contiguous = ops == tuple(range(ops[0], ops[-1] + 1))
        if contiguous and stage_score(shifted, ops).time_ns != truth.time_ns:
            known[ops[0], ops[-1] + 1] = truth.time_ns
    measured = (MeasuredStage(first=a, end=b, time_ns=ns) for (a, b), ns in sorted(known.items()))
    return replace(shifted, measured=tuple(measured))


def corrected_score(problem: Problem, plan: Plan, truths: MappingType[Ops, StageTruth]) -> PlanScore:
    """Return a plan's costs as the reports have them, also of stages with gaps."""
    found = score_plan(corrected(problem, truths), plan)
    return PlanScore(
        pipelines=tuple(
            Score(
                stages=tuple(
                    score if stage.processor is Processor.CPU else _with_time(score, truths.get(stage.ops))
                    for stage, score in zip(pipeline.stages, cost.stages, strict=True)
                ),
                replicas=cost.replicas,
                link_ns=cost.link_ns,
                host_ns=cost.host_ns,
            )
            for pipeline, cost in zip(plan.pipelines, found.pipelines, strict=True)
        )
    )


def _with_time(score: StageScore, truth: StageTruth | None) -> StageScore:
    if truth is None:
        return score
    return replace(score, correction_ns=truth.time_ns - score.modelled_ns)


def _agree(a: int, b: int) -> bool:
    return abs(a - b) <= AGREEMENT_BYTES
