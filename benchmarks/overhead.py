"""What the pipeline costs beside LiteRT, per stage and inference, on a model so small that nothing else counts.

The same segments are run by hand, one after the other, in one thread. CPU time of the whole process, which hardly
minds what else the machine does, and wall time; trials alternate.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.common import write_result, zoo_file
from generators.plan_folders import even_stages, write
from segsolve.graph.read import read_model
from segsolve_runtime.backends import open_stages
from segsolve_runtime.contract.frames import random_frames
from segsolve_runtime.contract.plan import PlanFolder
from segsolve_runtime.pipeline import Pipeline

MODEL = "synthetic-dense-8"
INFERENCES, TRIALS = 10_000, 7
LIMIT_US = 30.0


def main() -> None:
    rows = measure(INFERENCES, TRIALS)
    write_result("overhead", {"model": MODEL, "inferences": INFERENCES, "trials": TRIALS, "rows": rows})


def measure(inferences: int, trials: int) -> list[dict[str, Any]]:
    """Return a row per number of stages."""
    with zoo_file(MODEL) as path, TemporaryDirectory() as scratch:
        loaded = read_model(path)
        folders = {k: write(loaded, Path(scratch) / str(k), [even_stages(loaded, k)]) for k in (1, 2, 3, 5)}
        return [_row(folder, inferences, trials) for folder in folders.values()]


def _row(folder: PlanFolder, inferences: int, trials: int) -> dict[str, Any]:
    frames = list(random_frames(folder.plan, 8, seed=0))
    runners = open_stages("litert", folder).runners
    stages = len(runners)

    def by_hand() -> None:
        for i in range(inferences):
            tensors = dict(frames[i % 8])
            for runner in runners:
                tensors |= runner.run(tensors)

    hand, piped = [], []
    with Pipeline.open(folder) as pipeline:

        def through_the_pipeline() -> None:
            for _ in pipeline.map((frames[i % 8] for i in range(inferences)), copy=False):
                pass

        for _ in range(trials):
            hand.append(_timed(by_hand, inferences * stages))
            piped.append(_timed(through_the_pipeline, inferences * stages))
    row = {
        "stages": stages,
        "litert_us": round(median(cpu for cpu, _ in hand), 2),
        "pipeline_cpu_us": round(median(cpu for cpu, _ in piped), 2),
        "overhead_cpu_us": round(median(p[0] - h[0] for p, h in zip(piped, hand, strict=True)), 2),
        "overhead_wall_us": round(median(p[1] - h[1] for p, h in zip(piped, hand, strict=True)), 2),
    }
    print(row)
    return row


def _timed(action: Callable[[], None], parts: int) -> tuple[float, float]:
    """Return CPU and wall time per part in us."""
    cpu, wall = time.process_time(), time.perf_counter()
    action()
    return 1e6 * (time.process_time() - cpu) / parts, 1e6 * (time.perf_counter() - wall) / parts


if __name__ == "__main__":
    main()
