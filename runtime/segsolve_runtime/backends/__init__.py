"""What can run a plan's stages: the backends by name, imported when they are asked for."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

from segsolve_runtime.contract.plan import PlanFolder
from segsolve_runtime.contract.runner import StageRunner
from segsolve_runtime.errors import BackendError
from segsolve_runtime.flow.clock import Clocks

if TYPE_CHECKING:
    from segsolve_runtime.backends.isolated.runner import Household

Isolation: TypeAlias = Literal["auto", "all", "none"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendOptions:
    """How to open a plan's stages.

    `threads` are LiteRT's per stage. `devices` are those to use, such as ``usb:0``; the first ones if none are named.
    `isolate` says which stages run in processes of their own: with ``auto`` those on USB, whose driver ends its process
    when a transfer fails. `shared` are the processes of devices, by their names, that stages of other plans live on,
    too.
    """

    threads: int = 1
    devices: tuple[str, ...] = ()
    isolate: Isolation = "auto"
    shared: Mapping[str, Household] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.isolate not in get_args(Isolation):
            raise ValueError(f"isolate is {self.isolate!r}; known are: {', '.join(get_args(Isolation))}")

    def isolates(self, kind: Literal["usb", "pci", "cpu"]) -> bool:
        """Whether a stage on a device of this kind has a process of its own."""
        return os.name == "posix" and (self.isolate == "all" or (self.isolate == "auto" and kind == "usb"))


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenStages:
    """A plan's stages ready to run: a runner for each of its `places`, in their order."""

    runners: tuple[StageRunner, ...]
    clocks: Clocks


BACKENDS: Mapping[str, str] = {
    "edgetpu": "segsolve_runtime.backends.edgetpu.stages",
    "emulated": "segsolve_runtime.backends.emulated",
    "litert": "segsolve_runtime.backends.litert",
    "simulated": "segsolve_runtime.backends.simulated",
}
"""The module of each, whose `open_stages` takes a plan's folder and options."""


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
    stages: OpenStages = import_module(BACKENDS[name]).open_stages(folder, options)
    return stages
