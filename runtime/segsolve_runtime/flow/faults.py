"""What a run does when a stage raises, hangs or loses its device, and what it remembers of that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, TypeAlias

from segsolve_runtime.contract.places import Place

OnFault: TypeAlias = Literal["stop", "retry", "give-back"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultPolicy:
    """What to do about faults.

    ``stop``: the first fault ends the run. ``retry``: the inference is tried again, on another device where there is
    one, and the run goes on with the devices that are left. ``give-back``: as ``retry``, until a device is lost; then
    the run ends and gives back the frames that were not done, for another plan.

    An inference that failed `attempts` times is given up. A device is lost when its runner says so, after `strikes`
    failures in a row, or when it takes longer than `stage_timeout_s` for an inference.
    """

    on_fault: OnFault = "stop"
    attempts: int = 3
    strikes: int = 3
    stage_timeout_s: float | None = None

    def __post_init__(self) -> None:
        if self.on_fault not in ("stop", "retry", "give-back"):
            raise ValueError(f"on_fault is {self.on_fault!r}; known are: stop, retry, give-back")
        if min(self.attempts, self.strikes) < 1:
            raise ValueError("an inference needs at least 1 attempt, and a device at least 1 strike")
        if self.stage_timeout_s is not None and self.stage_timeout_s <= 0:
            raise ValueError(f"the stage timeout is {self.stage_timeout_s} s; it must be positive")

    @property
    def keeps_inputs(self) -> bool:
        """Whether an inference may have to begin again."""
        return self.on_fault != "stop"


class FaultKind(StrEnum):
    """What went wrong at a place."""

    RAISED = "raised"
    HUNG = "hung"
    LOST = "device lost"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One fault: what, where, on which inference and when; `retired` says that the place is out of use since then."""

    kind: FaultKind
    place: Place
    inference: int
    at_ns: int
    message: str
    retired: bool

    def as_dict(self) -> Mapping[str, str | int | bool]:
        """Return it as plain values, ready for JSON."""
        return {
            "kind": self.kind.value,
            "pipeline": self.place.pipeline,
            "stage": self.place.stage,
            "replica": self.place.replica,
            "inference": self.inference,
            "at_ns": self.at_ns,
            "message": self.message,
            "retired": self.retired,
        }
