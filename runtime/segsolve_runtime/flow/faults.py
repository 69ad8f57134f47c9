"""What a run does when a stage raises, hangs or loses its device, and what it remembers of that."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Literal, TypeAlias, get_args

from segsolve_runtime.contract.places import Place
from segsolve_runtime.errors import DeviceLostError, StageTimeoutError

MOST_FAULTS = 1_000
OnFault: TypeAlias = Literal["stop", "skip", "retry", "give-back"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultPolicy:
    """What to do about faults.

    ``stop``: the first fault ends the run. ``skip``: the inference fails alone, and the run goes on with the devices
    that are left. ``retry``: as ``skip``, but an inference is tried again before it fails, where it has not failed yet
    if there is such a device. ``give-back``: as ``retry``, until a device is lost; then what is under way is brought to
    its end, and the run gives back the frames that were not done, for another plan.

    An inference that failed `attempts` times is given up. A device is lost when its runner says so, when it takes
    longer than `stage_timeout_s` for an inference, or when `strikes` inferences failed there, with none done between,
    and all were done elsewhere: a frame that fails everywhere says nothing of a device.

    With `rejoin_s`, a device that was lost is opened again as soon as that succeeds, if its runner can do that. Where
    no pipeline is whole meanwhile, inferences wait for so many seconds before the run fails. An inference that lost its
    device counts as failed then: a frame that ends every process that gets it must not come again for ever.
    """

    on_fault: OnFault = "stop"
    attempts: int = 3
    strikes: int = 3
    stage_timeout_s: float | None = None
    rejoin_s: float | None = None

    def __post_init__(self) -> None:
        if self.on_fault not in get_args(OnFault):
            raise ValueError(f"on_fault is {self.on_fault!r}; known are: {', '.join(get_args(OnFault))}")
        if min(self.attempts, self.strikes) < 1:
            raise ValueError("an inference needs at least 1 attempt, and a device at least 1 strike")
        if self.stage_timeout_s is not None and self.stage_timeout_s <= 0:
            raise ValueError(f"the stage timeout is {self.stage_timeout_s} s; it must be positive")
        if self.rejoin_s is not None and self.rejoin_s <= 0:
            raise ValueError(f"a lost device is waited for {self.rejoin_s} s; it must be positive")

    @property
    def rejoins(self) -> bool:
        """Whether lost devices are opened again."""
        return self.rejoin_s is not None and self.on_fault in ("skip", "retry")

    @property
    def keeps_inputs(self) -> bool:
        """Whether an inference may have to begin again."""
        return self.on_fault != "stop"

    @property
    def tries(self) -> int:
        """How often an inference may fail before it is given up."""
        return self.attempts if self.on_fault in ("retry", "give-back") else 1


class FaultKind(StrEnum):
    """What went wrong at a place."""

    RAISED = "raised"
    HUNG = "hung"
    LOST = "device lost"
    REJOINED = "device back"
    """No fault, but the end of one."""


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


class FaultLog:
    """Counts faults, and remembers the latest."""

    def __init__(self) -> None:
        self.counts: dict[FaultKind, int] = {kind: 0 for kind in FaultKind if kind is not FaultKind.REJOINED}
        self.latest: deque[Fault] = deque(maxlen=MOST_FAULTS)

    def add(self, fault: Fault) -> None:
        """Remember a fault."""
        self.counts[fault.kind] += 1
        self.latest.append(fault)

    def rejoined(self) -> None:
        """Count a device that is back."""
        self.counts[FaultKind.REJOINED] = self.counts.get(FaultKind.REJOINED, 0) + 1

    def retired(self, place: Place) -> None:
        """Note that a place is out of use since its latest fault."""
        for k in reversed(range(len(self.latest))):
            if self.latest[k].place == place:
                self.latest[k] = replace(self.latest[k], retired=True)
                return


def kind_of(cause: BaseException) -> FaultKind:
    """Return what an exception of a place means."""
    if isinstance(cause, StageTimeoutError):
        return FaultKind.HUNG
    return FaultKind.LOST if isinstance(cause, DeviceLostError) else FaultKind.RAISED
