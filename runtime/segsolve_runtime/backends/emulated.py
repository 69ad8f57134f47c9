"""Real outputs from LiteRT, each stage held to its predicted time on the real clock: a plan's devices, to be watched.

Waking up takes the system some time, and so does handing on a result. A stage that follows at once on its last
inference therefore counts from the end that this should have had: what was late is made up for, and does not add up.
"""

from __future__ import annotations

from collections.abc import Mapping
from time import perf_counter_ns, sleep

from segsolve_runtime.arrays import Array
from segsolve_runtime.backends import OpenStages, StageRunner
from segsolve_runtime.backends import litert as cpu
from segsolve_runtime.clock import wall_clocks
from segsolve_runtime.places import places, stage_at
from segsolve_runtime.plan import PlanFolder

_MADE_UP_FOR_NS = 2_000_000


class PacedRunner:
    """Runs another runner, and returns when the predicted time has passed; later, if the other takes longer."""

    def __init__(self, inner: StageRunner, time_ns: int) -> None:
        self._inner, self._time_ns = inner, time_ns
        self._due_ns = 0

    def run(self, tensors: Mapping[str, Array]) -> dict[str, Array]:
        """Return the other runner's outputs, not before they are due."""
        now_ns = perf_counter_ns()
        begin_ns = self._due_ns if 0 <= now_ns - self._due_ns < _MADE_UP_FOR_NS else now_ns
        outputs = self._inner.run(tensors)
        self._due_ns = begin_ns + self._time_ns
        if (left_ns := self._due_ns - perf_counter_ns()) > 0:
            sleep(left_ns / 1e9)
        return outputs

    def close(self) -> None:
        """Close the other runner."""
        self._inner.close()


def open_stages(folder: PlanFolder, threads: int) -> OpenStages:
    """Load a segment for every place of a plan, and hold it to the plan's prediction.

    Raises:
        PlanError: a segment cannot be loaded, or its inputs or outputs are not those of the plan.
    """
    opened = cpu.open_stages(folder, threads).runners
    times_ns = [stage_at(folder.plan, place).prediction.time_ns for place in places(folder.plan)]
    runners = tuple(PacedRunner(runner, ns) for runner, ns in zip(opened, times_ns, strict=True))
    return OpenStages(runners=runners, clocks=wall_clocks)
