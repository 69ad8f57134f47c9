"""What a plan's report shows, gathered once and frozen: no markup, no wording."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import prod

from segsolve.evaluate import Score, StageScore
from segsolve.graph.model import ELEMENT_BITS
from segsolve_runtime import plan as planfile
from segsolve_runtime.measurement import Measurement

HOST = -1
"""Stands for the host where a stage's number is expected."""


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

    @property
    def title(self) -> str:
        """Converters join the names of what they fused with semicolons; the first says which layer it is."""
        return self.name.split(";", maxsplit=1)[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Handed:
    """A tensor that enters a stage or leaves it, and the stages (or the host) at the other end."""

    name: str
    nbytes: int
    ends: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StageView:
    """Operations `first` to `end` (exclusive) on one TPU, and what an inference of them costs.

    `number` counts over all pipelines. A stage of several ranges of operations has them in `spans` (inclusive).
    """

    number: int
    first: int
    end: int
    score: StageScore
    pipeline: int = 0
    replicas: int = 1
    label: str = ""
    spans: tuple[tuple[int, int], ...] = ()

    @property
    def name(self) -> str:
        """What the stage is called: its number, or pipeline and stage where there are several pipelines."""
        return self.label or str(self.number)

    @property
    def operations(self) -> str:
        """Its ranges of operations as text."""
        return ", ".join(f"{a}–{b}" for a, b in self.spans or ((self.first, self.end - 1),))

    @property
    def share_ns(self) -> int:
        """Its time per inference, shared among its replicas."""
        return -(-self.score.time_ns // self.replicas)

    @property
    def weight_bytes(self) -> int:
        """Weights on chip and off chip together."""
        return self.score.onchip_bytes + self.score.offchip_bytes


@dataclass(frozen=True, kw_only=True)
class StrategyView:
    """A way to cut the network, by the planner's name."""

    key: str
    stages: tuple[StageView, ...]

    @cached_property
    def score(self) -> Score:
        """What it costs as a whole."""
        replicas = tuple(stage.replicas for stage in self.stages)
        scores = tuple(stage.score for stage in self.stages)
        return Score(stages=scores, replicas=replicas if max(replicas) > 1 else ())

    @property
    def cuts(self) -> tuple[int, ...]:
        """Where it cuts."""
        return tuple(stage.first for stage in self.stages[1:])

    @property
    def slowest(self) -> StageView:
        """The bottleneck; of several, the first."""
        return max(self.stages, key=lambda stage: stage.share_ns)

    @property
    def devices(self) -> int:
        """How many TPUs it takes."""
        return sum(stage.replicas for stage in self.stages)


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """Operations `first` to `last` of the bottleneck given to its neighbour, which then needs `time_ns`."""

    first: int
    last: int
    neighbour: int
    time_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Details:
    """What only the whole model tells: its layers, and what other strategies would have made of it."""

    layers: tuple[Layer, ...]
    others: tuple[StrategyView, ...]
    failed: dict[str, str]
    one_tpu: StageScore
    moves: tuple[Move, ...]

    def other(self, key: str) -> StrategyView | None:
        """Return another strategy by its name."""
        return next((strategy for strategy in self.others if strategy.key == key), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanView:
    """Everything that a plan's report shows. `missing` says why there are no `details`."""

    plan: planfile.Plan
    strategy: StrategyView
    takes: tuple[tuple[Handed, ...], ...]
    gives: tuple[tuple[Handed, ...], ...]
    device_title: str
    details: Details | None
    missing: str
    measurement: Measurement | None

    @property
    def is_optimal(self) -> bool:
        """Whether the plan is proven the best."""
        return self.plan.solution.status == "optimal"

    @property
    def is_chain(self) -> bool:
        """Whether it is one pipeline, each stage one range of operations on one TPU."""
        return is_chain(self.plan)

    @property
    def title(self) -> str:
        """The model's name without the ending of its file."""
        return self.plan.model.name.removesuffix(".tflite")


def is_chain(plan: planfile.Plan) -> bool:
    """Return whether a plan is one pipeline whose stages are each one range of operations on one TPU."""
    return len(plan.pipelines) == 1 and all(
        stage.replicas == 1 and len(stage.op_ranges) == 1 and stage.processor == "edgetpu" for stage in plan.all_stages
    )


def strategy_of(plan: planfile.Plan) -> StrategyView:
    """Return a plan's stages with the costs that its file predicts."""
    places = [(p, k) for p, pipeline in enumerate(plan.pipelines) for k in range(len(pipeline.stages))]
    stages = (
        StageView(
            number=number,
            first=stage.first_op,
            end=stage.last_op + 1,
            score=_stage_score(stage.prediction),
            pipeline=p,
            replicas=stage.replicas,
            label=f"{p}.{k}" if len(plan.pipelines) > 1 else "",
            spans=tuple((first, last) for first, last in stage.op_ranges),
        )
        for number, ((p, k), stage) in enumerate(zip(places, plan.all_stages, strict=True))
    )
    return StrategyView(key=plan.solution.planner, stages=tuple(stages))


def taken(plan: planfile.Plan) -> tuple[tuple[Handed, ...], ...]:
    """Return for each stage the tensors that enter it, with the stage that makes them."""
    found: list[tuple[Handed, ...]] = []
    for pipeline in plan.pipelines:
        first = len(found)
        made = {name: first + k for k, stage in enumerate(pipeline.stages) for name in stage.outputs}
        maker = dict.fromkeys(plan.inputs, HOST) | made
        found += [tuple(_handed(plan, name, (maker[name],)) for name in stage.inputs) for stage in pipeline.stages]
    return tuple(found)


def given(plan: planfile.Plan) -> tuple[tuple[Handed, ...], ...]:
    """Return for each stage the tensors that leave it, with the stages that read them."""
    found: list[tuple[Handed, ...]] = []
    for pipeline in plan.pipelines:
        readers: dict[str, list[int]] = {}
        for number, stage in enumerate(pipeline.stages, start=len(found)):
            for name in stage.inputs:
                readers.setdefault(name, []).append(number)
        for name in plan.outputs:
            readers.setdefault(name, []).append(HOST)
        found += [
            tuple(_handed(plan, name, tuple(readers.get(name, ()))) for name in stage.outputs)
            for stage in pipeline.stages
        ]
    return tuple(found)


def _handed(plan: planfile.Plan, name: str, ends: tuple[int, ...]) -> Handed:
    spec = plan.tensor(name)
    bits = ELEMENT_BITS.get(spec.dtype.upper(), 8)
    return Handed(name=name, nbytes=-(-prod(spec.shape) * bits // 8), ends=ends)


def _stage_score(prediction: planfile.StagePrediction) -> StageScore:
    values = prediction.model_dump(exclude={"time_ns", "spilled_ops"})
    return StageScore(**values, spilled_ops=tuple(prediction.spilled_ops))
