"""What can run a plan's stages: the backends by name, imported when they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from segsolve_runtime.contract.plan import PlanFolder
from segsolve_runtime.contract.runner import StageRunner
from segsolve_runtime.errors import BackendError
from segsolve_runtime.flow.clock import ClockFactory


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendOptions:
    """LiteRT threads per stage, and the devices to use, such as ``usb:0``; the first ones if none are named."""

    threads: int = 1
    devices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenStages:
    """A plan's stages ready to run: a runner for each of its `places`, in their order."""

    runners: tuple[StageRunner, ...]
    clocks: ClockFactory


def _emulated(folder: PlanFolder, options: BackendOptions) -> OpenStages:
    from segsolve_runtime.backends import emulated

    return emulated.open_stages(folder, options.threads)


def _litert(folder: PlanFolder, options: BackendOptions) -> OpenStages:
    from segsolve_runtime.backends import litert

    return litert.open_stages(folder, options.threads)


def _simulated(folder: PlanFolder, options: BackendOptions) -> OpenStages:
    from segsolve_runtime.backends import simulated

    return simulated.open_stages(folder.plan)


def _edgetpu(folder: PlanFolder, options: BackendOptions) -> OpenStages:
    from segsolve_runtime.backends.edgetpu import stages

    return stages.open_stages(folder, options.threads, options.devices)


BACKENDS: Mapping[str, Callable[[PlanFolder, BackendOptions], OpenStages]] = {
    "edgetpu": _edgetpu,
    "emulated": _emulated,
    "litert": _litert,
    "simulated": _simulated,
}


def open_stages(name: str, folder: PlanFolder, options: BackendOptions | None = None) -> OpenStages:
    """Open every place of a plan on the backend called `name`.

    Raises:
        BackendError: no backend has this name, or it has not the devices that the options name.
        HardwareError: an Edge TPU, or what drives it, is missing or cannot be used.
        PlanError: a segment cannot be loaded, or is not what the plan says.
    """
    if name not in BACKENDS:
        raise BackendError(f"there is no backend {name!r}; known are: {', '.join(sorted(BACKENDS))}")
    options = options or BackendOptions()
    if options.devices and name != "edgetpu":
        raise BackendError(f"the backend {name!r} has no devices to choose; they are for edgetpu")
    return BACKENDS[name](folder, options)
