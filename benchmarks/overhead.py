"""What the pipeline costs beside what a user would write by hand, side by side in one run.

Stages that do nothing show what CPU time the pipelines themselves take; stages that wait, as for a device, show what
that does to the throughput, and to the gap between two runs of the slowest stage. Trials of all pipelines take turns,
so that what else the machine does hits all alike; ratios are medians over trials. CPU time is that of the process; of
the one with processes it is wall time that counts.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks import by_hand
from benchmarks.common import write_result, zoo_file
from generators.plan_folders import even_stages, write
from generators.runtime_plans import Sketch, make_plan
from segsolve.graph.read import read_model
from segsolve_runtime.backends import open_stages
from segsolve_runtime.contract.arrays import Array
from segsolve_runtime.contract.frames import random_frames
from segsolve_runtime.contract.plan import Plan
from segsolve_runtime.pipeline import Pipeline

SHAPE = [1, 56, 56, 24]
STAGES = (1, 2, 4, 6, 8)
STAGE_MS = (0.05, 0.2, 1.0, 3.0, 10.0)
PACED_MS = 0.195
MODELS = {"squeezenet1.1": 6, "mobilenetv2": 2}
TRIALS = 7
Runner = Callable[["Sequence[WaitingRunner]", Iterable[dict[str, Array]]], Iterator[Any]]


class WaitingRunner:
    """Takes its time, as a device does, and gives always the same; notes when it began and ended."""

    def __init__(self, output: str, seconds: float) -> None:
        self._made = {output: np.zeros(SHAPE, np.int8)}
        self._seconds = seconds
        self.spans: list[tuple[int, int]] = []

    def run(self, tensors: Mapping[str, Array]) -> dict[str, Array]:
        begin = time.perf_counter_ns()
        if self._seconds:
            time.sleep(self._seconds)
        self.spans.append((begin, time.perf_counter_ns()))
        return self._made

    __call__ = run

    def close(self) -> None:
        pass


class NothingRunner(WaitingRunner):
    """Does nothing and notes nothing."""

    def run(self, tensors: Mapping[str, Array]) -> dict[str, Array]:
        return self._made

    __call__ = run


def main(trials: int = TRIALS) -> None:
    write_result(
        "overhead",
        {
            "trials": trials,
            "tensor": SHAPE,
            "cpu": [cpu_row(stages, trials, 4_000) for stages in STAGES],
            "waiting": [waiting_row(stages, ms, trials) for ms in STAGE_MS for stages in STAGES if stages > 1],
            "latency": latency_row(6, 200, trials),
            "paced": [paced_row(stages, trials) for stages in (2, 6)],
            "models": [model_row(name, stages, trials) for name, stages in MODELS.items()],
        },
    )


def cpu_row(stages: int, trials: int, inferences: int) -> dict[str, Any]:
    """Return CPU us per stage and inference of stages that do nothing."""
    runners = [NothingRunner(f"t{k + 1}", 0) for k in range(stages)]
    found = _turns(_pipelines(stages), runners, inferences, trials, lambda wall, cpu: 1e6 * cpu / inferences / stages)
    found.pop("processes")
    return _said({"stages": stages, **{f"{name}_us": round(median(v), 2) for name, v in found.items()}})


def waiting_row(stages: int, ms: float, trials: int) -> dict[str, Any]:
    """Return throughput over that of `queue.Queue` threads, and the gap of the slowest stage, the middle one."""
    slowest = stages // 2
    inferences = max(60, round(300 / (ms + 0.1)))
    runners = [WaitingRunner(f"t{k + 1}", ms / 1e3 * (1.2 if k == slowest else 1)) for k in range(stages)]
    gaps: dict[str, list[float]] = {}

    def gap(name: str) -> None:
        spans = runners[slowest].spans
        between = [b[0] - a[1] for a, b in pairwise(spans)]
        if between:
            gaps.setdefault(name, []).append(median(between) / 1e3)
        spans.clear()

    found = _turns(_pipelines(stages), runners, inferences, trials, lambda wall, cpu: inferences / wall, gap)
    base = found["queue"]
    return _said(
        {
            "stages": stages,
            "ms": ms,
            "queue_fps": round(median(base), 1),
            **{
                f"{name}_ratio": round(median(a / b for a, b in zip(rates, base, strict=True)), 3)
                for name, rates in found.items()
                if name != "queue"
            },
            **{f"{name}_gap_us": round(median(values), 1) for name, values in gaps.items() if name != "replicas"},
        }
    )


def latency_row(stages: int, frames: int, trials: int) -> dict[str, Any]:
    """Return the us from a frame's coming to its last stage where nothing else is under way."""
    runners = [NothingRunner(f"t{k + 1}", 0) for k in range(stages - 1)]
    last = WaitingRunner(f"t{stages}", 0)
    found: dict[str, list[float]] = {"queue": [], "simple": [], "pipeline": []}
    came: list[int] = []

    def one_by_one() -> Iterator[dict[str, Array]]:
        for _ in range(frames):
            time.sleep(0.002)
            came.append(time.perf_counter_ns())
            yield _frame()

    pipelines = _pipelines(stages)
    for _ in range(trials):
        for name, values in found.items():
            came.clear()
            last.spans.clear()
            for _ in pipelines[name]([*runners, last], one_by_one()):
                pass
            values += [(end - begin) / 1e3 for begin, (end, _) in zip(came, last.spans, strict=True)]
    return _said({"stages": stages, **{f"{name}_us": round(median(values), 1) for name, values in found.items()}})


