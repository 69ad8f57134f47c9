"""Says in sentences why a pool's plan is as good as it is."""

from __future__ import annotations

from collections.abc import Iterator

from segsolve.report.explain import Paragraph
from segsolve.report.pool.view import SWAP, PoolView
from segsolve.report.units import fps, ms, names, size, times
from segsolve_runtime.contract.wording import percent


def explain_pool(view: PoolView) -> tuple[Paragraph, ...]:
    """Return the explanation, paragraph by paragraph."""
    return tuple(
        Paragraph(topic=topic, text=text)
        for topic, text in (
            ("What limits", _limits(view)),
            ("Who shares", _shares(view)),
            ("What streams", _streams(view)),
            *_beside(view),
            ("How good it is", _quality(view)),
        )
    )


def _limits(view: PoolView) -> str:
    loads = [device.file.load_ns / view.period_ns for device in view.devices if device.file.name not in view.limits]
    rest = "" if not loads else f"; the others for {_span(loads)} of it"
    if not view.limits:
        return f"No device is busy for all of a period: the busiest for {percent(max(loads, default=0.0))}."
    verb = "is" if len(view.limits) == 1 else "are"
    return f"{names(view.limits)} {verb} busy for the whole period of {ms(view.period_ns)} ms{rest}."


def _span(shares: list[float]) -> str:
    low, high = percent(min(shares)), percent(max(shares))
    return low if low == high else f"{low} to {high}"


def _shares(view: PoolView) -> str:
    if not view.is_shared:
        idle = [device.file.name for device in view.devices if not device.residents]
        unused = f" Unused: {names(idle)}." if idle else ""
        return f"Every TPU serves one stage; none is shared.{unused}"
    shared = [device for device in view.devices if len(device.residents) > 1]
    lists = "; ".join(f"{d.file.name} holds {names([r.model.file.name for r in d.residents])}" for d in shared)
    return (
        f"{lists}. The residents of a TPU are compiled in one go, in this order: whoever comes first keeps its layers "
        "on chip first, the next what still fits. So no inference loads weights anew because another model ran before."
    )


def _streams(view: PoolView) -> str:
    streaming = [model for model in view.models if model.offchip_bytes]
    if not streaming:
        return "Nothing: all weights stay on chip."
    parts = [f"{model.file.name} {size(model.offchip_bytes)}" for model in streaming]
    others = "" if len(streaming) == len(view.models) else "; the others nothing"
    return f"At every inference, whole layers that do not fit: {names(parts)}{others}."


def _beside(view: PoolView) -> Iterator[tuple[str, str]]:
    best = view.best_simple
    if best is not None and best.period is not None:
        ratio = float(best.period / view.period_ns)
        yield (
            "Against the best simple use",
            f"{times(ratio)} of what {best.text} gives: {fps(1e9 / float(best.period))} periods per second there.",
        )
    swap = view.way(SWAP)
    if view.is_shared and swap is not None and swap.period is not None:
        yield (
            "A warning",
            "Compiled apart, models on one TPU evict each other's weights at every inference: all on every TPU would "
            f"be {float(swap.period / view.period_ns):.1f} times slower than this plan.",
        )


def _quality(view: PoolView) -> str:
    said = view.solution
    if view.is_optimal:
        return f"Proven: none is better of {said.over}, over cuts of the execution order."
    if not said.bound_ns:
        return "How far it is from the best is not known."
    unit = "period" if said.objective == "throughput" else "worst latency"
    return (
        f"No {unit} is below {ms(said.bound_ns)} ms, so that {percent(said.gap)} are left open. That is over "
        f"{said.over}, and cuts of the execution order."
        + (" Of plans without copies of models on shared TPUs, none is better." if said.best_without_copies else "")
    )
