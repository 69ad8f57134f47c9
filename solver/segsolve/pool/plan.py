"""The plan of a pool: pipelines of several models, the devices of their stages, and who lives on each device."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

from segsolve.plan.model import Stage


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolStage:
    """Operations of a model, ascending, run by `devices` (numbers of the pool) in turn."""

    ops: tuple[int, ...]
    devices: tuple[int, ...]

    @property
    def as_stage(self) -> Stage:
        """The stage as plans of one model have it."""
        return Stage(ops=self.ops, replicas=len(self.devices))


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolPipeline:
    """Stages of one model, in an order in which every tensor is made before it is read.

    `share` is the part of its model's inferences that it does; None: all pipelines of the model do what they can.
    """

    model: int
    stages: tuple[PoolStage, ...]
    share: Fraction | None = None


@dataclass(frozen=True, slots=True, order=True)
class Resident:
    """A stage that lives on a device: the numbers of its pipeline and of the stage in it."""

    pipeline: int
    stage: int


@dataclass(frozen=True, kw_only=True)
class PoolPlan:
    """Pipelines, and for each device of the pool its residents in the order in which they are co-compiled.

    The first resident caches its weights first, the next what still fits, and so on.
    """

    pipelines: tuple[PoolPipeline, ...]
    residents: tuple[tuple[Resident, ...], ...]

    def stage(self, resident: Resident) -> PoolStage:
        """Return the stage that a resident is."""
        return self.pipelines[resident.pipeline].stages[resident.stage]

    def model_of(self, resident: Resident) -> int:
        """Return the model that a resident belongs to."""
        return self.pipelines[resident.pipeline].model

    def of_model(self, model: int) -> tuple[int, ...]:
        """Return the numbers of a model's pipelines."""
        return tuple(p for p, pipeline in enumerate(self.pipelines) if pipeline.model == model)

    @cached_property
    def is_shared(self) -> bool:
        """Whether some device has several residents."""
        return any(len(residents) > 1 for residents in self.residents)

    @cached_property
    def used(self) -> tuple[int, ...]:
        """The devices that have a resident."""
        return tuple(d for d, residents in enumerate(self.residents) if residents)

    def layout_of(self, model: int) -> str:
        """Return the notation of a model's pipelines: devices, in brackets those of each stage if one has several."""
        names = []
        for p in self.of_model(model):
            counts = [len(stage.devices) for stage in self.pipelines[p].stages]
            names.append(f"{sum(counts)}" + (f"[{','.join(map(str, counts))}]" if max(counts) > 1 else ""))
        counted = Counter(names)
        return "+".join(name if count == 1 else f"{count}x{name}" for name, count in counted.items())


def by_first_stage(pipelines: tuple[PoolPipeline, ...], devices: int) -> PoolPlan:
    """Return a plan whose devices list their residents in the order of the pipelines."""
    residents: list[list[Resident]] = [[] for _ in range(devices)]
    for p, pipeline in enumerate(pipelines):
        for k, stage in enumerate(pipeline.stages):
            for device in stage.devices:
                residents[device].append(Resident(p, k))
    return PoolPlan(pipelines=pipelines, residents=tuple(map(tuple, residents)))
