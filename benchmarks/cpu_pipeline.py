"""The pipeline of two stages, one thread each, against its slower stage alone; on the CPU, side by side.

On a CPU a pipeline only ties with more threads in one interpreter: this validates the machinery and claims no
speed-up. Trials alternate, so that a drift of the machine meets all of them. The two stages are also run at once
without a pipeline: what two cores that share their memory cost each other is no fault of the pipeline.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from threading import Thread
from typing import Any

from benchmarks.common import write_result, zoo_file
from segsolve.cost.plan import score_plan
from segsolve.device.model import load_device
from segsolve.graph.read import LoadedModel, read_model
from segsolve.plan.folder import write_plan
from segsolve.plan.model import cut_at
from segsolve.profile.analytic import AnalyticCosts
from segsolve.search.base import found
from segsolve.solvers.base import Status
from segsolve_runtime.backends import open_stages
from segsolve_runtime.contract.arrays import Array
from segsolve_runtime.contract.frames import random_frames
from segsolve_runtime.contract.plan import PlanFolder
from segsolve_runtime.contract.runner import StageRunner
from segsolve_runtime.pipeline import Pipeline

MODELS = ("resnet50", "mobilenetv2", "inceptionv3")
TRIALS = 9
SECONDS_PER_TRIAL = 1.5
Frame = dict[str, Array]


def main() -> None:
    rows = [measure(name) for name in MODELS]
    write_result("cpu_pipeline", {"seed": 0, "trials": TRIALS, "threads_per_stage": 1, "rows": rows})


def measure(name: str) -> dict[str, Any]:
    with zoo_file(name) as path, TemporaryDirectory() as scratch:
        loaded = read_model(path)
        folder = most_even(loaded, Path(scratch))
        row = {"model": name, "cut": folder.plan.all_stages[1].first_op, **_compare(loaded, folder)}
    print(row)
    return row


def most_even(loaded: LoadedModel, scratch: Path) -> PlanFolder:
    """Cut in two where the stages take the most equal time on this CPU: bisection over the legal cuts."""
    cuts = loaded.graph.cuts
    low, high = 0, len(cuts) - 1
    while low < high:
        middle = (low + high) // 2
        folder = cut_in_two(loaded, cuts[middle], scratch)
        first, second = stage_seconds(folder)
        low, high = (middle + 1, high) if first < second else (low, middle)
    return cut_in_two(loaded, cuts[low], scratch)


def cut_in_two(loaded: LoadedModel, cut: int, scratch: Path) -> PlanFolder:
    device = load_device("edgetpu-pcie")
    problem = AnalyticCosts(graph=loaded.graph, device=device).problem(tpus=2)
    score = score_plan(problem, cut_at((cut,), len(problem.ops)))
    given = replace(found(problem, "given", (cut,), score.period_ns, status=Status.FEASIBLE), score=score)
    return write_plan(scratch / "plan", loaded=loaded, device=device, problem=problem, answer=given)


def stage_seconds(folder: PlanFolder, repeats: int = 5) -> list[float]:
    """Median time of each stage alone."""
    runners, inputs = _stages(folder)
    return [
        median(_timed(partial(runner.run, frame)) for _ in range(repeats))
        for runner, frame in zip(runners, inputs, strict=True)
    ]


def _compare(loaded: LoadedModel, folder: PlanFolder) -> dict[str, Any]:
    runners, inputs = _stages(folder)
    slower = max((0, 1), key=lambda k: stage_seconds(folder)[k])
    count = max(20, round(SECONDS_PER_TRIAL / max(stage_seconds(folder))))
    frames = list(random_frames(folder.plan, 8, seed=0))
    whole = {threads: _whole(loaded, threads, frames[0]) for threads in (1, 2)}
    alone: list[float] = []
    at_once: list[float] = []
    piped: list[float] = []
    single: dict[int, list[float]] = {1: [], 2: []}
    with Pipeline.load(folder.root) as pipeline:
        for _ in range(TRIALS):
            alone.append(count / _timed(partial(_repeat, partial(runners[slower].run, inputs[slower]), count)))
            at_once.append(count / _timed(partial(_both, runners, inputs, count)))
            piped.append(_piped_fps(pipeline, frames, count))
            for threads, run in whole.items():
                single[threads].append(count / _timed(partial(_repeat, run, count)))
    ratios = [p / a for p, a in zip(piped, alone, strict=True)]
    fair = [p / a for p, a in zip(piped, at_once, strict=True)]
    return {
        "inferences_per_trial": count,
        "stage_ms": [round(1e3 * s, 3) for s in stage_seconds(folder)],
        "slower_stage_alone_fps": round(median(alone), 2),
        "both_stages_at_once_fps": round(median(at_once), 2),
        "pipeline_fps": round(median(piped), 2),
        "pipeline_over_slower_stage": {
            "median": round(median(ratios), 3),
            "min": round(min(ratios), 3),
            "max": round(max(ratios), 3),
        },
        "pipeline_over_both_at_once": {
            "median": round(median(fair), 3),
            "min": round(min(fair), 3),
            "max": round(max(fair), 3),
        },
        "whole_model_fps": {f"{t} thread(s)": round(median(v), 2) for t, v in single.items()},
    }


def _piped_fps(pipeline: Pipeline, frames: Sequence[Frame], count: int) -> float:
    """Throughput between the first and the last result, so that filling the pipeline does not count."""
    results = pipeline.map(frames[i % len(frames)] for i in range(count + 1))
    next(results)
    return count / _timed(lambda: sum(1 for _ in results))


def _stages(folder: PlanFolder) -> tuple[tuple[StageRunner, ...], list[Frame]]:
    """Open the stages, and give each the input that a real frame brings it."""
    runners = open_stages("litert", folder).runners
    tensors: Frame = next(random_frames(folder.plan, 1, seed=0))
    inputs = []
    for runner in runners:
        inputs.append(dict(tensors))
        tensors |= runner.run(tensors)
    return runners, inputs


def _whole(loaded: LoadedModel, threads: int, frame: Frame) -> Callable[[], None]:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=loaded.content, num_threads=threads)
    interpreter.allocate_tensors()
    index = interpreter.get_input_details()[0]["index"]
    (array,) = frame.values()

    def run() -> None:
        interpreter.set_tensor(index, array)
        interpreter.invoke()

    run()
    return run


def _both(runners: Sequence[StageRunner], inputs: Sequence[Frame], count: int) -> None:
    threads = [
        Thread(target=_repeat, args=(partial(runner.run, frame), count))
        for runner, frame in zip(runners, inputs, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _repeat(action: Callable[[], object], count: int) -> None:
    for _ in range(count):
        action()


def _timed(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
