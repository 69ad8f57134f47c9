"""Times one segment on one Edge TPU or on the CPU, as a stage of a pipeline runs it."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter_ns
from typing import Literal

import numpy as np

from segsolve_runtime.backends.edgetpu.choose import choose_devices
from segsolve_runtime.backends.edgetpu.library import AttachedDevice, EdgeTpuLibrary, open_library
from segsolve_runtime.backends.edgetpu.stages import EdgeTpuProcess
from segsolve_runtime.backends.litert import LiteRTRunner
from segsolve_runtime.contract.arrays import ArraySpec, tensor_specs
from segsolve_runtime.contract.frames import random_array
from segsolve_runtime.contract.plan import TensorSpec
from segsolve_runtime.contract.runner import StageRunner
from segsolve_runtime.errors import BackendError, HardwareError, PlanError
from segsolve_runtime.flow.metrics import percentile
from segsolve_runtime.measure.bundle import Bundle, BundledSegment, SegmentTimes, Times

BACKENDS = ("edgetpu", "litert")
_TRIES = 3
"""A device that is lost while it is measured is opened again so often."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """How often a segment runs: `warm_up` times, and then `runs` times that count."""

    runs: int = 25
    warm_up: int = 3
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What segments are measured on. On `litert`, the CPU, there is no device."""

    backend: Literal["edgetpu", "litert"]
    library: EdgeTpuLibrary | None = None
    device: AttachedDevice | None = None

    @property
    def name(self) -> str:
        """The device as a user knows it."""
        return "cpu" if self.device is None else self.device.name

    def time(
        self, file: Path, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec], sha256: str, effort: Effort
    ) -> SegmentTimes:
        """Measure a segment, on `edgetpu` a compiled one; `sha256` is that of the segment before it was compiled.

        Raises:
            HardwareError: the device cannot be opened, or is lost again and again.
            PlanError: the segment cannot be loaded, or is another one.
        """
        for left in reversed(range(_TRIES)):
            try:
                return self._time(file, inputs, outputs, sha256, effort)
            except RuntimeError as error:
                raise HardwareError(f"{file} does not run on {self.name}: {error}") from None
            except HardwareError:
                if not left:
                    raise
        raise AssertionError("the last attempt returns or raises")

    def _time(
        self, file: Path, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec], sha256: str, effort: Effort
    ) -> SegmentTimes:
        from segsolve_runtime.errors import DeviceLostError

        takes, makes = tensor_specs(inputs), tensor_specs(outputs)
        generator = np.random.default_rng(effort.seed)
        frame = {
            spec.name: random_array(generator, spec.dtype, spec.shape, low=t.low, high=t.high, values=t.values)
            for spec, t in zip(takes, inputs, strict=True)
        }
        begin = perf_counter_ns()
        runner = self._opened(file, takes, makes)
        try:
            opened = perf_counter_ns()
            runner.run(frame)
            first = perf_counter_ns()
            for _ in range(effort.warm_up):
                runner.run(frame)
            times = []
            for _ in range(effort.runs):
                start = perf_counter_ns()
                runner.run(frame)
                times.append(perf_counter_ns() - start)
        except DeviceLostError as error:
            raise HardwareError(str(error)) from None
        finally:
            runner.close()
        times.sort()
        return SegmentTimes(
            sha256=sha256,
            device=self.name,
            runs=len(times),
            lower_ns=percentile(times, 25),
            median_ns=percentile(times, 50),
            upper_ns=percentile(times, 75),
            first_ns=first - opened,
            open_ns=opened - begin,
        )

    def _opened(self, file: Path, inputs: Sequence[ArraySpec], outputs: Sequence[ArraySpec]) -> StageRunner:
        if self.device is None:
            return LiteRTRunner(file, inputs, outputs, 1)
        runner = EdgeTpuProcess(self.device, file, inputs, outputs, 1)
        try:
            runner.open()
        except BaseException:
            runner.close()
            raise
        return runner


def open_bench(backend: str, device: str | None = None) -> Bench:
    """Return what to measure on: the device of that name, such as ``usb:0``, or the first that is attached.

    Raises:
        BackendError: nothing can be measured there.
        HardwareError: libedgetpu or the device is missing.
    """
    if backend == "litert":
        return Bench(backend="litert")
    if backend != "edgetpu":
        raise BackendError(f"nothing can be measured on {backend!r}; known are: {', '.join(BACKENDS)}")
    library = open_library()
    (chosen,) = choose_devices(library, 1, () if device is None else (device,))
    return Bench(backend="edgetpu", library=library, device=chosen)


def measure_bundle(
    root: Path, bundle: Bundle, bench: Bench, tell: Callable[[BundledSegment, SegmentTimes], None] = lambda s, t: None
) -> Times:
    """Measure all segments of a bundle, one after the other.

    Raises:
        PlanError: one is not compiled, or is another one.
        HardwareError: the device fails.
    """
    if bench.backend == "edgetpu" and (bare := [s.file for s in bundle.segments if s.compiled is None]):
        raise PlanError(f"{root / bare[0]} is not compiled; export the bundle where edgetpu_compiler is installed")
    effort, found = Effort(runs=bundle.runs, warm_up=bundle.warm_up, seed=bundle.seed), []
    for segment in bundle.segments:
        file = segment.compiled if bench.backend == "edgetpu" and segment.compiled else segment.file
        found.append(bench.time(root / file, segment.inputs, segment.outputs, segment.sha256, effort))
        tell(segment, found[-1])
    return Times(
        model_sha256=bundle.model_sha256,
        backend=bench.backend,
        machine=f"{platform.machine()}, {os.cpu_count()} cores",
        system=f"{platform.system()} {platform.release()}",
        date=datetime.now(UTC).date().isoformat(),
        library="" if bench.library is None else bench.library.version,
        times=found,
    )
