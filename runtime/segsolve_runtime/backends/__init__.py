"""What can run a stage: one protocol, and the backends by name, imported when they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from segsolve_runtime.arrays import Array
from segsolve_runtime.clock import ClockFactory
from segsolve_runtime.errors import BackendError
from segsolve_runtime.plan import PlanFolder


class StageRunner(Protocol):
    """Runs one segment, in one thread at a time."""

    def run(self, tensors: Mapping[str, Array]) -> dict[str, Array]:
        """Return new arrays for all outputs of the segment, given all of its inputs, by name."""
        ...

    def close(self) -> None:
        """Give back what the runner holds; it is not used afterwards."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenStages:
    """A plan's stages ready to run."""

    runners: tuple[StageRunner, ...]
    clocks: ClockFactory


def _litert(folder: PlanFolder, threads: int) -> OpenStages:
    from segsolve_runtime.backends import litert

    return litert.open_stages(folder, threads)


def _simulated(folder: PlanFolder, threads: int) -> OpenStages:
    from segsolve_runtime.backends import simulated

    return simulated.open_stages(folder.plan)


BACKENDS: Mapping[str, Callable[[PlanFolder, int], OpenStages]] = {
    "litert": _litert,
    "simulated": _simulated,
}


def open_stages(name: str, folder: PlanFolder, threads: int) -> OpenStages:
    """Open every stage of a plan on the backend called `name`, with `threads` threads per stage.

    Raises:
        BackendError: no backend has this name.
        PlanError: a segment cannot be loaded, or is not what the plan says.
    """
    if name not in BACKENDS:
        raise BackendError(f"there is no backend {name!r}; known are: {', '.join(sorted(BACKENDS))}")
    return BACKENDS[name](folder, threads)
