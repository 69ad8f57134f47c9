"""What the report of a pool's plan shows, gathered once and frozen: no markup, no wording."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

from segsolve.pool.simple import Way
from segsolve_runtime.contract.plan import StagePrediction
from segsolve_runtime.contract.pool import PoolDevice, PoolFolder, PoolModel, PoolResident, PoolSolution

SWAP = "swap"
"""The way to use a pool that is only a warning."""
_FOUND = ("dedicated", "shared")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelView:
    """A model of the pool. `number` gives its colour, `tag` is what it is labelled with.

    `wanted_fps` is the rate that was asked for, if one was; bytes are per inference.
    """

    number: int
    file: PoolModel
    layout: str
    wanted_fps: float | None
    offchip_bytes: int

    @property
    def tag(self) -> str:
        """A letter; two of them from the 27th model on."""
        more, letter = divmod(self.number, 26)
        return (chr(ord("A") + more - 1) if more else "") + chr(ord("A") + letter)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResidentView:
    """A stage that lives on a device; `load_ns` is what it occupies the device for in a period."""

    model: ModelView
    stage: int
    name: str
    op_ranges: tuple[tuple[int, int], ...]
    replicas: int
    score: StagePrediction
    load_ns: int

    @property
    def stream_ns(self) -> int:
        """The part of the load in which weights stream."""
        return self.load_ns * self.score.stream_ns // max(1, self.score.time_ns)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceView:
    """A device with its residents in co-compilation order; `room_bytes` is what their activations leave to weights."""

    number: int
    file: PoolDevice
    residents: tuple[ResidentView, ...]
    memory_bytes: int

    @property
    def room_bytes(self) -> int:
        """What the first resident finds for its weights; all of the memory where nobody lives."""
        return self.residents[0].score.capacity_bytes if self.residents else self.memory_bytes

    @property
    def onchip_bytes(self) -> int:
        """Weights that stay on chip."""
        return sum(resident.score.onchip_bytes for resident in self.residents)

    @property
    def offchip_bytes(self) -> int:
        """Weights that stream, at one inference of each resident."""
        return sum(resident.score.offchip_bytes for resident in self.residents)


@dataclass(frozen=True, kw_only=True)
class PoolView:
    """Everything that the report shows. `missing` says why there are no `ways` to compare with."""

    folder: PoolFolder
    models: tuple[ModelView, ...]
    devices: tuple[DeviceView, ...]
    ways: tuple[Way, ...]
    missing: str

    @property
    def solution(self) -> PoolSolution:
        """How the plan was found, and what is known of it."""
        return self.folder.pool.solution

    @property
    def period_ns(self) -> int:
        """The time in which every model does its weight of inferences."""
        return max(1, self.folder.pool.period_ns)

    @property
    def notation(self) -> str:
        """Kinds and counts, as `--pool` takes them."""
        return ",".join(f"{kind.name}:{kind.count}" for kind in self.folder.pool.kinds)

    @property
    def is_optimal(self) -> bool:
        """Whether no plan that was asked for is better."""
        return self.solution.status == "optimal"

    @property
    def is_shared(self) -> bool:
        """Whether a device has several residents."""
        return any(len(device.residents) > 1 for device in self.devices)

    @property
    def scale(self) -> float | None:
        """How many times over the rates that were asked for are made."""
        asked = self.solution.scale_fps
        return None if asked is None else float(Fraction(10**9, self.period_ns) / Fraction(asked))

    @property
    def limits(self) -> tuple[str, ...]:
        """Devices and links that are occupied for the whole period."""
        pool = self.folder.pool
        loads = [(device.name, device.load_ns) for device in pool.devices]
        loads += [*((link.name, link.load_ns) for link in pool.links), ("the host", pool.host_load_ns)]
        return tuple(name for name, load in loads if load >= self.period_ns)

    @cached_property
    def best_simple(self) -> Way | None:
        """The best use of the pool that needs no solver, all residents of a device compiled together."""
        simple = [way for way in self.ways if way.name not in (SWAP, *_FOUND) and way.period is not None]
        return min(simple, key=lambda way: way.period or 0, default=None)

    def way(self, name: str) -> Way | None:
        """Return a way that is possible, by its name."""
        return next((way for way in self.ways if way.name == name and way.period is not None), None)


def pool_view(folder: PoolFolder, ways: Sequence[Way] = (), missing: str = "") -> PoolView:
    """Return what a folder's report shows; `missing` says why there are no `ways` to use the pool."""
    models = tuple(_models(folder))
    return PoolView(
        folder=folder,
        models=models,
        devices=tuple(_device(folder, models, number) for number in range(len(folder.pool.devices))),
        ways=tuple(ways),
        missing=missing,
    )


def _models(folder: PoolFolder) -> Iterator[ModelView]:
    asked = folder.pool.solution.scale_fps
    for number, (model, plan) in enumerate(zip(folder.pool.models, folder.plans, strict=True)):
        pipelines = [sum(s.prediction.offchip_bytes for s in pipeline.stages) for pipeline in plan.plan.pipelines]
        yield ModelView(
            number=number,
            file=model,
            layout=plan.plan.solution.layout,
            wanted_fps=None if asked is None else float(Fraction(asked) * model.weight),
            offchip_bytes=max(pipelines),
        )


def _device(folder: PoolFolder, models: Sequence[ModelView], number: int) -> DeviceView:
    device = folder.pool.devices[number]
    return DeviceView(
        number=number,
        file=device,
        residents=tuple(_resident(folder, models, device, resident) for resident in device.residents),
        memory_bytes=folder.pool.kinds[device.kind].memory_bytes,
    )


def _resident(
    folder: PoolFolder, models: Sequence[ModelView], device: PoolDevice, resident: PoolResident
) -> ResidentView:
    model = next(each for each in models if each.file.name == resident.model)
    plan = folder.plans[model.number].plan
    pipeline = plan.pipelines[resident.pipeline]
    stage = pipeline.stages[resident.stage]
    # Only a device of its own is of a stage with replicas.
    alone = len(device.residents) == 1
    parts = [model.tag]
    if len(plan.pipelines) > 1:
        parts.append(f"pipeline {resident.pipeline}")
    if len(pipeline.stages) > 1:
        parts.append(f"stage {resident.stage}")
    return ResidentView(
        model=model,
        stage=resident.stage,
        name=", ".join(parts),
        op_ranges=tuple((first, last) for first, last in stage.op_ranges),
        replicas=stage.replicas,
        score=stage.prediction,
        load_ns=device.load_ns
        if alone
        else int(folder.weight_of(model.number, resident.pipeline) * stage.prediction.time_ns),
    )
