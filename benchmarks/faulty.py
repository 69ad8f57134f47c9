"""A backend that fails on purpose: wraps the runners of another, for tests and the soak."""

from __future__ import annotations

import random
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from segsolve_runtime.contract.arrays import Array
from segsolve_runtime.contract.runner import StageRunner
from segsolve_runtime.errors import DeviceLostError


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultPlan:
    """What goes wrong at one place: by the number of its calls, or by chance.

    `raises`, `hangs`: numbers of calls; `lost_from`: the device is gone from this call on. `raise_chance` is the
    probability that a call raises, drawn from a generator of the given `seed`.
    """

    raises: frozenset[int] = frozenset()
    hangs: frozenset[int] = frozenset()
    lost_from: int | None = None
    raise_chance: float = 0.0
    seed: int = 0


@dataclass(kw_only=True)
class FaultyRunner:
    """Runs another runner, except where its plan says otherwise; a call that hangs ends when `let_go` is called."""

    inner: StageRunner
    plan: FaultPlan
    calls: int = 0
    faults: int = 0
    is_closed: bool = False
    _released: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._chance = random.Random(self.plan.seed)

    def run(self, tensors: Mapping[str, Array]) -> dict[str, Array]:
        """Run the other runner, or fail."""
        call, self.calls = self.calls, self.calls + 1
        if self.plan.lost_from is not None and call >= self.plan.lost_from:
            self.faults += 1
            raise DeviceLostError("the device does not answer")
        if call in self.plan.hangs:
            self.faults += 1
            self._released.wait()
        if call in self.plan.raises or self._chance.random() < self.plan.raise_chance:
            self.faults += 1
            raise OSError("injected fault")
        return self.inner.run(tensors)

    def let_go(self) -> None:
        """End the calls that hang."""
        self._released.set()

    def close(self) -> None:
        """Close the other runner."""
        self.is_closed = True
        self.inner.close()


def faulty(runners: Sequence[StageRunner], plans: Mapping[int, FaultPlan]) -> tuple[FaultyRunner, ...]:
    """Wrap runners; those without a plan never fail."""
    return tuple(FaultyRunner(inner=runner, plan=plans.get(k, FaultPlan())) for k, runner in enumerate(runners))
