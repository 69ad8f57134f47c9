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
    """Operations `first` to `end` (exclusive) on one TPU, and what an inference of them costs."""

    number: int
    first: int
    end: int
    score: StageScore

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
        return Score(stages=tuple(stage.score for stage in self.stages))

    @property
    def cuts(self) -> tuple[int, ...]:
        """Where it cuts."""
        return tuple(stage.first for stage in self.stages[1:])

    @property
    def slowest(self) -> StageView:
        """The bottleneck; of several, the first."""
        return max(self.stages, key=lambda stage: stage.score.time_ns)


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
    def title(self) -> str:
        """The model's name without the ending of its file."""
        return self.plan.model.name.removesuffix(".tflite")


def strategy_of(plan: planfile.Plan) -> StrategyView:
    """Return a plan's stages with the costs that its file predicts."""
    stages = (
        StageView(number=k, first=s.first_op, end=s.last_op + 1, score=_stage_score(s.prediction))
        for k, s in enumerate(plan.all_stages)
    )
    return StrategyView(key=plan.solution.planner, stages=tuple(stages))


def taken(plan: planfile.Plan) -> tuple[tuple[Handed, ...], ...]:
    """Return for each stage the tensors that enter it, with the stage that makes them."""
    maker = dict.fromkeys(plan.inputs, HOST) | {n: k for k, s in enumerate(plan.all_stages) for n in s.outputs}
    return tuple(tuple(_handed(plan, name, (maker[name],)) for name in stage.inputs) for stage in plan.all_stages)


def given(plan: planfile.Plan) -> tuple[tuple[Handed, ...], ...]:
    """Return for each stage the tensors that leave it, with the stages that read them."""

    def readers(name: str) -> tuple[int, ...]:
        stages = tuple(k for k, stage in enumerate(plan.all_stages) if name in stage.inputs)
        return (*stages, HOST) if name in plan.outputs else stages

    return tuple(tuple(_handed(plan, name, readers(name)) for name in stage.outputs) for stage in plan.all_stages)


def _handed(plan: planfile.Plan, name: str, ends: tuple[int, ...]) -> Handed:
    spec = plan.tensor(name)
    bits = ELEMENT_BITS.get(spec.dtype.upper(), 8)
    return Handed(name=name, nbytes=-(-prod(spec.shape) * bits // 8), ends=ends)


def _stage_score(prediction: planfile.StagePrediction) -> StageScore:
    values = prediction.model_dump(exclude={"time_ns", "spilled_ops"})
    return StageScore(**values, spilled_ops=tuple(prediction.spilled_ops))
