"""What a plan's report shows, gathered once and frozen: no markup, no wording."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

from segsolve.cost.stage import Placement, StageScore
from segsolve.graph.model import ELEMENT_BITS, Restriction
from segsolve.problem import Host, Shared, SharedLink
from segsolve.report.placed import spill_sentences
from segsolve.report.strategy import Part, StageView, StrategyView, make_strategy
from segsolve.report.units import first_name
from segsolve_runtime.contract import plan as planfile
from segsolve_runtime.observe.measurement import Measurement

_MOST_SENTENCES = 3
HOST = -1
"""Stands for the host where a stage's number is expected."""
_Kind = tuple[tuple[int, planfile.Stage], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One operation of the network, with its predicted costs."""

    position: int
    file_index: int
    kind: str
    name: str
    shape: tuple[int, ...]
    macs: int
    weight_bytes: int
    compute_ns: int
    streamed_ns: int
    cpu_ns: int | None

    @property
    def title(self) -> str:
        """The first of its names."""
        return first_name(self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Handed:
    """A tensor that enters a stage or leaves it, and the numbers of the stages at the other end, or `HOST`."""

    name: str
    nbytes: int
    ends: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """Operations `first` to `last` of the bottleneck given to the stage `neighbour`.

    That stage then needs `time_ns`, or its share of it if several TPUs take turns.
    """

    first: int
    last: int
    neighbour: int
    time_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Details:
    """What only the whole model tells: its layers, and what other strategies would have made of it.

    `placed` is what becomes of the weights of each stage, by its operations; `fallbacks` are the operations that the
    device model leaves to the host's CPU, within the stage of a TPU, and why.
    """

    layers: tuple[Layer, ...]
    others: tuple[StrategyView, ...]
    failed: dict[str, str]
    one_tpu: StageScore
    moves: tuple[Move, ...]
    placed: Mapping[frozenset[int], tuple[Placement, ...]]
    fallbacks: tuple[Restriction, ...]

    def spilled(self, stage: StageView) -> list[Placement]:
        """Return the layers of a stage that do not fit, in the order in which they were considered."""
        return [p for p in self.placed[stage.ops] if p.cacheable and not p.cached]

    def why_spilled(self, stage: StageView) -> list[str]:
        """Return sentences that say why layers of a stage do not fit, the most costly first."""
        return spill_sentences(self.spilled(stage), lambda op: self.layers[op].name, most=_MOST_SENTENCES)

    def other(self, key: str) -> StrategyView | None:
        """Return another strategy by its name."""
        return next((strategy for strategy in self.others if strategy.key == key), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanView:
    """Everything that a plan's report shows. `missing` says why there are no `details`.

    `range_ns` is where 80 % of measurements of such times per inference lie, None where nothing is known.
    """

    plan: planfile.Plan
    strategy: StrategyView
    takes: tuple[tuple[Handed, ...], ...]
    gives: tuple[tuple[Handed, ...], ...]
    device_title: str
    range_ns: tuple[int, int] | None
    details: Details | None
    missing: str
    measurement: Measurement | None

    @property
    def is_optimal(self) -> bool:
        """Whether the plan is proven the best."""
        return self.plan.solution.status == "optimal"

    @property
    def title(self) -> str:
        """The model's name without the ending of its file."""
        return self.plan.model.name.removesuffix(".tflite")


def strategy_of(plan: planfile.Plan) -> StrategyView:
    """Return a plan's pipelines with the costs that its file predicts."""
    parts = [list(map(_part, pipeline.stages)) for pipeline in plan.pipelines]
    ns_per_mib, host = plan.device.link_ns_per_mib, plan.device.host
    shared = Shared(
        link=None if ns_per_mib is None else SharedLink(ns_per_mib=ns_per_mib),
        host=None if host is None else Host(**host.model_dump()),
    )
    return make_strategy(plan.solution.planner, parts, shared)


def taken(plan: planfile.Plan, strategy: StrategyView) -> tuple[tuple[Handed, ...], ...]:
    """Return for each distinct stage the tensors that enter it, with the stage that makes them."""
    return tuple(
        tuple(_handed(plan, name, (maker[name],)) for name in stage.inputs)
        for kind in _kinds(plan, strategy)
        for maker in [dict.fromkeys(plan.inputs, HOST) | {n: k for k, s in kind for n in s.outputs}]
        for _, stage in kind
    )


def given(plan: planfile.Plan, strategy: StrategyView) -> tuple[tuple[Handed, ...], ...]:
    """Return for each distinct stage the tensors that leave it, with the stages that read them."""

    def readers(kind: _Kind, name: str) -> tuple[int, ...]:
        stages = tuple(k for k, stage in kind if name in stage.inputs)
        return (*stages, HOST) if name in plan.outputs else stages

    return tuple(
        tuple(_handed(plan, name, readers(kind, name)) for name in stage.outputs)
        for kind in _kinds(plan, strategy)
        for _, stage in kind
    )


def _kinds(plan: planfile.Plan, strategy: StrategyView) -> tuple[_Kind, ...]:
    """Return the numbered stages of every distinct pipeline, as the plan's file has them."""
    return tuple(
        tuple(
            zip(
                (stage.number for stage in pipeline.stages),
                plan.pipelines[strategy.order.index(pipeline.number)].stages,
                strict=True,
            )
        )
        for pipeline in strategy.pipelines
    )


def _part(stage: planfile.Stage) -> Part:
    ranges = tuple((first, last) for first, last in stage.op_ranges)
    return ranges, stage.replicas, _stage_score(stage.prediction), stage.processor == "cpu"


def _handed(plan: planfile.Plan, name: str, ends: tuple[int, ...]) -> Handed:
    spec = plan.tensor(name)
    bits = ELEMENT_BITS.get(spec.dtype.upper(), 8)
    return Handed(name=name, nbytes=-(-prod(spec.shape) * bits // 8), ends=ends)


def _stage_score(prediction: planfile.StagePrediction) -> StageScore:
    values = prediction.model_dump(exclude={"time_ns", "spilled_ops"})
    return StageScore(**values, spilled_ops=tuple(prediction.spilled_ops))
