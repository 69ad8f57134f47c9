"""The pipeline: frames in, results out, one thread per stage between them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from segsolve_runtime.arrays import Array, Frame, array_specs, select
from segsolve_runtime.backends import BackendOptions, StageRunner, open_stages
from segsolve_runtime.clock import ClockFactory, wall_clocks
from segsolve_runtime.errors import ClosedError, PlanError
from segsolve_runtime.frames import frame_tensors
from segsolve_runtime.metrics import Metrics
from segsolve_runtime.plan import Plan, load_plan
from segsolve_runtime.routes import routes
from segsolve_runtime.run import Run


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
        clocks: ClockFactory = wall_clocks,
        queue_size: int = 2,
        record: bool = False,
    ) -> None:
        """Take one runner per stage, to be closed with the pipeline.

        At most `queue_size` inferences wait between two stages. With `record`, the metrics hold the timeline
        of every inference, for which memory grows with their number.

        Raises:
            PlanError: an input has an element type that numpy cannot hold, or the plan has replicas.
            ValueError: there is not one runner per stage, or `queue_size` is smaller than 1.
        """
        if len(runners) != len(plan.all_stages):
            raise ValueError(f"{len(runners)} runners were given for {len(plan.all_stages)} stages")
        if queue_size < 1:
            raise ValueError(f"the queue size is {queue_size}; it must be at least 1")
        if len(plan.pipelines) > 1 or any(stage.replicas > 1 for stage in plan.all_stages):
            raise PlanError("the plan has several pipelines or replicated stages, which this release does not run")
        self._plan, self._runners, self._clocks = plan, tuple(runners), clocks
        self._queue_size, self._record = queue_size, record
        self._inputs = select(array_specs(plan), plan.inputs)
        self._routes = routes(plan)
        self._run = self._new_run()
        self._is_closed = False

    @classmethod
    def load(
        cls,
        folder: str | Path,
        *,
        backend: str = "litert",
        threads: int = 1,
        devices: Sequence[str] = (),
        queue_size: int = 2,
        record: bool = False,
    ) -> Self:
        """Open a plan folder on a backend.

        ``litert`` runs it on the CPU, ``edgetpu`` on Edge TPUs: on `devices`, such as ``usb:0`` and ``pci:1``, or on
        the first that are attached. ``simulated`` takes the predicted times on a virtual clock and has no results.

        Raises:
            PlanError: the folder or a segment cannot be used.
            BackendError: no backend has this name, or it has not these devices.
            HardwareError: an Edge TPU, or what drives it, is missing or cannot be used.
            ValueError: `threads` (per stage) or `queue_size` is smaller than 1.
        """
        if threads < 1:
            raise ValueError(f"the number of threads is {threads}; it must be at least 1")
        checked = load_plan(Path(folder))
        stages = open_stages(backend, checked, BackendOptions(threads=threads, devices=tuple(devices)))
        return cls(checked.plan, stages.runners, clocks=stages.clocks, queue_size=queue_size, record=record)

    @property
    def plan(self) -> Plan:
        """The plan that the pipeline runs."""
        return self._plan

    def map(self, frames: Iterable[Frame]) -> Iterator[dict[str, Array]]:
        """Yield for each frame, in order, the model's outputs by name, in the plan's order.

        A frame is a mapping from input names to arrays, or the array itself if the model takes only one; it
        is copied. Frames are pulled in the caller's thread, while results are being pulled and the pipeline
        has room: neither need ever end. An exception, also one that `frames` raises, comes after the results
        of all frames before it. To begin another ``map`` ends this one.

        Raises:
            InputError: a frame does not fit the model's inputs.
            StageError: a stage raised; the original exception is the cause.
            ClosedError: the pipeline was closed, or another ``map`` was begun.
        """
        if self._is_closed:
            raise ClosedError("the pipeline is closed; load it again")
        self._run.close()
        self._run = self._new_run()
        yield from self._run.results(self._tensors(frames))

    def metrics(self) -> Metrics:
        """Return what was measured of the latest ``map``, which may be under way."""
        return self._run.metrics()

    def close(self) -> None:
        """Stop a ``map`` that is under way, join all threads and close all runners."""
        self._is_closed = True
        self._run.close()
        with ExitStack() as stack:
            for runner in self._runners:
                stack.callback(runner.close)
        self._runners = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _new_run(self) -> Run:
        return Run(
            routes=self._routes,
            outputs=self._plan.outputs,
            runners=self._runners,
            clocks=self._clocks([stage.prediction.time_ns for stage in self._plan.all_stages]),
            queue_size=self._queue_size,
            record=self._record,
        )

    def _tensors(self, frames: Iterable[Frame]) -> Iterator[dict[str, Array] | Exception]:
        """Yield each frame's checked copies and, as the last, the exception that ended the frames."""
        try:
            for number, frame in enumerate(frames):
                yield frame_tensors(frame, self._inputs, number)
        except Exception as error:
            yield error
