"""Why a plan is as fast as it is, in sentences: what limits the vendor's cut, what limits this one, what streams."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from segsolve.plan.question import objective_of
from segsolve.report.layout import describe, limited, operations, why_whole
from segsolve.report.plan_view import Details, Move, PlanView
from segsolve.report.strategy import PipelineView, StageView, StrategyView
from segsolve.report.units import count, fps, ms, sentence, size
from segsolve.search.objectives import aim
from segsolve.search.strategies import STRATEGIES, VENDOR
from segsolve_runtime.contract.wording import percent

TITLES = {one.name: one.title for one in STRATEGIES} | {
    "optimum": "Optimum",
    "layouts": "Best layout",
    "copies": "Copies of the whole model",
}
RULES = {one.name: one.rule for one in STRATEGIES} | {
    "optimum": "exact: no pipeline of consecutive operations has a smaller bottleneck",
    "copies": "every TPU runs the whole network by itself",
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
    if strategy.key == "optimum" and not view.strategy.is_chain:
        return "Best single pipeline"
    return TITLES.get(strategy.key, strategy.key)


def explain(view: PlanView) -> tuple[Paragraph, ...]:
    """Return the explanation, paragraph by paragraph."""
    found = [
        *_layout(view),
        *_against_the_vendor(view),
        Paragraph(topic=_bottleneck_topic(view.strategy), text=_limits(view)),
        Paragraph(topic="What streams", text=_streams(view)),
    ]
    if view.details is not None:
        found += _on_the_host(view, view.details)
        found += _next_best(view, view.details)
        found += _one_tpu(view, view.details)
        found += _copies(view, view.details)
    return (*found, Paragraph(topic="Proof", text=_proof(view)))


def spill_sentence(stage: StageView, strategy: StrategyView) -> str:
    """Return what a stage streams because it does not fit, and what that costs."""
    s = stage.score
    return (
        f"{sentence(strategy.name(stage))} holds {size(stage.weight_bytes)} of weights and has room for "
        f"{size(s.capacity_bytes)}: {size(s.offchip_bytes)} stream from the host at every inference, which adds "
        f"{ms(s.stream_ns)} ms."
    )


def _layout(view: PlanView) -> Iterator[Paragraph]:
    if not view.strategy.is_chain:
        yield Paragraph(topic="The layout", text=describe(view.strategy))


def _against_the_vendor(view: PlanView) -> Iterator[Paragraph]:
    vendor = view.details.other(VENDOR) if view.details else None
    if vendor is None or view.details is None:
        return
    if view.strategy.is_chain and vendor.cuts == view.strategy.cuts:
        same = "It cuts this network at the same places as this plan: here the vendor's rule is as good as it gets."
        yield Paragraph(topic="The vendor's cut", text=same)
        return
    besides = (f"Besides, {spill_sentence(s, vendor)}" for s in _spilling(vendor) if s is not vendor.slowest)
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
        return text + spill_sentence(slow, vendor)
    text += _shares(slow, details)
    return f"{text} {spill_sentence(slow, vendor)}" if s.spilled_ops else text


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
    gain = vendor.period_ns / max(1, plan.period_ns)
    if not plan.is_plain:
        return _layout_comparison(plan, vendor, gain)
    share = _share(plan, vendor.slowest)
    text = (
        f"It spreads the same operations over TPUs {share[0]} to {share[-1]}"
        if len(share) > 1
        else f"It has them on TPU {share[0]}"
    )
    if gain <= 1:
        return f"{text}. It is no faster than the vendor's cut: {ms(plan.period_ns)} ms on its slowest TPU."
    return (
        f"{text}, and its slowest TPU needs {ms(plan.period_ns)} ms instead of "
        f"{ms(vendor.period_ns)}. A full pipeline gives one result per slowest stage: {_rates(plan, vendor, gain)}"
    )


def _layout_comparison(plan: StrategyView, vendor: StrategyView, gain: float) -> str:
    one = f"It gives one result every {ms(plan.period_ns)} ms"
    if gain <= 1:
        return f"{one}, which is no faster than the vendor's cut with {ms(vendor.period_ns)} ms."
    text = f"{one} instead of every {ms(vendor.period_ns)}: {_rates(plan, vendor, gain)}"
    return f"{text} {why}" if (why := why_whole(plan, vendor)) else text


def _rates(plan: StrategyView, vendor: StrategyView, gain: float) -> str:
    return (
        f"{fps(plan.throughput_fps)} inferences per second instead of {fps(vendor.throughput_fps)}, "
        f"{gain:.2f} times as many."
    )


def _share(plan: StrategyView, stage: StageView) -> list[int]:
    return [s.number for s in plan.stages if s.ops & stage.ops]


def _bottleneck_topic(strategy: StrategyView) -> str:
    return "The bottleneck" if len(strategy.pipelines) == 1 else "The bottlenecks"


def _limits(view: PlanView) -> str:
    found = [_pipeline_limits(pipeline, view.strategy) for pipeline in view.strategy.pipelines]
    if view.strategy.score.limited_by:
        found.append(limited(view.strategy))
    return " ".join(found)


def _pipeline_limits(pipeline: PipelineView, strategy: StrategyView) -> str:
    slow = pipeline.slowest
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
    if len(pipeline.stages) == 1 and not strategy.is_plain:
        whole = f"Every TPU of {_which(pipeline)} runs the whole network, {ms(s.time_ns)} ms per inference"
        return f"{whole}, of which {listed}."
    where = f" of {_which(pipeline)}" if pipeline.letter else ""
    turns = f"; {slow.replicas} TPUs take turns, which makes it {ms(slow.share_ns)}" if slow.replicas > 1 else ""
    return (
        f"{sentence(strategy.name(slow))} ({operations(slow)}) is the slowest{where}: "
        f"{ms(s.time_ns)} ms, of which {listed}{turns}.{_as_slow(pipeline, strategy)}"
    )


def _which(pipeline: PipelineView) -> str:
    return f"pipeline {pipeline.letter}" if pipeline.letter else "this plan"


def _as_slow(pipeline: PipelineView, strategy: StrategyView) -> str:
    slow = pipeline.slowest
    limit = (1 - _NEARLY) * slow.share_ns
    near = [s for s in pipeline.stages if s.share_ns >= limit and s is not slow]
    idle = min(pipeline.stages, key=lambda s: s.share_ns)
    text = f" {_are([strategy.name(s) for s in near])} within {percent(_NEARLY)} of it." if near else ""
    share = idle.share_ns / max(1, slow.share_ns)
    name = sentence(strategy.name(idle))
    return f"{text} {name} is busy the least, {percent(share)} of the time." if share < 0.9 else text


def _are(names: Sequence[str]) -> str:
    """Return names of one kind as the beginning of a sentence: TPUs 1 and 2 are."""
    noun, *_ = names[0].split(" ", maxsplit=1)
    tags = [name.removeprefix(f"{noun} ") for name in names]
    if len(tags) == 1:
        return f"{sentence(noun)} {tags[0]} is"
    return f"{sentence(noun)}s {', '.join(tags[:-1])} and {tags[-1]} are"


def _streams(view: PlanView) -> str:
    spilling = _spilling(view.strategy)
    sentences = [
        spill_sentence(stage, view.strategy) + (_worth_it(stage, view) if view.is_optimal else "") for stage in spilling
    ]
    # Those of a stage that spills besides are in its own sentence. Each inference passes one of the pipelines.
    constants = max(
        sum(s.score.offchip_bytes for s in pipeline.stages if not (s.is_cpu or s.spilled_ops))
        for pipeline in view.strategy.pipelines
    )
    if constants:
        sentences.append(f"{size(constants)} of constants stream because the device never keeps their kind on chip.")
    if not spilling:
        sentences.insert(
            0, "Every layer that can be kept on chip is." if constants else "Nothing: all weights are on chip."
        )
    return " ".join(sentences)


def _on_the_host(view: PlanView, details: Details) -> Iterator[Paragraph]:
    """Say which operations no TPU takes, and whose stage waits for them."""
    texts = []
    for part in details.fallbacks:
        held = [stage for stage in view.strategy.stages if part.first in stage.ops]
        what = (
            f"operation {part.first} runs" if part.first == part.last else f"operations {part.first} to {part.last} run"
        )
        where = " and ".join(view.strategy.name(stage) for stage in held)
        where = f"in the stage of {where}" if view.strategy.is_plain else f"in {where}"
        layers = details.layers[part.first : part.last + 1]
        own = sum(layer.compute_ns if layer.cpu_ns is None else layer.cpu_ns for layer in layers)
        moved = sum(layer.compute_ns for layer in layers) - own
        after = f", after {ms(moved)} ms in which what the TPU made comes back" if moved > 0 else ""
        texts.append(f"{sentence(what)} on the host's CPU, {where}, {ms(own)} ms per inference{after}: {part.reason}.")
        if unknown := [layer.kind.removeprefix("CUSTOM:") for layer in layers if layer.kind.startswith("CUSTOM:")]:
            texts.append(f"What {unknown[0]} costs there is not known: a guess; segsolve profile measures it.")
    if texts:
        yield Paragraph(topic="On the host's CPU", text=" ".join(texts))


def _spilling(strategy: StrategyView) -> list[StageView]:
    """Return the stages where layers that could be kept on chip do not fit."""
    return [stage for stage in strategy.stages if stage.spilled_ops]


def _worth_it(stage: StageView, view: PlanView) -> str:
    if not view.strategy.limits(stage):
        time = ms(stage.share_ns)
        what = "this TPU" if view.strategy.is_plain else "this stage"
        return f" It costs no throughput: with it {what} takes {time} ms and is not the slowest."
    if view.plan.solution.objective != "throughput":
        return ""
    return " No plan that streams less is faster: the proof covers them all."


def _next_best(view: PlanView, details: Details) -> Iterator[Paragraph]:
    strategy = view.strategy
    worse = []
    for move in details.moves:
        taker = strategy.stages[move.neighbour]
        needed = -(-move.time_ns // taker.replicas)
        if needed > strategy.pipelines[taker.pipeline].slowest.share_ns:
            worse.append(_move_sentence(move, needed, taker, strategy))
    if worse:
        yield Paragraph(topic="Why not take work from the bottleneck?", text=" ".join(worse))


def _move_sentence(move: Move, needed_ns: int, taker: StageView, strategy: StrategyView) -> str:
    what = f"operation {move.first}" if move.first == move.last else f"operations {move.first} to {move.last}"
    each = " per inference" if taker.replicas > 1 else ""
    return f"With {what} as well, {strategy.name(taker)} would need {ms(needed_ns)} ms{each}."


def _one_tpu(view: PlanView, details: Details) -> Iterator[Paragraph]:
    one, used = details.one_tpu, len(view.strategy.devices)
    gain = one.time_ns / max(1, view.strategy.period_ns)
    streams = f"{size(one.offchip_bytes)} of weights stream" if one.offchip_bytes else "all weights stay on chip"
    more = f"; {used} TPUs are {gain:.1f} times as fast" if used > 1 else ""
    text = f"On a single TPU {streams} and an inference takes {ms(one.time_ns)} ms{more}."
    yield Paragraph(topic="One TPU", text=text)


def _copies(view: PlanView, details: Details) -> Iterator[Paragraph]:
    copies = details.other("copies")
    if copies is None or view.plan.solution.objective != "throughput":
        return
    text = (
        f"The whole model on each of {count(len(copies.devices), 'TPU')} gives one result every "
        f"{ms(copies.period_ns)} ms instead of every {ms(view.strategy.period_ns)}"
    )
    if copies.period_ns < view.strategy.period_ns:
        text += ", which is more than this plan does: it was not chosen among layouts of several pipelines"
    yield Paragraph(topic="Copies instead", text=f"{text}.")


def _proof(view: PlanView) -> str:
    s = view.plan.solution
    found = f"found by {s.found_by or s.planner} in {s.wall_s:.2f} s"
    confirmed = "; ".join(f"{c.by}: {c.claim} ({c.strength})" for c in s.confirmed_by) or s.proof
    others = f" Confirmed by {confirmed}." if confirmed else ""
    if view.is_optimal:
        return f"{_nothing_better(view)} under the same costs: {found}.{others}"
    value = "have a bottleneck" if view.strategy.is_chain else "take a time"
    over = f"It is the best over the {s.best_over}. " if s.best_over else ""
    return (
        f"{over}The plan is not proven optimal ({found}, {s.stopped_by}): no plan can {value} below "
        f"{ms(s.bound_ns)} ms, so it is at most {percent(s.gap)} away from the best.{others}"
    )


def _nothing_better(view: PlanView) -> str:
    s = view.plan.solution
    if s.objective == "throughput" and s.cuts == "chain" and view.strategy.is_chain:
        return f"No cut into at most {s.tpus_requested} stages does better"
    over = "its graph" if s.cuts == "dag" else "its execution order"
    return (
        f"No plan of the kind that was asked for, on at most {count(s.tpus_requested, 'TPU')} and with any cuts of "
        f"{over}, does better{aim(objective_of(s)).gains}"
    )
