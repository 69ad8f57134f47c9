"""What a process of its own costs a stage: time and CPU per hop, and throughput of pipelines on the CPU.

Runs with and without processes take turns, so that what else the machine does hits both alike. CPU time is that of the
parent and the child together.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks.common import write_result, zoo_file
from generators.plan_folders import even_stages, write
from segsolve.graph.read import read_model
from segsolve_runtime import Pipeline
from segsolve_runtime.backends import Isolation
from segsolve_runtime.backends.isolated.child import Recipe
from segsolve_runtime.backends.isolated.runner import IsolatedRunner
from segsolve_runtime.backends.simulated import SimulatedRunner
from segsolve_runtime.contract.arrays import ArraySpec
from segsolve_runtime.contract.frames import random_frames

SIZES = (1_000, 150_000, 1_200_000)
MODELS = {"mobilenetv2": 2, "squeezenet1.1": 6}
TRIALS, RUNS = 7, 500


def main(trials: int = TRIALS, runs: int = RUNS) -> None:
    rows = [hop_row(size, trials, runs) for size in SIZES]
    models = [model_row(name, stages, trials) for name, stages in MODELS.items()]
    write_result(
        "isolation", {"trials": trials, "runs": runs, "hops": rows, "start": start_row(trials), "models": models}
    )


def nothing(outputs: tuple[ArraySpec, ...]) -> SimulatedRunner:
    """Return a runner that makes zeros: all that is measured is the way there and back."""
    return SimulatedRunner(outputs)


def hop_row(size: int, trials: int, runs: int) -> dict[str, Any]:
    """Return what one run of a stage that does nothing costs, with `size` bytes in and out."""
    runner = _opened(size)
    frame = {"in": np.zeros(size, np.int8)}
    inside = nothing(_specs("out", size))
    try:
        walls, cpus, bare = [], [], []
        for _ in range(trials):
            wall, cpu = time.perf_counter(), _cpu_s(runner.pid)
            for _ in range(runs):
                runner.run(frame)
            walls.append((time.perf_counter() - wall) / runs)
            cpus.append((_cpu_s(runner.pid) - cpu) / runs)
            wall = time.perf_counter()
            for _ in range(runs):
                inside.run(frame)
            bare.append((time.perf_counter() - wall) / runs)
    finally:
        runner.close()
    return {
        "bytes_in_and_out": size,
        "wall_us": round(1e6 * median(walls), 1),
        "cpu_us": round(1e6 * median(cpus), 1),
        "in_process_wall_us": round(1e6 * median(bare), 1),
    }


def start_row(trials: int) -> dict[str, Any]:
    """Return how long a process takes to be ready, and its memory."""
    seconds, mib = [], []
    for _ in range(trials):
        begin = time.perf_counter()
        runner = _opened(1_000)
        seconds.append(time.perf_counter() - begin)
        status = Path(f"/proc/{runner.pid}/status").read_text(encoding="utf-8")
        mib.append(int(status.split("RssAnon:")[1].split(maxsplit=1)[0]) / 1024)
        runner.close()
    return {"seconds": round(median(seconds), 2), "private_mib": round(median(mib), 1)}


def model_row(name: str, stages: int, trials: int) -> dict[str, Any]:
    """Return the throughput of a network's pipeline with processes, as a share of that without."""
    kinds: tuple[Isolation, Isolation] = ("none", "all")
    with zoo_file(name) as path, TemporaryDirectory() as scratch:
        loaded = read_model(path)
        folder = write(loaded, Path(scratch) / "plan", [even_stages(loaded, stages)])
        frames = list(random_frames(folder.plan, 100, seed=0))
        ratios, rates = [], []
        with Pipeline.load(folder, isolate="none") as bare, Pipeline.load(folder, isolate="all") as isolated:
            for _ in range(trials):
                found = {}
                for kind, pipeline in zip(kinds, (bare, isolated), strict=True):
                    for _ in pipeline.map(frames, copy=False):
                        pass
                    found[kind] = pipeline.metrics().throughput_fps
                ratios.append(found["all"] / found["none"])
                rates.append(found["none"])
    return {
        "model": name,
        "stages": stages,
        "fps_in_one_process": round(median(rates), 1),
        "throughput_ratio": round(median(ratios), 3),
    }


def _opened(size: int) -> IsolatedRunner:
    recipe = Recipe(function="benchmarks.isolation:nothing", arguments=(_specs("out", size),))
    runner = IsolatedRunner(recipe, _specs("in", size), _specs("out", size), what="a stage")
    runner.open()
    return runner


def _specs(name: str, size: int) -> tuple[ArraySpec, ...]:
    return (ArraySpec(name=name, dtype=np.dtype(np.int8), shape=(size,)),)


def _cpu_s(pid: int | None) -> float:
    """Return the CPU time of this process and a child."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return time.process_time() + (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
