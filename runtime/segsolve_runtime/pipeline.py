"""The pipeline: frames in, results out, one thread per device between them."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import replace
from enum import StrEnum
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, get_args, overload

from segsolve_runtime.backends import BackendOptions, Isolation, open_stages
from segsolve_runtime.backends.isolated.runner import Household
from segsolve_runtime.contract.arrays import Frame, Tensors, array_specs, select
from segsolve_runtime.contract.frames import frame_tensors
from segsolve_runtime.contract.places import Place, places
from segsolve_runtime.contract.plan import Plan, PlanFolder, load_plan
from segsolve_runtime.contract.result import Result
from segsolve_runtime.contract.runner import Reopenable, StageRunner
from segsolve_runtime.errors import ClosedError, DeviceLostError, InputError, PlanError, StageError, StageTimeoutError
from segsolve_runtime.flow.clock import Clocks
from segsolve_runtime.flow.engine import Setting
from segsolve_runtime.flow.faults import FaultPolicy
from segsolve_runtime.flow.metrics import Metrics
from segsolve_runtime.flow.rejoin import Rejoining
from segsolve_runtime.flow.run import Run
from segsolve_runtime.flow.schedule import QUEUE_SIZE
from segsolve_runtime.flow.sharing import Resident
from segsolve_runtime.flow.stream import Stream
from segsolve_runtime.flow.submissions import Submissions
from segsolve_runtime.flow.warmup import warm_up


class State(StrEnum):
    """How it stands with a pipeline."""

    READY = "ready"
    DEGRADED = "degraded"
    """Devices were lost, and the others go on."""
    FAILED = "failed"
    """So many devices were lost that no pipeline is whole."""
    CLOSED = "closed"


class Pipeline:
    """A plan's stages, ready to run streams of frames one after the other::

    with Pipeline.load("plan/") as pipeline:
        for outputs in pipeline.map(frames):
            ...
    """

    def __init__(
        self,
        plan: Plan,
        runners: Sequence[StageRunner],
        *,
        clocks: Clocks = "wall",
        queue_size: int = QUEUE_SIZE,
        record: bool | int = False,
        faults: FaultPolicy | None = None,
        shared: Mapping[Place, Resident] | None = None,
        parts: Sequence[Fraction] = (),
    ) -> None:
        """Take one runner for each of the plan's `places`, in their order, to be closed with the pipeline.

        At most `queue_size` inferences wait between two stages, and for the first. With `record`, the metrics hold the
        timeline of every inference, for which memory grows with their number, or of the first so many. `clocks` say how
        time passes: by itself, held to the predictions, or exactly as predicted. `shared` are the places that
        live on devices which other pipelines use, too: an inference waits for its turn there; `parts` are what each of
        the plan's pipelines does of all inferences, where their stages' times do not say it.

        Raises:
            PlanError: an input has an element type that numpy cannot hold, or the model keeps state and a fault is not
                to end the run.
            ValueError: there is not one runner per place, `queue_size` is smaller than 1, or `clocks` is unknown.
        """
        where = places(plan)
        if len(runners) != len(where):
            raise ValueError(f"{len(runners)} runners were given for {len(where)} places of the plan")
        if queue_size < 1:
            raise ValueError(f"the queue size is {queue_size}; it must be at least 1")
        if clocks not in get_args(Clocks):
            raise ValueError(f"clocks is {clocks!r}; known are: {', '.join(get_args(Clocks))}")
        if plan.model.state is not None and faults is not None and faults.on_fault != "stop":
            raise PlanError(
                f"the model keeps {plan.model.state} from one inference to the next, so that after a fault it cannot "
                f"go on where it was: on_fault must be stop, not {faults.on_fault}"
            )
        self._inputs = select(array_specs(plan), plan.inputs)
        self._retired: dict[Place, str] = {}
        self._setting = Setting(
            plan=plan,
            runners=dict(zip(where, runners, strict=True)),
            clocks=clocks,
            queue_size=queue_size,
            policy=faults or FaultPolicy(),
            recorded=None if record is True else int(record),
            retired=self._retired,
            rejoining=Rejoining(self._retired),
            shared=shared or {},
            parts=tuple(parts),
        )
        self._run: Run = Stream(self._setting)
        self._is_closed = False
        self._lock = threading.RLock()
        self._pid = os.getpid()

    @classmethod
    def load(
        cls,
        folder: str | Path | PlanFolder,
        *,
        backend: str = "litert",
        threads: int = 1,
        devices: Sequence[str] = (),
        isolate: Isolation = "auto",
        queue_size: int = QUEUE_SIZE,
        record: bool | int = False,
        faults: FaultPolicy | None = None,
        shared: Mapping[Place, Resident] | None = None,
        parts: Sequence[Fraction] = (),
        households: Mapping[str, Household] | None = None,
    ) -> Self:
        """Open a plan folder, or one that `load_plan` has read, on a backend.

        ``litert`` runs it on the CPU, ``edgetpu`` on Edge TPUs: on `devices`, such as ``usb:0`` and ``pci:1``, or on
        the first that are attached. Devices on USB have a process of their own each, because their driver ends its
        process when a transfer fails; `isolate` gives one to ``all`` stages, or to ``none``. ``emulated`` runs it on
        the CPU and holds each stage to its predicted time. ``simulated`` takes the predicted times on a virtual clock
        and has no results. All else as for the constructor; `households` are the processes of those of its `devices`,
        by name, that stages of other plans live on, too.

        Raises:
            PlanError: the folder or a segment cannot be used.
            BackendError: no backend has this name, or it has not these devices.
            HardwareError: an Edge TPU, or what drives it, is missing or cannot be used.
            ValueError: `threads` (per stage) or `queue_size` is smaller than 1, or `isolate` is unknown.
        """
        if threads < 1:
            raise ValueError(f"the number of threads is {threads}; it must be at least 1")
        if not isinstance(folder, PlanFolder):
            folder = load_plan(Path(folder))
        options = BackendOptions(threads=threads, devices=tuple(devices), isolate=isolate, shared=households or {})
        stages = open_stages(backend, folder, options)
        made = cls(
            folder.plan,
            stages.runners,
            clocks=stages.clocks,
            queue_size=queue_size,
            record=record,
            faults=faults,
            shared=shared,
            parts=parts,
        )
        try:
            folder.check_unchanged()  # or what was opened may be of two plans
        except PlanError:
            made.close()
            raise
        return made

    @property
    def plan(self) -> Plan:
        """The plan that the pipeline runs."""
        return self._setting.plan

    @property
    def state(self) -> State:
        """How it stands with the devices: may change at any time."""
        if self._is_closed:
            return State.CLOSED
        lost, plan = {*self._retired}, self._setting.plan
        pipelines = [
            all(
                any(Place(p, k, r) not in lost for r in range(stage.replicas))
                for k, stage in enumerate(pipeline.stages)
            )
            for p, pipeline in enumerate(plan.pipelines)
        ]
        if not any(pipelines):
            return State.FAILED
        return State.DEGRADED if lost else State.READY

    @property
    def queued(self) -> int:
        """How many frames wait now: for a first stage or, submitted, for room to wait there."""
        return self._run.waiting()

    @property
    def lost(self) -> dict[Place, str]:
        """The places that are out of use because of faults, and why."""
        return dict(self._retired)

    @property
    def devices(self) -> dict[Place, str]:
        """The devices by place, on a backend that has any; `load` takes them as names, too."""
        found = ((place, getattr(runner, "device", None)) for place, runner in self._setting.runners.items())
        return {place: device for place, device in found if device is not None}

    def warm_up(self, inferences: int = 1) -> None:
        """Run every stage on zeros, so that weights are where they belong before the first frame is timed.

        All stages at once. A device that is lost or takes longer than the policy's timeout is used no more where the
        policy goes on without it; of other faults there, the first frames will tell.

        Raises:
            StageError: a stage raised or hung, and the policy is to stop.
        """
        self._check_open()
        plan, policy = self._setting.plan, self._setting.policy
        in_use = {place: r for place, r in self._setting.runners.items() if place not in self._retired}
        faults = warm_up(plan, in_use, inferences, policy.stage_timeout_s, self._setting.lingering)
        for place, fault in faults.items():
            if isinstance(fault, StageTimeoutError | DeviceLostError):
                self._retired[place] = f"{place.describe(plan)}: {fault}"
        if faults and policy.on_fault == "stop":
            place, fault = next(iter(faults.items()))
            raise StageError(place, 0, fault, where=f"{place.describe(plan)}, warming up,")

    @overload
    def map(
        self,
        frames: Iterable[Frame],
        *,
        drop: Literal["oldest"] | None = None,
        on_error: Literal["raise"] = "raise",
        copy: bool = True,
    ) -> Iterator[Result]: ...

    @overload
    def map(
        self,
        frames: Iterable[Frame],
        *,
        drop: Literal["oldest"] | None = None,
        on_error: Literal["yield"],
        copy: bool = True,
    ) -> Iterator[Result | StageError | InputError]: ...

    def map(
        self,
        frames: Iterable[Frame],
        *,
        drop: Literal["oldest"] | None = None,
        on_error: Literal["raise", "yield"] = "raise",
        copy: bool = True,
    ) -> Iterator[Any]:
        """Yield for each frame, in order, the model's outputs by name, in the plan's order.

        A frame is a mapping from input names to arrays, or the array itself if the model takes only one; it
        is copied unless `copy` is False: then it must not be written to until its result is there. Frames are pulled
        in the caller's thread, while results are being pulled and the pipeline has room: neither need ever end. An
        exception, also one that `frames` raises, comes after the results of all frames before it. To begin another
        ``map``, or to ``submit``, ends this one. A model that keeps state begins each ``map`` with the state that it is
        loaded with.

        With ``on_error="yield"``, the error of a frame that does not fit or whose inference failed is yielded in its
        turn, and the others go on; a policy of ``stop`` is one of ``skip`` then.

        With ``drop="oldest"``, for live video, frames are pulled in a thread of their own as fast as they come; one
        that finds the queue full takes the place of the oldest there. A result's `number` tells its frame. That thread
        ends with the next frame that it gets; it cannot be woken from waiting for a camera.

        Raises:
            InputError: a frame does not fit the model's inputs.
            StageError: an inference failed for good; the original exception is the cause.
            DevicesLeftError: devices were lost, and the policy is to give back what is not done.
            ClosedError: the pipeline was closed, another ``map`` was begun, or the process forked.
            ValueError: `drop` or `on_error` is unknown, or frames cannot be dropped on a virtual clock.
        """
        if drop not in (None, "oldest"):
            raise ValueError(f"drop is {drop!r}; known is: oldest")
        if on_error not in ("raise", "yield"):
            raise ValueError(f"on_error is {on_error!r}; known are: raise, yield")
        setting, yields_errors = self._setting, on_error == "yield"
        if yields_errors and setting.policy.on_fault == "stop":
            setting = replace(setting, policy=replace(setting.policy, on_fault="skip"))
        stream = Stream(setting, drops_oldest=drop is not None, yields_errors=yields_errors)
        with self._lock:
            self._check_open()
            self._run.close()
            self._forget()
            self._run = stream
        yield from stream.results(self._tensors(frames, copy, yields_errors))

    def submit(self, frame: Frame, *, timeout_s: float | None = None, copy: bool = True) -> Future[Result]:
        """Take one frame, as soon as there is room for it, and return the future of its outputs.

        May be called from several threads, which are let in as they come. Futures are done when their results are
        ready, in any order; one can be cancelled until its inference begins. To begin a ``map`` ends all that are not
        done with a ClosedError.

        Raises:
            InputError: the frame does not fit the model's inputs.
            TimeoutError: there was no room within `timeout_s`.
            StageError: a fault ended what was submitted before; said once, the next call begins anew.
            DevicesLeftError: devices were lost, and the policy is to give back what is not done; said once, too.
            ClosedError: the pipeline was closed, or the process forked.
        """
        return self._submissions().submit(frame_tensors(frame, self._inputs, copy=copy), timeout_s)

    async def infer(self, frame: Frame, *, copy: bool = True) -> Result:
        """Run one frame and return its outputs, for asyncio: waits without a thread, in turn with ``submit``.

        To cancel it takes the frame back, unless its inference has begun: then its result is thrown away.

        Raises:
            InputError: the frame does not fit the model's inputs.
            StageError: its inference failed for good, or an earlier fault ended the run.
            DevicesLeftError: devices were lost, and the policy is to give back what is not done.
            ClosedError: the pipeline was closed.
        """
        from asyncio import wrap_future

        return await wrap_future(self._submissions().begin(frame_tensors(frame, self._inputs, copy=copy)))

    def metrics(self) -> Metrics:
        """Return what was measured of the latest ``map``, or of what was submitted; it may be under way."""
        return self._run.metrics()

    @property
    def age_ns(self) -> int:
        """The ns since the run began whose `metrics` are returned: its timeline counts from there."""
        return self._run.age_ns

    def close(self) -> None:
        """Stop what is under way, join all threads and close all runners; one that hangs is left to itself."""
        if self._is_closed or self._pid != os.getpid():
            return
        with self._lock:
            self._is_closed = True
            run = self._run
        run.close()
        self._setting.rejoining.end()
        with ExitStack() as stack:
            for place, runner in self._setting.runners.items():
                if isinstance(runner, Reopenable) or not self._setting.lingers(place):
                    stack.callback(runner.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _check_open(self) -> None:
        if self._pid != os.getpid():
            raise ClosedError("the pipeline belongs to the process that opened it; a child of it must open its own")
        if self._is_closed:
            raise ClosedError("the pipeline is closed; load it again")

    def _submissions(self) -> Submissions:
        """Return the run that takes single frames, begun where there is none."""
        self._check_open()
        with self._lock:
            self._check_open()
            run = self._run
            if isinstance(run, Submissions) and not run.is_over:
                return run
            run.close()
            self._forget()
            run = Submissions(self._setting)
            run.start()
            self._run = run
            return run

    def _forget(self) -> None:
        """Give the stages of a model that keeps state the one that they were loaded with."""
        if self._setting.plan.model.state is None:
            return
        for place, runner in self._setting.runners.items():
            reset = getattr(runner, "reset", None)
            if reset is not None and place not in self._retired:
                reset()

    def _tensors(self, frames: Iterable[Frame], copy: bool, yields_errors: bool) -> Iterator[Tensors | InputError]:
        for number, frame in enumerate(frames):
            try:
                tensors = frame_tensors(frame, self._inputs, number, copy=copy)
            except InputError as error:
                if not yields_errors:
                    raise
                yield error
            else:
                yield tensors
