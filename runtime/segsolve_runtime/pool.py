"""Runs the plan of a pool: a pipeline per model, on devices that they share, each with a source of its own."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from time import perf_counter_ns
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from segsolve_runtime.backends import Isolation
from segsolve_runtime.backends.isolated.runner import Household
from segsolve_runtime.contract.arrays import Frame
from segsolve_runtime.contract.places import Place, places
from segsolve_runtime.contract.pool import PoolFolder, load_pool
from segsolve_runtime.errors import BackendError, DevicesLeftError, PoolDevicesLeftError, StageError
from segsolve_runtime.flow.faults import FaultPolicy
from segsolve_runtime.flow.schedule import QUEUE_SIZE
from segsolve_runtime.flow.shared_schedule import SharedLane, SharedRun, schedule_arrivals, schedule_shared
from segsolve_runtime.flow.sharing import Proportion, SharedDevice, room_of
from segsolve_runtime.pipeline import Pipeline

if TYPE_CHECKING:
    from collections.abc import Callable

    from segsolve_runtime.contract.result import Result
    from segsolve_runtime.flow.metrics import Metrics


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolMetrics:
    """What a run of a pool measured: per model, and how long each device was busy, in ns.

    `begun_ns` is where each model's timeline begins, from the beginning of the run.
    """

    models: Mapping[str, Metrics]
    busy_ns: Mapping[str, int]
    elapsed_ns: int
    begun_ns: Mapping[str, int]

    def utilisation(self, device: str) -> float:
        """Return the share of the run that a device was busy; no more than all, whatever its residents overlap."""
        return min(1.0, self.busy_ns[device] / self.elapsed_ns) if self.elapsed_ns else 0.0


class Pool:
    """A pool's pipelines, ready to run::

    with Pool.load("plan/") as pool:
        pool.run({"detector": frames, "classifier": others}, take=lambda model, result: ...)

    Each of `pipelines` takes frames by itself, too (``pool.pipelines["detector"].submit(frame)``).
    """

    def __init__(
        self,
        folder: PoolFolder,
        pipelines: Mapping[str, Pipeline],
        devices: Sequence[SharedDevice],
        names: Sequence[str] = (),
    ) -> None:
        """Take a pipeline for each model of a folder, made with these devices; `load` does all of it.

        `names` are what the devices are opened as, in the pool's order; none where nothing is opened.
        """
        self.folder, self.pipelines, self.names = folder, dict(pipelines), tuple(names)
        self._devices = devices
        self._begun_ns, self._ended_ns = 0, 0

    @classmethod
    def load(
        cls,
        folder: str | Path | PoolFolder,
        *,
        backend: str = "litert",
        threads: int = 1,
        devices: Sequence[str] = (),
        isolate: Isolation = "auto",
        queue_size: int = QUEUE_SIZE,
        record: bool | int = False,
        faults: FaultPolicy | None = None,
    ) -> Self:
        """Open the plan of a pool, or one that `load_pool` has read, on a backend: litert, emulated or edgetpu.

        `devices` are the Edge TPUs in the pool's order, such as ``usb:0``; else those that the plan names, if it does.

        Raises:
            PlanError: the folder or a segment cannot be used.
            BackendError: there is no such backend for pools, or it has not these devices.
            HardwareError: an Edge TPU, or what drives it, is missing or cannot be used.
        """
        if not isinstance(folder, PoolFolder):
            folder = load_pool(Path(folder))
        if backend == "simulated":
            raise BackendError(
                "a simulated pool has no results to give, only times (`simulate`, or run --backend simulated)"
            )
        names = _names(folder, devices) if backend == "edgetpu" else []
        shared = [SharedDevice() for _ in folder.pool.devices]
        is_shared = [len(device.residents) > 1 for device in folder.pool.devices]
        households = {name: Household() for name, shares in zip(names, is_shared, strict=False) if shares}
        pipelines = {}
        with ExitStack() as opened:
            for m, (model, plan) in enumerate(zip(folder.pool.models, folder.plans, strict=True)):
                where = folder.device_of(model.name)
                pipelines[model.name] = opened.enter_context(
                    Pipeline.load(
                        plan,
                        backend=backend,
                        threads=threads,
                        devices=[names[where[place]] for place in places(plan.plan)] if names else (),
                        isolate=isolate,
                        queue_size=room_of(model.weight, queue_size),
                        record=record,
                        faults=faults,
                        households=households,
                        shared={
                            place: shared[d].resident(folder.weight_of(m, place.pipeline))
                            for place, d in where.items()
                            if is_shared[d]
                        },
                        parts=[Fraction(share) for share in model.shares],
                    )
                )
            opened.pop_all()
        return cls(folder, pipelines, shared, names)

    def homes(self, model: str) -> dict[Place, str]:
        """Return the names of the pool's devices that run the places of a model's plan."""
        names = [device.name for device in self.folder.pool.devices]
        return {place: names[number] for place, number in self.folder.device_of(model).items()}

    def lost(self, error: PoolDevicesLeftError) -> dict[str, str]:
        """Return the devices of the pool that an error tells of, by name, and why each was lost."""
        return {
            self.homes(model)[place]: f"{model}: {reason}"
            for model, left in error.of.items()
            for place, reason in left.lost.items()
        }

    def warm_up(self) -> None:
        """Run every stage on zeros, model after model."""
        for pipeline in self.pipelines.values():
            pipeline.warm_up()

    def run(
        self,
        frames: Mapping[str, Iterable[Frame]],
        take: Callable[[str, Result], object],
        *,
        fail: Callable[[str, Exception], object] | None = None,
        live: Collection[str] = (),
        in_proportion: bool = True,
    ) -> Mapping[str, Exception]:
        """Run the frames of all models at once, until all sources end; `take` gets each model's results in order.

        `take` is called in a thread for each model. With `in_proportion`, frames begin in the proportion of the plan's
        weights, as fast as the pool can; without, as they come, as from cameras. Of models that are `live`, frames that
        nobody has time for are dropped, the oldest first. `fail` takes the errors of frames whose inference failed, in
        their turn, and the others go on; without it, the first error of a model ends all. A model that lost so many
        devices that none of its pipelines is whole ends then, too: each that did so is returned, with the reason.

        Raises:
            ValueError: a name is that of no model, or a model has no frames.
            PoolDevicesLeftError: devices were lost, and the policy is to give back what is not done. What could be done
                without them was; iterators among `frames` have what was not begun.
            StageError, InputError, ...: as `Pipeline.map`.
        """
        if set(frames) != set(self.pipelines):
            odd = min(set(frames) ^ set(self.pipelines))
            raise ValueError(f"frames must be given for every model, and for no other: {odd!r}")
        for device in self._devices:
            device.begin(in_proportion=in_proportion)
        weights = [model.weight for model in self.folder.pool.models]
        proportion = Proportion(weights) if in_proportion else None
        self._begun_ns, self._ended_ns = perf_counter_ns(), 0
        try:
            return _Session(self.pipelines, frames, proportion, take, fail, live).run()
        finally:
            self._ended_ns = perf_counter_ns()

    def metrics(self) -> PoolMetrics:
        """Return what was measured of the latest run; it may be under way."""
        found = {name: pipeline.metrics() for name, pipeline in self.pipelines.items()}
        busy = dict.fromkeys((device.name for device in self.folder.pool.devices), 0)
        for device in self.folder.pool.devices:
            for resident in device.residents:
                stages = found[resident.model].stages
                own = [s for s in stages if (s.pipeline, s.stage) == (resident.pipeline, resident.stage)]
                busy[device.name] += sum(s.busy_ns // s.replicas for s in own)
        elapsed = (self._ended_ns or perf_counter_ns()) - self._begun_ns if self._begun_ns else 0
        begun = {name: max(0, perf_counter_ns() - p.age_ns - self._begun_ns) for name, p in self.pipelines.items()}
        return PoolMetrics(models=found, busy_ns=busy, elapsed_ns=elapsed, begun_ns=begun)

    def close(self) -> None:
        """Close all pipelines."""
        with ExitStack() as stack:
            for pipeline in self.pipelines.values():
                stack.callback(pipeline.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


_Error = TypeVar("_Error", bound=BaseException)


class _Session:
    """A run of all models, a thread for each; any may end it for all."""

    def __init__(
        self,
        pipelines: Mapping[str, Pipeline],
        frames: Mapping[str, Iterable[Frame]],
        proportion: Proportion | None,
        take: Callable[[str, Result], object],
        fail: Callable[[str, Exception], object] | None,
        live: Collection[str],
    ) -> None:
        self._pipelines, self._proportion, self._take, self._fail, self._live = pipelines, proportion, take, fail, live
        self._frames = {name: iter(frames[name]) for name in pipelines}
        self._left: dict[str, DevicesLeftError] = {}
        self._ended: dict[str, Exception] = {}
        self._faults: list[BaseException] = []
        self._takes_no_more = threading.Event()
        self._is_over = threading.Event()

    def run(self) -> Mapping[str, Exception]:
        threads = [
            threading.Thread(target=self._serve, args=(number, name), name=f"segsolve-model-{name}", daemon=True)
            for number, name in enumerate(self._pipelines)
        ]
        for thread in threads:
            thread.start()
        try:
            for thread in threads:
                while thread.is_alive():
                    thread.join(0.2)  # so that Ctrl-C is heard
        except BaseException:
            self._is_over.set()
            self._take_no_more()
            raise
        if self._faults:
            raise self._faults[0]
        if self._left:
            raise PoolDevicesLeftError(self._left)
        if len(self._ended) == len(self._pipelines):
            raise next(iter(self._ended.values()))
        return self._ended

    def _serve(self, number: int, name: str) -> None:
        map_frames: Callable[..., Iterator[Any]] = self._pipelines[name].map
        drop, on_error = "oldest" if name in self._live else None, "yield" if self._fail else "raise"
        try:
            for outcome in map_frames(self._source(number, name), drop=drop, on_error=on_error):
                if self._fail is not None and isinstance(outcome, Exception):
                    self._fail(name, self._named(outcome, name))
                else:
                    self._take(name, outcome)
                if self._is_over.is_set():
                    break
        except (DevicesLeftError, StageError) as error:
            if self._fail is not None:
                self._ended[name] = self._named(error, name)
            elif isinstance(error, DevicesLeftError):
                self._left[name] = error
                self._take_no_more()
            else:
                self._end_all(self._named(error, name))
        except BaseException as error:
            self._end_all(error)
        finally:
            if self._proportion is not None:
                self._proportion.end(number)

    def _named(self, error: _Error, name: str) -> _Error | StageError:
        """Return an error that says which of several models' stages failed."""
        return error.of_model(name) if isinstance(error, StageError) and len(self._pipelines) > 1 else error

    def _end_all(self, error: BaseException) -> None:
        """End all models because of an error of one."""
        self._faults.append(error)
        self._is_over.set()
        self._take_no_more()

    def _take_no_more(self) -> None:
        """Let all sources end, and what is under way be done."""
        self._takes_no_more.set()
        for number in range(len(self._pipelines) if self._proportion is not None else 0):
            assert self._proportion is not None
            self._proportion.end(number)

    def _source(self, number: int, name: str) -> Iterator[Frame]:
        """Yield a model's frames, and take none from its iterator that is not begun."""
        frames = self._frames[name]
        while True:
            if self._proportion is not None:
                self._proportion.wait(number)
            if self._takes_no_more.is_set():
                return
            try:
                frame = next(frames)
            except StopIteration:
                break
            yield frame
        if self._proportion is not None:
            self._proportion.end(number)


