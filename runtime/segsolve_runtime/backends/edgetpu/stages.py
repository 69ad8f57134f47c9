"""Compiled segments on Edge TPUs, one device for each; stages that the plan leaves to the CPU on LiteRT.

Written against the documented interfaces and tested against a stand-in of them: never run on hardware.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from segsolve_runtime.backends import BackendOptions, OpenStages
from segsolve_runtime.backends.edgetpu.choose import choose_devices
from segsolve_runtime.backends.edgetpu.library import AttachedDevice, open_library
from segsolve_runtime.backends.edgetpu.mappings import check_mappings
from segsolve_runtime.backends.edgetpu.open import OpenedDevice, claim, opened_with_patience, release
from segsolve_runtime.backends.isolated.child import Recipe
from segsolve_runtime.backends.isolated.runner import Household, IsolatedRunner
from segsolve_runtime.backends.litert import LiteRTRunner, on_cpu
from segsolve_runtime.contract.arrays import Array, ArraySpec, array_specs, select
from segsolve_runtime.contract.compiled import compiled_path
from segsolve_runtime.contract.places import places, stage_at
from segsolve_runtime.contract.plan import PlanFolder
from segsolve_runtime.contract.runner import StageRunner
from segsolve_runtime.errors import DeviceLostError


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


class EdgeTpuProcess(IsolatedRunner):
    """One compiled segment on one Edge TPU, in its own process: of a USB device that fails, libedgetpu ends it."""

    def __init__(
        self,
        device: AttachedDevice,
        segment: Path,
        inputs: Sequence[ArraySpec],
        outputs: Sequence[ArraySpec],
        threads: int,
        household: Household | None = None,
    ) -> None:
        shares = household is not None
        claim(device, shares=shares)
        self._device = device
        arguments = (device, segment, inputs, outputs, threads, shares)
        recipe = Recipe(function=f"{__name__}:on_device", arguments=arguments)
        super().__init__(recipe, inputs, outputs, what=f"the Edge TPU {device}", household=household)

    @property
    def device(self) -> str:
        """The path of the device, which stays the same when others come and go."""
        return self._device.path

    def open(self) -> None:
        """Open the device, with patience (errors as for `IsolatedRunner.open`)."""
        opened_with_patience(self._device, self._open_once)

    def _open_once(self) -> None:
        if not self.is_started:
            self.start()
        super().open()

    def close(self) -> None:
        """End the process and give the device back."""
        super().close()
        release(self._device)


def on_device(
    device: AttachedDevice,
    segment: Path,
    inputs: Sequence[ArraySpec],
    outputs: Sequence[ArraySpec],
    threads: int,
    shares: bool = False,
) -> EdgeTpuRunner:
    """Open a compiled segment on a device of this process, which it may share with others compiled together with it.

    Raises:
        HardwareError: the device or the library is missing or cannot be used.
        PlanError: the segment is not what its specifications say.
    """
    opened = OpenedDevice(open_library(), device, segment, threads, shares=shares)
    try:
        return EdgeTpuRunner(opened, segment, inputs, outputs, threads)
    except BaseException:
        opened.close()
        raise


def open_stages(folder: PlanFolder, options: BackendOptions) -> OpenStages:
    """Open every place of a plan, on the devices that are named in the plan's order, or the first that are attached.

    Threads are for CPU stages, and for operations that the compiler left to the CPU. Devices on USB have a process
    each, all of them have with ``isolate="all"``.

    Raises:
        PlanError: a segment is not compiled, or not what the plan says.
        HardwareError: libedgetpu or a device is missing or cannot be used, or more is asked of its driver than it has.
        BackendError: the names do not fit the plan.
    """
    stages = [stage_at(folder.plan, place) for place in places(folder.plan)]
    segments = {s.file: compiled_path(folder, s) for s in stages if s.processor == "edgetpu"}
    needed = [stage for stage in stages if stage.processor == "edgetpu"]
    library = open_library() if needed else None
    chosen = choose_devices(library, len(needed), options.devices) if library else ()
    specs = array_specs(folder.plan)
    check_mappings([(device, segments[s.file]) for device, s in zip(chosen, needed, strict=True)])
    devices = iter(chosen)
    names = iter(options.devices or [device.name for device in chosen])
    with ExitStack() as opened:
        runners: list[StageRunner] = []
        for stage in stages:
            if stage.processor == "cpu":
                runner: StageRunner = on_cpu(folder, stage, specs, options)
            else:
                inputs, outputs = select(specs, stage.inputs), select(specs, stage.outputs)
                household = options.shared.get(next(names))
                runner = _placed(next(devices), segments[stage.file], inputs, outputs, options, household)
            opened.callback(runner.close)
            runners.append(runner)
        for runner in runners:  # their processes got ready meanwhile
            if isinstance(runner, IsolatedRunner):
                runner.open()
        opened.pop_all()
    return OpenStages(runners=tuple(runners), clocks="wall")


def _placed(
    device: AttachedDevice,
    segment: Path,
    inputs: Sequence[ArraySpec],
    outputs: Sequence[ArraySpec],
    options: BackendOptions,
    household: Household | None,
) -> StageRunner:
    if options.isolates(device.kind):
        return EdgeTpuProcess(device, segment, inputs, outputs, options.threads, household)
    shares = household is not None
    return opened_with_patience(device, lambda: on_device(device, segment, inputs, outputs, options.threads, shares))
