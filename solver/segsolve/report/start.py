"""The time to the first result, as it is said and written."""

from __future__ import annotations

from segsolve.cost.plan import PlanScore
from segsolve.plan.model import Plan, Processor
from segsolve_runtime.contract.start import FirstResult, StageStart, Start


def first_result_of(plan: Plan, score: PlanScore, start: Start | None) -> FirstResult | None:
    """Return the predicted time to a plan's first result; None where nothing is known of the device."""
    if start is None:
        return None
    return start.first_result(
        [
            StageStart(
                time_ns=cost.time_ns,
                onchip_bytes=cost.onchip_bytes,
                tpus=stage.replicas if stage.processor is Processor.EDGETPU else 0,
            )
            for stage, cost in zip(pipeline.stages, costs.stages, strict=True)
        ]
        for pipeline, costs in zip(plan.pipelines, score.pipelines, strict=True)
    )


def first_result_words(first: FirstResult) -> str:
    """Return it as a sentence."""
    return (
        f"First result after {seconds(first.total_ns)} ({seconds(first.open_ns)} to open the devices, "
        f"{seconds(first.load_ns)} to load weights); a swap of networks takes {seconds(first.swap_ns)} (predicted)."
    )


def seconds(ns: int) -> str:
    """Return a time as people say it, in ms below a second."""
    if ns >= 999_500_000:
        return f"{ns / 1e9:.1f} s"
    return f"{ns / 1e6:.0f} ms" if ns >= 9_950_000 else f"{ns / 1e6:.1f} ms"