def simulate(folder: PoolFolder, periods: int, queue_size: int = QUEUE_SIZE) -> SharedRun:
    """Run a pool's plan on a virtual clock, as fast as it can, every stage taking exactly its predicted time.

    Where links or the host limit, each pipeline begins as often as its part of the period's inferences lets it.
    """
    pool = folder.pool
    lanes = _lanes(folder)
    if pool.limited_by:
        lanes = [replace(lane, interval=pool.period_ns / n) for lane, n in zip(lanes, _parts(folder), strict=True)]
    return schedule_shared(lanes, [model.weight for model in pool.models], periods, queue_size)


def _parts(folder: PoolFolder) -> list[Fraction]:
    """Return the inferences that each pipeline does in a period: as the plan says, else by its speed."""
    found = []
    for m, (model, plan) in enumerate(zip(folder.pool.models, folder.plans, strict=True)):
        stages = [[-(-s.prediction.time_ns // s.replicas) for s in p.stages] for p in plan.plan.pipelines]
        speeds = [Fraction(1, max(1, *own)) for own in stages]
        for p, speed in enumerate(speeds):
            found.append(folder.weight_of(m, p) if model.shares else model.weight * speed / sum(speeds))
    return found


def simulate_asked(folder: PoolFolder, periods: int, queue_size: int = QUEUE_SIZE) -> SharedRun | None:
    """Run a pool's plan on a virtual clock, with frames that come evenly at the rates asked for; None if none were."""
    asked = folder.pool.solution.scale_fps
    if asked is None:
        return None
    arrivals = [
        [int(n * 10**9 / (Fraction(asked) * model.weight)) for n in range(periods * model.weight)]
        for model in folder.pool.models
    ]
    return schedule_arrivals(_lanes(folder), arrivals, queue_size)


def _lanes(folder: PoolFolder) -> list[SharedLane]:
    lanes = []
    for m, (model, plan) in enumerate(zip(folder.pool.models, folder.plans, strict=True)):
        where = folder.device_of(model.name)
        for p, pipeline in enumerate(plan.plan.pipelines):
            own = [place for place in places(plan.plan) if place.pipeline == p]
            lanes.append(
                SharedLane(
                    model=m,
                    weight=folder.weight_of(m, p),
                    stage_ns=tuple(stage.prediction.time_ns for stage in pipeline.stages),
                    devices=tuple(
                        tuple(where[place] for place in own if place.stage == k) for k in range(len(pipeline.stages))
                    ),
                )
            )
    return lanes


def _names(folder: PoolFolder, devices: Sequence[str]) -> list[str]:
    """Return what the devices of a pool are called: as given, as the plan says, or, of one kind, the first attached.

    Raises:
        BackendError: nobody says which is which, or there are too few.
    """
    known = [device.attached for device in folder.pool.devices]
    if devices:
        if len(devices) != len(known):
            raise BackendError(
                f"the pool needs {len(known)} Edge TPUs, but {len(devices)} are named: {', '.join(devices)}"
            )
        return list(devices)
    if all(known):
        return [name for name in known if name]
    if len(folder.pool.kinds) > 1:
        likely = ["usb" if "usb" in device.name else "pci" for device in folder.pool.devices]
        named = ",".join(f"{bus}:{likely[:number].count(bus)}" for number, bus in enumerate(likely))
        kinds = ", ".join(dict.fromkeys(device.name.rpartition(":")[0] for device in folder.pool.devices))
        raise BackendError(f"which Edge TPU is which of the pool? name them in its order ({kinds}): --devices {named}")
    from segsolve_runtime.backends.edgetpu.choose import choose_devices
    from segsolve_runtime.backends.edgetpu.library import open_library

    return [device.name for device in choose_devices(open_library(), len(known), ())]
