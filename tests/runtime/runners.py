"""Stage runners for tests of the pipeline itself, and the threads that it must not leave behind."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from generators.runtime_plans import chain_plan
from segsolve_runtime.contract.arrays import Array
from segsolve_runtime.contract.plan import Plan
from segsolve_runtime.flow.worker import THREAD_NAME
from segsolve_runtime.pipeline import Pipeline

PATIENCE_S = 30


def frame(value: int) -> Array:
    """A frame for `chain_plan` and `lanes_plan`."""
    return np.full(2, value % 100, np.int8)


def stage_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith(THREAD_NAME)]


def in_time(action: Callable[[], object], longest_s: float = PATIENCE_S) -> None:
    """Do something that must come to its end; what does not is left behind, and fails."""
    raised: list[BaseException] = []

    def run() -> None:
        try:
            action()
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(longest_s)
    assert not thread.is_alive(), f"it does not end within {longest_s:g} s"
    if raised:
        raise raised[0]


def wait_for(condition: Callable[[], bool]) -> None:
    pause = threading.Event()
    for _ in range(int(PATIENCE_S / 0.01)):
        if condition():
            return
        pause.wait(0.01)
    raise AssertionError("it did not happen")


class IncrementRunner:
    """Adds 1 to its only input, after `before` was called with the number of the inference."""

    def __init__(self, output: str, before: Callable[[int], object] = lambda number: None) -> None:
        self._output = output
        self._before = before
        self._count = 0
        self.is_closed = False

    def run(self, tensors: Mapping[str, Array]) -> dict[str, Array]:
        self._count += 1
        self._before(self._count - 1)
        (array,) = tensors.values()
        return {self._output: array + array.dtype.type(1)}

    def close(self) -> None:
        self.is_closed = True


class ReturningRunner(IncrementRunner):
    """The same on a device that `reopen` opens again, or says why not."""

    def __init__(
        self, output: str, before: Callable[[int], object], reopen: Callable[[], object] = lambda: None
    ) -> None:
        super().__init__(output, before)
        self._reopen = reopen

    def reopen(self) -> None:
        self._reopen()

    def abandon(self) -> None:
        """Nothing of it hangs."""


def increments(
    stages: int, before: Mapping[int, Callable[[int], object]] | None = None, queue_size: int = 2
) -> tuple[Pipeline, Sequence[IncrementRunner]]:
    """Return a pipeline whose stages each add 1, with hooks `before` at some stages, and its runners."""
    plan: Plan = chain_plan([1] * stages)
    hooks = before or {}
    runners = [
        IncrementRunner(f"t{k + 1}", hooks[k]) if k in hooks else IncrementRunner(f"t{k + 1}") for k in range(stages)
    ]
    return Pipeline(plan, runners, queue_size=queue_size), runners
