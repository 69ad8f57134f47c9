"""A million inferences through two pipelines with replicas whose stages raise, hang and lose their devices.

Every result must come once, in order, and equal the whole model's. Another part of the run leaves the faults out and
goes through `submit` and dropped frames: memory must stay the same over all of it. At 250 inferences per second, which
is what a large network does on four Edge TPUs, a million is more than an hour's worth.
"""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.common import write_result, zoo_file
from benchmarks.faulty import FaultPlan, FaultyRunner, faulty
from benchmarks.memory import growth_mib, resident_mib
from generators.plan_folders import even_stages, write
from segsolve.graph.read import read_model
from segsolve_runtime.backends import open_stages
from segsolve_runtime.contract.arrays import Array
from segsolve_runtime.contract.frames import random_frames
from segsolve_runtime.contract.plan import PlanFolder
from segsolve_runtime.contract.result import Result
from segsolve_runtime.flow.faults import FaultPolicy
from segsolve_runtime.pipeline import Pipeline

MODEL = "synthetic-dense-8"
INFERENCES = 1_000_000
SAMPLES = 100
RAISE_CHANCE = 1e-4
TIMEOUT_S = 5.0
FRAMES = 16
Frame = dict[str, Array]


def main(inferences: int = INFERENCES) -> None:
    write_result("soak", {"model": MODEL, "raise_chance": RAISE_CHANCE, "seed": 0, **soak(inferences)})


def soak(inferences: int, *, timeout_s: float = TIMEOUT_S) -> dict[str, Any]:
    """Run both parts, and return what happened; an AssertionError is what must not happen."""
    with zoo_file(MODEL) as path, TemporaryDirectory() as scratch:
        loaded = read_model(path)
        pipelines = [even_stages(loaded, 3, [2, 1, 2]), even_stages(loaded, 2, [1, 2])]
        folder = write(loaded, Path(scratch) / "plan", pipelines)
        whole = write(loaded, Path(scratch) / "whole", [even_stages(loaded, 1)])
        frames = list(random_frames(folder.plan, FRAMES, seed=0))
        expected = [_bytes(open_stages("litert", whole).runners[0].run(frame)) for frame in frames]
        return {
            "with_faults": with_faults(folder, frames, expected, inferences, timeout_s),
            "without_faults": without_faults(folder, frames, expected, inferences),
        }


def with_faults(
    folder: PlanFolder, frames: Sequence[Frame], expected: Sequence[bytes], inferences: int, timeout_s: float
) -> dict[str, Any]:
    """Let every place raise now and then; one device is lost after a fifth of its work, another hangs later."""
    opened = open_stages("litert", folder)
    plans = {k: FaultPlan(raise_chance=RAISE_CHANCE, seed=k) for k in range(len(opened.runners))}
    plans[1] = FaultPlan(raise_chance=RAISE_CHANCE, lost_from=inferences // 20, seed=1)
    plans[4] = FaultPlan(raise_chance=RAISE_CHANCE, hangs=frozenset({inferences // 10}), seed=4)
    plans[7] = FaultPlan(raise_chance=RAISE_CHANCE, lost_from=inferences // 8, seed=7)
    runners = faulty(opened.runners, plans)
    policy = FaultPolicy(on_fault="retry", attempts=8, stage_timeout_s=timeout_s)
    with Pipeline(folder.plan, runners, faults=policy) as pipeline:
        begin = time.perf_counter()
        stream = (frames[i % FRAMES] for i in range(inferences))
        memory = _check(pipeline.map(stream, copy=False), expected, inferences)
        seconds, metrics = time.perf_counter() - begin, pipeline.metrics()
        lost = sorted(pipeline.lost.values())
    _let_go(runners)
    injected = sum(runner.faults for runner in runners)
    assert metrics.count == metrics.accepted == inferences
    assert sum(metrics.fault_counts.values()) == injected, "a fault was not noticed"
    return {
        "inferences": inferences,
        "per_second": round(inferences / seconds),
        "faults": metrics.fault_counts,
        "lost": lost,
        "memory_mib": [round(m, 1) for m in memory],
        "memory_growth_mib": round(growth_mib(memory), 2),
    }


def without_faults(
    folder: PlanFolder, frames: Sequence[Frame], expected: Sequence[bytes], inferences: int
) -> dict[str, Any]:
    """Use one pipeline through futures, then with dropped frames."""
    each = inferences // 4
    with Pipeline.load(folder) as pipeline:
        memory = _check(_submitted(pipeline, frames, each), expected, each)
        received, last = 0, -1
        for result in pipeline.map((frames[i % FRAMES] for i in range(each)), drop="oldest", copy=False):
            assert result.number > last, "a result came twice or too late"
            assert _bytes(result) == expected[result.number % FRAMES], "a result differs from the whole model's"
            received, last = received + 1, result.number
            if received % max(1, each // SAMPLES) == 0:
                memory.append(resident_mib())
        dropped = pipeline.metrics().dropped
    assert received + dropped == each, "a frame is neither done nor dropped"
    return {
        "submitted": each,
        "offered_while_dropping": each,
        "done": received,
        "dropped": dropped,
        "memory_growth_mib": round(growth_mib(memory), 2),
    }


def _submitted(pipeline: Pipeline, frames: Sequence[Frame], count: int) -> Iterator[Result]:
    under_way: deque[Future[Result]] = deque()
    for i in range(count):
        under_way.append(pipeline.submit(frames[i % FRAMES], copy=False))
        if len(under_way) > FRAMES:
            yield under_way.popleft().result()
    while under_way:
        yield under_way.popleft().result()


def _check(results: Iterator[Result], expected: Sequence[bytes], inferences: int) -> list[float]:
    """Take all results, check each, and return samples of the memory."""
    memory, count = [], 0
    for result in results:
        assert result.number == count, "a result is missing, comes twice or out of order"
        assert _bytes(result) == expected[count % FRAMES], "a result differs from the whole model's"
        count += 1
        if count % max(1, inferences // SAMPLES) == 0:
            memory.append(resident_mib())
    assert count == inferences, "inferences were lost"
    return memory


def _let_go(runners: Sequence[FaultyRunner]) -> None:
    for runner in runners:
        runner.let_go()


def _bytes(outputs: Mapping[str, Array]) -> bytes:
    return b"".join(array.tobytes() for array in outputs.values())


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