def paced_row(stages: int, trials: int) -> dict[str, Any]:
    """Return the us per inference of a plan whose stages are held to a time."""
    plan = _plan(stages, PACED_MS)
    inferences, periods = 2_000, []
    for _ in range(trials):
        runners = [NothingRunner(f"t{k + 1}", 0) for k in range(stages)]
        with Pipeline(plan, runners, clocks="paced") as pipeline:
            for _ in pipeline.map((_frame() for _ in range(inferences)), copy=False):
                pass
            periods.append(pipeline.metrics().elapsed_ns / 1e3 / inferences)
    return _said({"stages": stages, "asked_us": 1e3 * PACED_MS, "us": round(median(periods), 1)})


def model_row(name: str, stages: int, trials: int) -> dict[str, Any]:
    """Return throughput over that of `queue.Queue` threads with a network on LiteRT."""
    with zoo_file(name) as path, TemporaryDirectory() as scratch:
        loaded = read_model(path)
        folder = write(loaded, Path(scratch) / "plan", [even_stages(loaded, stages)])
        frames = list(random_frames(folder.plan, 8, seed=0))
        runners = open_stages("litert", folder).runners
        pipeline = Pipeline(folder.plan, runners)
        carried = [_carrying(runner.run) for runner in runners]
        inferences = 600

        def stream() -> Iterator[dict[str, Array]]:
            return (frames[i % 8] for i in range(inferences))

        runs: dict[str, Callable[[], Iterator[Any]]] = {
            "queue": lambda: by_hand.bounded_threads(carried, stream()),
            "simple": lambda: by_hand.simple_threads(carried, stream()),
            "pipeline": lambda: pipeline.map(stream(), copy=False),
        }
        rates: dict[str, list[float]] = {key: [] for key in runs}
        for _ in range(trials):
            for key, run in runs.items():
                begin = time.perf_counter()
                for _ in run():
                    pass
                rates[key].append(inferences / (time.perf_counter() - begin))
        pipeline.close()
    base = rates["queue"]
    ratios = {
        f"{key}_ratio": round(median(a / b for a, b in zip(rates[key], base, strict=True)), 3)
        for key in ("simple", "pipeline")
    }
    return _said({"model": name, "stages": stages, "queue_fps": round(median(base), 1), **ratios})


def _carrying(run: Callable[[Mapping[str, Array]], dict[str, Array]]) -> by_hand.Stage:
    """Return a stage that keeps what it does not make: skip connections pass it by."""
    return lambda tensors: {**tensors, **run(tensors)}


def _pipelines(stages: int) -> dict[str, Runner]:
    plan = _plan(stages, 1.0)

    def ours(runners: Sequence[WaitingRunner], frames: Iterable[dict[str, Array]]) -> Iterator[Any]:
        with Pipeline(plan, runners) as pipeline:
            yield from pipeline.map(frames, copy=False)

    return {
        "queue": by_hand.bounded_threads,
        "simple": by_hand.simple_threads,
        "pipeline": ours,
        "replicas": by_hand.replicas,
        "processes": by_hand.processes,
    }


def _turns(
    pipelines: Mapping[str, Runner],
    runners: Sequence[WaitingRunner],
    inferences: int,
    trials: int,
    figure: Callable[[float, float], float],
    after: Callable[[str], None] = lambda name: None,
) -> dict[str, list[float]]:
    """Return a figure of wall and CPU time in s for each trial of each pipeline; they take turns."""
    found: dict[str, list[float]] = {name: [] for name in pipelines}
    frame = _frame()
    for _ in range(trials):
        for name, run in pipelines.items():
            wall, cpu = time.perf_counter(), time.process_time()
            count = sum(1 for _ in run(runners, (frame for _ in range(inferences))))
            assert count == inferences
            found[name].append(figure(time.perf_counter() - wall, time.process_time() - cpu))
            after(name)
    return found


def _frame() -> dict[str, Array]:
    return {"t0": np.zeros(SHAPE, np.int8)}


def _plan(stages: int, ms: float) -> Plan:
    sketches = [Sketch(takes=[f"t{k}"], makes=[f"t{k + 1}"], time_ns=round(ms * 1e6)) for k in range(stages)]
    tensors = {f"t{k}": ("int8", SHAPE) for k in range(stages + 1)}
    return make_plan(sketches, inputs=["t0"], outputs=[f"t{stages}"], tensors=tensors)


def _said(row: dict[str, Any]) -> dict[str, Any]:
    print(row, flush=True)
    return row


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
