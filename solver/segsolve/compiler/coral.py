"""Which restrictions of the vendor's ``PipelinedModelRunner`` a plan breaks.

They are read from the sources of pycoral 2.0 (``pipelined_model_runner.py``, ``coral_wrapper.cc``) and of libcoral
(``pipelined_model_runner.cc``, ``segment_runner.cc``), and two of them are confirmed by public reports; none was tried
on hardware. Tensors that skip a segment are no problem: the runner hands them on.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from segsolve.graph.examine import Examination
from segsolve.graph.load import LONGEST_S
from segsolve_runtime.contract.plan import Plan, PlanFolder, Stage
from segsolve_runtime.errors import PlanError
from segsolve_runtime.native import NativeCrash, call

_EIGHT_BITS = ("int8", "uint8")


@dataclass(frozen=True, slots=True, kw_only=True)
class Breach:
    """A restriction that a plan breaks; `consequence` is what the vendor's runner does then."""

    rule: str
    text: str
    consequence: str
    stage: int | None = None


def breaches(plan: Plan) -> tuple[Breach, ...]:
    """Return what keeps a plan from the vendor's runner; nothing for one that fits it."""
    if len(plan.pipelines) > 1:
        return (_breach_of_pipelines(plan),)
    stages = plan.pipelines[0].stages
    found = (
        *_processors(stages),
        *_replicas(stages),
        *_late_inputs(plan, stages),
        *_unread_outputs(stages),
        *_early_results(plan, stages),
        *_wide_results(plan, stages),
    )
    return tuple(found)


def open_sizes(folder: PlanFolder) -> tuple[Breach, ...]:
    """Return the segments with tensors that have no size until they run, as LiteRT says.

    Raises:
        PlanError: LiteRT dies of a segment.
    """
    found = []
    for k, path in enumerate(folder.segment_paths()):
        try:
            seen: Examination = call("segsolve.graph.examine:examine", path.read_bytes(), timeout_s=LONGEST_S)
        except NativeCrash as crash:
            raise PlanError(f"LiteRT {crash}: the plan's segment {path}") from None
        if seen.unsized:
            many = f"{len(seen.unsized)} tensors" if len(seen.unsized) > 1 else "a tensor"
            text = f"segment {k} has {many} without a size until it runs"
            consequence = "its compiler refuses dynamic-sized tensors, or leaves them and all behind them to the CPU"
            found.append(Breach(rule="fixed sizes", text=text, consequence=consequence, stage=k))
    return tuple(found)


def _breach_of_pipelines(plan: Plan) -> Breach:
    return Breach(
        rule="one pipeline",
        text=f"the plan has {len(plan.pipelines)} pipelines",
        consequence="a runner holds one; run one for each, and spread the inferences yourself",
    )


def _processors(stages: list[Stage]) -> Iterator[Breach]:
    for k, stage in enumerate(stages):
        if stage.processor != "edgetpu":
            text, consequence = f"stage {k} runs on the CPU", "it takes an Edge TPU for granted and crashes"
            yield Breach(rule="every segment on an Edge TPU", text=text, consequence=consequence, stage=k)


def _replicas(stages: list[Stage]) -> Iterator[Breach]:
    for k, stage in enumerate(stages):
        if stage.replicas > 1:
            text, consequence = f"stage {k} has {stage.replicas} replicas", "it uses one device for each segment"
            yield Breach(rule="one device per segment", text=text, consequence=consequence, stage=k)


def _late_inputs(plan: Plan, stages: list[Stage]) -> Iterator[Breach]:
    """A model input must be the first segment's, and no other's too."""
    for k, stage in enumerate(stages[1:], start=1):
        for name in (n for n in stage.inputs if n in plan.inputs):
            is_shared = name in stages[0].inputs
            consequence = (
                "it frees the memory with the wrong allocator" if is_shared else "it refuses the segments (ValueError)"
            )
            yield Breach(
                rule="model inputs for the first segment only",
                text=f"stage {k} takes the model's input {name!r}{' as the first does' if is_shared else ''}",
                consequence=consequence,
                stage=k,
            )


def _unread_outputs(stages: list[Stage]) -> Iterator[Breach]:
    for k, stage in enumerate(stages[:-1]):
        later = {name for after in stages[k + 1 :] for name in after.inputs}
        for name in (n for n in stage.outputs if n not in later):
            yield Breach(
                rule="every output is read later",
                text=f"no later stage takes {name!r}, which stage {k} makes",
                consequence="it aborts the process",
                stage=k,
            )


def _early_results(plan: Plan, stages: list[Stage]) -> Iterator[Breach]:
    for k, stage in enumerate(stages[:-1]):
        for name in (n for n in plan.outputs if n in stage.outputs):
            yield Breach(
                rule="results from the last segment only",
                text=f"stage {k} makes the model's output {name!r}",
                consequence="it never returns that output",
                stage=k,
            )


def _wide_results(plan: Plan, stages: list[Stage]) -> Iterator[Breach]:
    for name in stages[-1].outputs:
        if plan.tensor(name).dtype not in _EIGHT_BITS:
            yield Breach(
                rule="8 bit results",
                text=f"the output {name!r} is {plan.tensor(name).dtype}",
                consequence="it returns the bytes in a wrong shape, or fails",
                stage=len(stages) - 1,
            )
