"""Compiled segments on Edge TPUs, one device for each; stages that the plan leaves to the CPU on LiteRT.

Written against the documented interfaces and tested against a stand-in of them: never run on hardware.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from segsolve_runtime.backends import OpenStages
from segsolve_runtime.backends.edgetpu.choose import choose_devices
from segsolve_runtime.backends.edgetpu.library import AttachedDevice, EdgeTpuLibrary, open_library
from segsolve_runtime.backends.edgetpu.open import OpenedDevice
from segsolve_runtime.backends.litert import LiteRTRunner, open_stage
from segsolve_runtime.contract.arrays import Array, ArraySpec, array_specs, select
from segsolve_runtime.contract.compiled import compiled_path
from segsolve_runtime.contract.places import places, stage_at
from segsolve_runtime.contract.plan import PlanFolder, Stage
from segsolve_runtime.contract.runner import StageRunner
from segsolve_runtime.errors import DeviceLostError
from segsolve_runtime.flow.clock import wall_clocks


class EdgeTpuRunner(LiteRTRunner):
    """One compiled segment on one Edge TPU."""

    def __init__(
        self, opened: OpenedDevice, path: Path, inputs: Sequence[ArraySpec], outputs: Sequence[ArraySpec], threads: int
    ) -> None:
        super().__init__(path, inputs, outputs, threads, opened.interpreter)
        self._opened = opened

    @property
    def device(self) -> str:
        """The path of the device, which stays the same when others come and go."""
        return self._opened.device.path

    def run(self, tensors: Mapping[str, Array]) -> dict[str, Array]:
        """Return copies of the segment's outputs by name (DeviceLostError if the device is gone)."""
        try:
            return super().run(tensors)
        except RuntimeError as error:
            if self._opened.is_gone:
                raise DeviceLostError(f"the Edge TPU {self._opened.device} is gone") from error
            raise

    def close(self) -> None:
        """Give the device back."""
        super().close()
        self._opened.close()


def open_stages(folder: PlanFolder, threads: int, names: Sequence[str] = ()) -> OpenStages:
    """Open every place of a plan, on the devices called `names` in the plan's order, or on the first that are attached.

    `threads` are for CPU stages, and for operations that the compiler left to the CPU.

    Raises:
        PlanError: a segment is not compiled, or not what the plan says.
        HardwareError: libedgetpu or a device is missing or cannot be used.
        BackendError: the names do not fit the plan.
    """
    stages = [stage_at(folder.plan, place) for place in places(folder.plan)]
    segments = {s.file: compiled_path(folder, s) for s in stages if s.processor == "edgetpu"}
    needed = sum(stage.processor == "edgetpu" for stage in stages)
    library = open_library() if needed else None
    devices = iter(choose_devices(library, needed, names) if library else ())
    specs = array_specs(folder.plan)
    with ExitStack() as opened:
        runners: list[StageRunner] = []
        for stage in stages:
            if stage.processor == "cpu" or library is None:
                runners.append(open_stage(folder, stage, specs, threads))
            else:
                runners.append(_on_device(stage, segments[stage.file], specs, threads, library, next(devices)))
            opened.callback(runners[-1].close)
        opened.pop_all()
    return OpenStages(runners=tuple(runners), clocks=wall_clocks)


def _on_device(
    stage: Stage,
    segment: Path,
    specs: Mapping[str, ArraySpec],
    threads: int,
    library: EdgeTpuLibrary,
    device: AttachedDevice,
) -> EdgeTpuRunner:
    opened = OpenedDevice(library, device, segment, threads)
    try:
        return EdgeTpuRunner(opened, segment, select(specs, stage.inputs), select(specs, stage.outputs), threads)
    except BaseException:
        opened.close()
        raise
