"""What runs a stage: all that a pipeline asks of a backend."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from segsolve_runtime.contract.arrays import Array


class StageRunner(Protocol):
    """Runs one segment, in one thread at a time."""

    def run(self, tensors: Mapping[str, Array]) -> dict[str, Array]:
        """Return new arrays for all outputs of the segment, given all of its inputs, by name."""
        ...

    def close(self) -> None:
        """Give back what the runner holds; it is not used afterwards."""
        ...


@runtime_checkable
class Reopenable(Protocol):
    """What a runner can do besides if it does not share its process with its pipeline."""

    def abandon(self) -> None:
        """End what runs, from any thread: whoever waits for it gets a DeviceLostError."""
        ...

    def reopen(self) -> None:
        """Begin anew after a loss (HardwareError if the device cannot be opened)."""
        ...
