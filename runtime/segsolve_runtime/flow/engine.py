"""What moves inferences through a plan's stages, as a run sees it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Protocol

from segsolve_runtime.contract.places import Place
from segsolve_runtime.contract.plan import Plan
from segsolve_runtime.contract.runner import StageRunner
from segsolve_runtime.errors import StageError
from segsolve_runtime.flow.clock import Clocks
from segsolve_runtime.flow.faults import FaultLog, FaultPolicy
from segsolve_runtime.flow.job import Job
from segsolve_runtime.flow.metrics import StageView
from segsolve_runtime.flow.rejoin import Rejoining
from segsolve_runtime.flow.schedule import Slot
from segsolve_runtime.flow.sharing import Resident


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What all runs of a pipeline share. `retired` are the places that were lost in earlier runs, and why."""

    plan: Plan
    runners: Mapping[Place, StageRunner]
    clocks: Clocks
    queue_size: int
    policy: FaultPolicy
    recorded: int | None
    retired: dict[Place, str]
    rejoining: Rejoining
    lingering: dict[Place, threading.Thread] = field(default_factory=dict)
    """Threads that had not come to their end when their run did: their runners are left alone."""
    shared: Mapping[Place, Resident] = field(default_factory=dict)
    """The devices of places that other pipelines use, too."""
    parts: tuple[Fraction, ...] = ()
    """What each pipeline does of all inferences; nothing where its stages' times say it."""

    def lingers(self, place: Place) -> bool:
        """Whether a thread of an earlier run is still at work at a place."""
        thread = self.lingering.get(place)
        return thread is not None and thread.is_alive()


class Engine(Protocol):
    """Takes inferences and hands each back when it is done; made for one run."""

    faults: FaultLog
    failure: StageError | None
    """Why nothing more is begun."""
    gives_back: bool
    """Whether devices were lost, and what is not done is to be given back (`is_drained`)."""

    def start(self) -> None:
        """Begin (DevicesLeftError if so many devices were lost before that no pipeline is whole)."""
        ...

    def close(self) -> None:
        """Let every place end its current inference, and wait for that; one that hangs is left alone."""
        ...

    def now(self) -> int:
        """Return the ns since the run began."""
        ...

    def offer(self, job: Job) -> None:
        """Take an inference."""
        ...

    def has_room(self) -> bool:
        """Whether fewer inferences wait for a first stage than may."""
        ...

    def waiting(self) -> int:
        """Return how many wait for a first stage."""
        ...

    def is_drained(self, undone: int) -> bool:
        """Whether, where it is to be given back, nothing moves any more of so many that are not done."""
        ...

    def tell_when_taken(self, below: int) -> None:
        """Tell, once, when an inference has begun and fewer than so many wait."""
        ...

    def done(self) -> None:
        """Note that the result of one was taken, where that makes room."""
        ...

    def withdraw(self, most: int) -> list[Job]:
        """Take inferences away that have not begun, the oldest first."""
        ...

    def stages(self) -> Sequence[StageView]:
        """Return what the stages' records say now."""
        ...

    def slots(self) -> list[Slot]:
        """Return which inference ran where and when, as far as that is recorded."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Ends:
    """What an engine tells its run, in any thread: an inference is done or failed, one was taken, or a fault was."""

    finish: Callable[[Job], None]
    taken: Callable[[], None]
    stir: Callable[[], None]
