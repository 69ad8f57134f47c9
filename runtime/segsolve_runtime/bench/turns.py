"""Runs plans in turns, in an order that is shuffled: each is opened, warmed up, measured over a count and closed."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from itertools import cycle, islice
from time import perf_counter, perf_counter_ns
from typing import Literal

from segsolve_runtime.backends import Isolation
from segsolve_runtime.contract.frames import random_frames
from segsolve_runtime.contract.plan import PlanFolder
from segsolve_runtime.contract.pool import PoolFolder
from segsolve_runtime.errors import BackendError
from segsolve_runtime.flow.metrics import Metrics, percentile
from segsolve_runtime.observe.heat import hottest_c
from segsolve_runtime.pipeline import Pipeline
from segsolve_runtime.pool import Pool

Mode = Literal["throughput", "latency"]
_FRAMES = 8  # different ones, which are all in memory before anything is timed


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """How much to measure: `rounds` turns of each plan, `count` inferences in each after `warm_up` ones."""

    rounds: int = 7
    count: int = 200
    warm_up: int = 10
    seed: int = 0
    mode: Mode = "throughput"


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """What plans run on, as for `Pipeline.load`."""

    backend: str = "litert"
    threads: int = 1
    devices: tuple[str, ...] = ()
    isolate: Isolation = "auto"
    queue_size: int = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What one turn of a plan measured.

    `value` is inferences per second (of a pool periods), or the median ms of a single one; `stage_ms` that of the
    slowest stage per inference, without what is between stages; `open_s` and `first_s` from nothing to an open pipeline
    and from there to the first result; `hottest_c` of the devices that say it; `late` the share of the inferences of a
    stage that this machine was still at work on when an emulated device would have been done, of the latest stage.
    """

    value: float
    stage_ms: float
    open_s: float
    first_s: float
    hottest_c: float | None
    late: float


@dataclass(slots=True, kw_only=True)
class Entrant:
    """A plan, or a pool's plan, and its turns."""

    name: str
    folder: PlanFolder | PoolFolder
    turns: list[Turn] = field(default_factory=list)

    @property
    def is_pool(self) -> bool:
        """Whether it is the plan of a pool, which is measured by its periods."""
        return isinstance(self.folder, PoolFolder)

    @property
    def layout(self) -> str:
        """The layout of a plan; of a pool, that of each model."""
        if isinstance(self.folder, PoolFolder):
            return ", ".join(plan.plan.solution.layout for plan in self.folder.plans)
        return self.folder.plan.solution.layout

    @property
    def predicted_fps(self) -> float:
        """What is predicted of its throughput: inferences, of a pool periods, per second."""
        if isinstance(self.folder, PoolFolder):
            return 1e9 / max(1, self.folder.pool.period_ns)
        return self.folder.plan.solution.throughput_fps

    @property
    def values(self) -> list[float]:
        """What was measured, turn by turn."""
        return [turn.value for turn in self.turns]


def take_turns(
    entrants: Sequence[Entrant], where: Where, effort: Effort, tell: Callable[[int, Entrant], None] = lambda r, e: None
) -> None:
    """Give each plan its turns, in rounds: every round has all plans, in another order.

    Raises:
        RuntimeFault: a plan cannot be opened, or fails; or the latency of a pool is asked for.
    """
    if effort.mode == "latency" and any(entrant.is_pool for entrant in entrants):
        raise BackendError("a pool is measured by its throughput; for latencies name the plans of its models")
    order = random.Random(effort.seed)
    for number in range(effort.rounds):
        for entrant in order.sample(list(entrants), len(entrants)):
            tell(number, entrant)
            entrant.turns.append(_turn(entrant.folder, where, effort))


def _turn(folder: PlanFolder | PoolFolder, where: Where, effort: Effort) -> Turn:
    if isinstance(folder, PoolFolder):
        return _pool_turn(folder, where, effort)
    frames = list(random_frames(folder.plan, min(_FRAMES, effort.count), effort.seed))
    begin = perf_counter()
    with Pipeline.load(folder, **asdict(where)) as pipeline:
        opened = perf_counter()
        for _ in pipeline.map(frames[:1], copy=False):
            pass
        first = perf_counter()
        for _ in pipeline.map(islice(cycle(frames), effort.warm_up), copy=False):
            pass
        if effort.mode == "latency":
            value = _latency_ms(pipeline, effort.count)
        else:
            for _ in pipeline.map(islice(cycle(frames), effort.count), copy=False):
                pass
            value = pipeline.metrics().throughput_fps
        return Turn(
            value=value,
            stage_ms=_stage_ms(pipeline.metrics()),
            open_s=opened - begin,
            first_s=first - opened,
            hottest_c=hottest_c(pipeline.devices.values()),
            late=_late(pipeline.metrics()),
        )


def _pool_turn(folder: PoolFolder, where: Where, effort: Effort) -> Turn:
    """Run as many periods as have about `effort.count` inferences, of all models together."""
    weights = {model.name: model.weight for model in folder.pool.models}
    frames = {
        model.name: list(random_frames(plan.plan, _FRAMES, effort.seed))
        for model, plan in zip(folder.pool.models, folder.plans, strict=True)
    }
    begin = perf_counter()
    with Pool.load(folder, **asdict(where)) as pool:
        opened = perf_counter()

        def run(inferences: int) -> int:
            periods = max(1, inferences // sum(weights.values()))
            sources = {name: islice(cycle(own), periods * weights[name]) for name, own in frames.items()}
            pool.run(sources, lambda model, result: None)
            return periods

        run(1)
        first = perf_counter()
        run(effort.warm_up)
        periods = run(effort.count)
        metrics = pool.metrics()
        devices = [path for pipeline in pool.pipelines.values() for path in pipeline.devices.values()]
        return Turn(
            value=periods * 1e9 / metrics.elapsed_ns,
            stage_ms=max(map(_stage_ms, metrics.models.values())),
            open_s=opened - begin,
            first_s=first - opened,
            hottest_c=hottest_c(devices),
            late=max(map(_late, metrics.models.values())),
        )


def _late(metrics: Metrics) -> float:
    """Return the share of inferences that were late, of the stage with most of them."""
    return max((stage.late / stage.inferences for stage in metrics.stages if stage.inferences), default=0.0)


def _latency_ms(pipeline: Pipeline, count: int) -> float:
    """Return the median time of inferences that begin when the one before is done."""
    times = []
    for frame in random_frames(pipeline.plan, count, seed=0):
        begin = perf_counter_ns()
        pipeline.submit(frame, copy=False).result()
        times.append(perf_counter_ns() - begin)
    return percentile(sorted(times), 50) / 1e6


def _stage_ms(metrics: Metrics) -> float:
    return max(stage.time_p50_ns / stage.replicas for stage in metrics.stages) / 1e6
