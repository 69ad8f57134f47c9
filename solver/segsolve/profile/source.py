"""The protocol of everything that turns a network into costs."""

from __future__ import annotations

from typing import Protocol

from segsolve.problem import Problem
from segsolve_runtime.contract.start import Start


class DeviceFacts(Protocol):
    """What a plan's file says of the device that its predictions rest on."""

    @property
    def name(self) -> str:
        """The device's name."""
        ...

    @property
    def memory_bytes(self) -> int:
        """Its memory for weights and activations."""
        ...

    @property
    def ranges(self) -> tuple[tuple[str, float, float], ...]:
        """How far its times may be off, by regime; empty if nothing is known."""
        ...

    @property
    def is_optimistic(self) -> bool:
        """Whether what no rule is known for takes none of its memory."""
        ...

    @property
    def start(self) -> Start | None:
        """What it takes before its first result; None if nothing is known."""
        ...


class CostSource(Protocol):
    """Makes the problem of spreading one network over identical devices."""

    @property
    def device(self) -> DeviceFacts:
        """The device that the costs are those of."""
        ...

    def problem(self, *, tpus: int, no_spill: bool = False) -> Problem:
        """Return the problem for a number of TPUs; ns and bytes."""
        ...
