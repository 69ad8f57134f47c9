"""Why a plan is as fast as it is, in sentences: what limits the vendor's cut, what limits this one, what streams."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from segsolve.report.plan_view import Details, Move, PlanView, StageView, StrategyView
from segsolve.report.units import fps, ms, percent, size

VENDOR = "compiler"
TITLES = {
    "compiler": "Vendor's compiler",
    "uniform": "Uniform",
    "balanced": "Balanced",
    "profiled": "Vendor's profiler",
    "greedy": "Greedy",
    "optimum": "Optimum",
    "cpsat": "Optimum",
    "dp": "Optimum",
}
RULES = {
    "compiler": "cuts where the weights in the file add up to equal shares; does not look at time",
    "uniform": "gives every TPU the same number of operations",
    "balanced": "evens out parameters over the depth of the network, then relieves TPUs that spill",
    "profiled": "bisects on a target stage time, each stage as long as the target allows",
    "greedy": "the smallest bottleneck that the longest possible stages can keep",
    "optimum": "exact: no cut has a smaller bottleneck",
}
_NEARLY = 0.02
_LEAST_NS = 5_000  # less is 0.00 ms


@dataclass(frozen=True, slots=True, kw_only=True)
class Paragraph:
    """A part of the explanation, with what it is about."""

    topic: str
    text: str


def title_of(strategy: StrategyView, view: PlanView) -> str:
    """Return a strategy's name for people."""
    if strategy is view.strategy:
        return "This plan (optimum)" if view.is_optimal else f"This plan ({strategy.key})"
    return TITLES.get(strategy.key, strategy.key)


def explain(view: PlanView) -> tuple[Paragraph, ...]:
    """Return the explanation, paragraph by paragraph."""
    found = [
        *_layout(view),
        *_against_the_vendor(view),
        Paragraph(topic="The bottleneck", text=_limits(view)),
        Paragraph(topic="What streams", text=_streams(view)),
    ]
    if view.details is not None:
        found += _next_best(view, view.details)
        found.append(Paragraph(topic="One TPU", text=_one_tpu(view, view.details)))
    return (*found, Paragraph(topic="Proof", text=_proof(view)))


def _layout(view: PlanView) -> Iterator[Paragraph]:
    """Yield what a plan is that is more than a chain of TPUs."""
    if view.is_chain:
        return
    solution, pipelines = view.plan.solution, len(view.plan.pipelines)
    parts = [f"{view.strategy.devices} TPUs in the layout {solution.layout}:"]
    parts.append("one pipeline" if pipelines == 1 else f"{pipelines} pipelines that share one stream of inferences")
    if any(stage.replicas > 1 for stage in view.strategy.stages):
        parts[-1] += ", with stages that several TPUs run in turn"
    rate = f"Together they give a result every {ms(solution.objective_ns)} ms"
    yield Paragraph(topic="The layout", text=f"{' '.join(parts)}. {rate}, {fps(solution.throughput_fps)} per second.")


def spill_sentence(stage: StageView) -> str:
    """Return what a stage streams because it does not fit, and what that costs."""
    s = stage.score
    return (
        f"TPU {stage.name} holds {size(stage.weight_bytes)} of weights and has room for {size(s.capacity_bytes)}: "
        f"{size(s.offchip_bytes)} stream from the host at every inference, which adds {ms(s.stream_ns)} ms."
    )


def _against_the_vendor(view: PlanView) -> Iterator[Paragraph]:
    vendor = view.details.other(VENDOR) if view.details else None
    if vendor is None or view.details is None:
        return
    if vendor.cuts == view.strategy.cuts:
        same = "It cuts this network at the same places as this plan: here the vendor's rule is as good as it gets."
        yield Paragraph(topic="The vendor's cut", text=same)
        return
    besides = (f"Besides, {spill_sentence(s)}" for s in _spilling(vendor) if s is not vendor.slowest)
    yield Paragraph(topic="The vendor's cut", text=" ".join((_vendor_limits(vendor, view.details), *besides)))
    yield Paragraph(topic="This plan", text=_comparison(view.strategy, vendor))


def _vendor_limits(vendor: StrategyView, details: Details) -> str:
    slow = vendor.slowest
    s = slow.score
    text = (
        f"The vendor's compiler gives every TPU about the same amount of weights. Its TPU {slow.number} gets "
        f"operations {slow.first} to {slow.end - 1}, {size(slow.weight_bytes)} of weights, and needs "
        f"{ms(s.time_ns)} ms per inference: all others wait for it. "
    )
    if s.spilled_ops and s.stream_ns > s.compute_ns:
        return text + spill_sentence(slow)
    text += _shares(slow, details)
    return f"{text} {spill_sentence(slow)}" if s.spilled_ops else text


def _shares(slow: StageView, details: Details) -> str:
    """Return how little a stage's weights say about its time."""
    compute = slow.score.compute_ns / max(1, sum(layer.compute_ns for layer in details.layers))
    weights = slow.weight_bytes / max(1, sum(layer.weight_bytes for layer in details.layers))
    text = f"Those operations hold {percent(weights)} of the weights and {percent(compute)} of the computing"
    text += f" ({ms(slow.score.compute_ns)} ms)"
    if compute <= weights:
        return f"{text}."
    early = ": early layers apply few weights to many pixels" if slow.number == 0 else ""
    return f"{text}; weights say little about time{early}."


