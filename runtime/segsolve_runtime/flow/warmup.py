"""The first inference of a stage, which also brings its weights to where they belong, before anything is timed."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from time import monotonic

import numpy as np

from segsolve_runtime.contract.arrays import Array, ArraySpec, array_specs, select
from segsolve_runtime.contract.places import Place, stage_at
from segsolve_runtime.contract.plan import Plan
from segsolve_runtime.contract.runner import Reopenable, StageRunner
from segsolve_runtime.errors import StageTimeoutError
from segsolve_runtime.flow.worker import THREAD_NAME


@dataclass
class _Start:
    """One place's first inferences, in a thread of its own."""

    place: Place
    runner: StageRunner
    zeros: Mapping[str, Array]
    inferences: int
    fault: Exception | None = None
    thread: threading.Thread = field(init=False)

    def __post_init__(self) -> None:
        self.thread = threading.Thread(target=self._run, name=f"{THREAD_NAME}warm-up", daemon=True)
        self.thread.start()

    def _run(self) -> None:
        try:
            for _ in range(self.inferences):
                self.runner.run(self.zeros)
        except Exception as fault:
            self.fault = fault


def warm_up(
    plan: Plan,
    runners: Mapping[Place, StageRunner],
    inferences: int,
    timeout_s: float | None,
    lingering: dict[Place, threading.Thread],
) -> dict[Place, Exception]:
    """Run every place `inferences` times on zeros, all at once; return what went wrong where.

    A place that is not done within `timeout_s` has a StageTimeoutError; its thread is left alone, and noted in
    `lingering`.
    """
    specs = array_specs(plan)
    starts = [
        _Start(place, runner, _zeros(select(specs, stage_at(plan, place).inputs)), inferences)
        for place, runner in runners.items()
    ]
    deadline = None if timeout_s is None else monotonic() + timeout_s
    for start in starts:
        start.thread.join(None if deadline is None else max(0.0, deadline - monotonic()))
        if start.thread.is_alive():
            lingering[start.place] = start.thread
            start.fault = StageTimeoutError(f"it took longer than {timeout_s:g} s")
            if isinstance(start.runner, Reopenable):
                start.runner.abandon()
    return {start.place: start.fault for start in starts if start.fault is not None}


def _zeros(specs: Iterable[ArraySpec]) -> dict[str, Array]:
    return {spec.name: np.zeros(spec.shape, spec.dtype) for spec in specs}
