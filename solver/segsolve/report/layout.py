"""Sentences about layouts: copies of the whole model, pipelines side by side, stages that several TPUs share."""

from __future__ import annotations

from collections.abc import Iterator

from segsolve.report.strategy import PipelineView, StageView, StrategyView
from segsolve.report.units import count, fps, ms, sentence, size

_WORDS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
_MOST_STRETCHES = 4


def operations(stage: StageView) -> str:
    """Return a stage's operations in words."""
    stretches = [f"{first} to {last}" if first != last else str(first) for first, last in stage.ranges]
    if len(stretches) > _MOST_STRETCHES:
        return f"{len(stage.ops)} operations in {len(stretches)} stretches from {stage.first} to {stage.end - 1}"
    noun = "operation" if len(stage.ops) == 1 else "operations"
    return f"{noun} {', '.join(stretches)}"


def describe(strategy: StrategyView) -> str:
    """Return what a layout that is not a plain cut of the execution order looks like."""
    kinds = strategy.pipelines
    found = [_alone(kinds[0])] if len(kinds) == 1 else [_several(strategy)]
    found += [text for stage in strategy.stages for text in _turns(stage, strategy)]
    found += _between_branches(strategy)
    return " ".join(found)


def why_whole(plan: StrategyView, vendor: StrategyView) -> str:
    """Return why copies of the whole model beat a cut, if the plan consists of such."""
    (first, *others) = plan.stages
    if others or len(vendor.stages) == 1:
        return ""
    waits = "and no TPU waits for a slower one"
    if first.score.offchip_bytes:
        more = sum(stage.score.input_ns + stage.score.output_ns for stage in vendor.stages)
        own = first.score.input_ns + first.score.output_ns
        return (
            f"A copy streams {size(first.score.offchip_bytes)} of weights per inference, yet spends {ms(own)} ms on "
            f"passing tensors where the vendor's cut spends {ms(more)} ms over all its TPUs, {waits}."
        )
    return f"Nothing is passed from TPU to TPU, {waits}."


def limited(strategy: StrategyView) -> str:
    """Return that the link or the host has less than the TPUs could use."""
    does = {"link": "the link that they share carries", "host": "the host that feeds them drives"}
    what = " and ".join(does[name] for name in strategy.score.limited_by)
    return (
        f"The TPUs could do {fps(float(strategy.score.full_rate * 10**9))} inferences per second; "
        f"{what} {fps(strategy.throughput_fps)}."
    )


def _alone(pipeline: PipelineView) -> str:
    """Describe the only distinct pipeline."""
    whole = len(pipeline.stages) == 1
    copies = pipeline.copies * pipeline.tpus if whole else pipeline.copies
    if whole:
        each = f"{number(copies)} {'copy' if copies == 1 else 'copies'} of the whole model"
        return f"{sentence(each)} {_serves(copies)} the stream of inferences, one TPU each: {_fits(pipeline.stages[0])}"
    if copies == 1:
        return f"One pipeline of {count(len(pipeline.stages), 'stage')} on {count(pipeline.tpus, 'TPU')}."
    return (
        f"{sentence(number(copies))} copies of a pipeline of {count(pipeline.tpus, 'TPU')} serve the stream of "
        f"inferences side by side, each one inference per {ms(pipeline.score.bottleneck_ns)} ms."
    )


def _serves(copies: int) -> str:
    return "serves" if copies == 1 else "serve"


def _fits(stage: StageView) -> str:
    if not stage.score.offchip_bytes:
        return f"its {size(stage.weight_bytes)} of weights fit one TPU, so that no cut is needed."
    return (
        f"of its {size(stage.weight_bytes)} of weights, {size(stage.score.offchip_bytes)} stream at every inference, "
        "which costs less here than what a pipeline would lose to its slowest stage and to handing tensors on."
    )


def _several(strategy: StrategyView) -> str:
    total = len(strategy.order)
    parts = "; ".join(_kind(pipeline) for pipeline in strategy.pipelines)
    return (
        f"{sentence(number(total))} pipelines, of which {number(len(strategy.pipelines))} are different, serve the "
        f"stream of inferences side by side: {parts}. Together they give one result every {ms(strategy.period_ns)} ms."
        if total > len(strategy.pipelines)
        else f"{sentence(number(total))} different pipelines serve the stream of inferences side by side: {parts}. "
        f"Together they give one result every {ms(strategy.period_ns)} ms."
    )


def _kind(pipeline: PipelineView) -> str:
    many = f", {pipeline.copies} copies" if pipeline.copies > 1 else ""
    what = "the whole model" if len(pipeline.stages) == 1 else count(len(pipeline.stages), "stage")
    rate = ms(pipeline.score.bottleneck_ns)
    return f"{pipeline.letter}{many} ({what} on {count(pipeline.tpus, 'TPU')}, one inference per {rate} ms)"


def _turns(stage: StageView, strategy: StrategyView) -> Iterator[str]:
    is_whole = len(strategy.pipelines[stage.pipeline].stages) == 1
    if stage.is_cpu:
        noun = "operation runs" if len(stage.ops) == 1 else "operations run"
        yield f"{sentence(strategy.name(stage))} uses no TPU: its {len(stage.ops)} {noun} on the host."
    elif stage.replicas > 1 and not (is_whole and len(strategy.pipelines) == 1):
        which = strategy.runs_on(stage) if len(strategy.order) == 1 else f"{number(stage.replicas)} TPUs"
        yield (
            f"{sentence(strategy.name(stage))} runs on {which}, which take inferences in turn: each takes "
            f"{ms(stage.score.time_ns)} ms, together one per {ms(stage.share_ns)} ms."
        )


def _between_branches(strategy: StrategyView) -> Iterator[str]:
    names = [f"{strategy.name(s)} ({operations(s)})" for s in strategy.stages if len(s.ranges) > 1]
    if names:
        verb = "is" if len(names) == 1 else "are"
        yield (
            f"The network is cut between its branches: {' and '.join(names)} {verb} not consecutive in the execution "
            "order."
        )


def number(value: int) -> str:
    """Return a small number as a word."""
    return _WORDS[value] if value < len(_WORDS) else str(value)