def _comparison(plan: StrategyView, vendor: StrategyView) -> str:
    gain = vendor.score.bottleneck_ns / max(1, plan.score.bottleneck_ns)
    share = _share(plan, vendor.slowest)
    text = (
        f"It spreads the same operations over TPUs {share[0]} to {share[-1]}"
        if len(share) > 1
        else f"It has them on TPU {share[0]}"
    )
    if gain <= 1:
        return f"{text}. It is no faster than the vendor's cut: {ms(plan.score.bottleneck_ns)} ms on its slowest TPU."
    return (
        f"{text}, and its slowest TPU needs {ms(plan.score.bottleneck_ns)} ms instead of "
        f"{ms(vendor.score.bottleneck_ns)}. A full pipeline gives one result per slowest stage: "
        f"{fps(plan.score.throughput_fps)} inferences per second instead of {fps(vendor.score.throughput_fps)}, "
        f"{gain:.2f} times as many."
    )


def _share(plan: StrategyView, stage: StageView) -> list[int]:
    return [s.number for s in plan.stages if s.first < stage.end and s.end > stage.first]


def _limits(view: PlanView) -> str:
    slow = view.strategy.slowest
    s = slow.score
    parts = {
        "computing": s.compute_ns,
        "streaming weights": s.stream_ns,
        "input": s.input_ns,
        "output": s.output_ns,
        "overhead": s.overhead_ns,
        "measured beyond that sum": s.correction_ns,
    }
    listed = ", ".join(f"{ms(ns)} {what}" for what, ns in parts.items() if abs(ns) >= _LEAST_NS)
    return f"{_where(slow)} is the slowest: {ms(s.time_ns)} ms, of which {listed}.{_as_slow(view.strategy)}"


def _where(slow: StageView) -> str:
    if len(slow.spans) > 1:
        return f"TPU {slow.name} (operations {slow.operations})"
    text = f"TPU {slow.name} (operations {slow.first} to {slow.end - 1})"
    return text if slow.replicas == 1 else f"{text}, with {slow.replicas} TPUs that share the work,"


def _as_slow(strategy: StrategyView) -> str:
    limit = (1 - _NEARLY) * strategy.score.bottleneck_ns
    near = [s.name for s in strategy.stages if s.share_ns >= limit and s is not strategy.slowest]
    idle = min(strategy.stages, key=lambda s: s.share_ns)
    text = f" {_tpus(near)} within {percent(_NEARLY)} of it." if near else ""
    share = idle.share_ns / max(1, strategy.score.bottleneck_ns)
    return f"{text} TPU {idle.name} is busy the least, {percent(share)} of the time." if share < 0.9 else text


def _tpus(names: Sequence[str]) -> str:
    if len(names) == 1:
        return f"TPU {names[0]} is"
    return f"TPUs {', '.join(names[:-1])} and {names[-1]} are"


def _streams(view: PlanView) -> str:
    spilling = _spilling(view.strategy)
    sentences = [spill_sentence(stage) + (_worth_it(stage, view) if view.is_optimal else "") for stage in spilling]
    constants = sum(s.score.offchip_bytes for s in view.strategy.stages if not s.score.spilled_ops)
    if constants:
        # Those of a stage that spills besides are in its own sentence.
        sentences.append(f"{size(constants)} of constants stream because the device never keeps their kind on chip.")
    if not spilling:
        sentences.insert(
            0, "Every layer that can be kept on chip is." if constants else "Nothing: all weights are on chip."
        )
    return " ".join(sentences)


def _spilling(strategy: StrategyView) -> list[StageView]:
    """Return the stages where layers that could be kept on chip do not fit."""
    return [stage for stage in strategy.stages if stage.score.spilled_ops]


def _worth_it(stage: StageView, view: PlanView) -> str:
    if stage.score.time_ns < view.strategy.score.bottleneck_ns:
        time = ms(stage.score.time_ns)
        return f" It costs no throughput: with it this TPU takes {time} ms and is not the slowest."
    return " No plan that streams less is faster: the proof covers them all."


def _next_best(view: PlanView, details: Details) -> Iterator[Paragraph]:
    worse = [move for move in details.moves if move.time_ns > view.strategy.score.bottleneck_ns]
    if worse:
        yield Paragraph(topic="Why not take work from the bottleneck?", text=" ".join(map(_move_sentence, worse)))


def _move_sentence(move: Move) -> str:
    what = f"operation {move.first}" if move.first == move.last else f"operations {move.first} to {move.last}"
    return f"With {what} as well, TPU {move.neighbour} would need {ms(move.time_ns)} ms."


def _one_tpu(view: PlanView, details: Details) -> str:
    one = details.one_tpu
    gain = one.time_ns / max(1, view.strategy.score.bottleneck_ns)
    streams = f"{size(one.offchip_bytes)} of weights stream" if one.offchip_bytes else "all weights stay on chip"
    return (
        f"On a single TPU {streams} and an inference takes {ms(one.time_ns)} ms; "
        f"{len(view.strategy.stages)} TPUs are {gain:.1f} times as fast."
    )


def _proof(view: PlanView) -> str:
    s = view.plan.solution
    if view.is_optimal:
        return (
            f"No {_what(view)} does better under the same costs: {s.planner} proved it in "
            f"{s.wall_s:.2f} s, and an independent argument confirmed it ({s.proof})."
        )
    return (
        f"The plan is not proven optimal ({s.planner}, {s.stopped_by}): no plan can have a bottleneck below "
        f"{ms(s.bound_ns)} ms, so it is at most {percent(s.gap)} away from the best."
    )


def _what(view: PlanView) -> str:
    count = view.plan.solution.tpus_requested
    return f"cut into at most {count} stages" if view.is_chain else f"plan for at most {count} TPUs"
