"""Tuning on this machine's CPU: how few stages it measures, what it gains, and how well it predicts a pipeline.

Every plan (the tuned one, the first one, the heuristics') is measured in the end in the same rounds, its stages one
after the other, so that a drift of the machine meets all of them: CPU time of a thread, lower quartile. The tuned plan
then runs as a real pipeline of two threads. Its throughput is wall time and needs both cores for itself; the process's
CPU time per second of wall time (`cores_given`) says if it had them. `cpu_time_fps` is what the slower of the two
threads, running in the pipeline, could do on a core of its own, by its CPU time per inference.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.common import write_result, zoo_file
from segsolve.graph.read import LoadedModel, read_model
from segsolve.measure.inputs import segment_of
from segsolve.measure.operations import Effort
from segsolve.measure.run import Measured, measure_model
from segsolve.measure.samples import summarise
from segsolve.measure.session import Session
from segsolve.plan.folder import write_plan
from segsolve.plan.model import Plan
from segsolve.problem import Problem
from segsolve.profile.measured import MeasuredCosts, MeasuredDevice
from segsolve.search.chain.confirmed import solve
from segsolve.search.strategies import HEURISTICS
from segsolve.tune import Tuning, tune
from segsolve_runtime.backends import open_stages
from segsolve_runtime.contract.arrays import Array
from segsolve_runtime.contract.frames import random_frames
from segsolve_runtime.contract.plan import load_plan
from segsolve_runtime.contract.runner import StageRunner
from segsolve_runtime.pipeline import Pipeline

ZOO = ("mobilenetv2", "efficientnet-lite0", "densenet121", "resnet50", "inceptionv3")
SHARED = Path(__file__).parents[2] / "shared" / "models"
TPUS = (2, 4)
EFFORT = Effort(runs=25, warm_up=3)
ROUNDS = 40
TRIALS = 9
SECONDS_PER_TRIAL = 1.0
Range = tuple[int, int]


def main() -> None:
    rows = [row for name in _names() for row in study(name)]
    write_result(
        "tune_cpu",
        {
            "seed": 0,
            "runs_per_measurement": EFFORT.runs,
            "rounds_of_the_comparison": ROUNDS,
            "pipeline_trials": TRIALS,
            "limits": "stage times are CPU time of one thread; pipeline throughput is wall time and suffers from "
            "whatever else runs: see cores_given",
            "summary": summary(rows),
            "rows": rows,
        },
    )


def study(name: str) -> Iterator[dict[str, Any]]:
    with _file(name) as path:
        loaded = read_model(path)
        measured = measure_model(loaded, effort=EFFORT)
        for tpus in TPUS:
            row = {"model": name, "operations": len(loaded.graph.ops), "tpus": tpus, **_tune(loaded, measured, tpus)}
            print(row, flush=True)
            yield row


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    pairs = [row for row in rows if "pipeline" in row]
    return {
        "networks": len({row["model"] for row in rows}),
        "stages_measured": {tpus: [row["stages_measured"] for row in rows if row["tpus"] == tpus] for tpus in TPUS},
        "tuned_over_first": round(
            median(row["bottleneck_ms"]["tuned"] / row["bottleneck_ms"]["first"] for row in rows), 4
        ),
        "worst_tuned_over_best_heuristic": round(max(_against_heuristics(row) for row in rows), 4),
        "predicted_over_measured_throughput": [row["pipeline"]["predicted_over_measured"] for row in pairs],
        "within_5_percent": sum(abs(row["pipeline"]["predicted_over_measured"] - 1) <= 0.05 for row in pairs),
        "predicted_over_cpu_time": [row["pipeline"]["predicted_over_cpu_time"] for row in pairs],
        "within_5_percent_by_cpu_time": sum(
            abs(row["pipeline"]["predicted_over_cpu_time"] - 1) <= 0.05 for row in pairs
        ),
    }


def _tune(loaded: LoadedModel, measured: Measured, tpus: int) -> dict[str, Any]:
    problem = MeasuredCosts(profile=measured.profile, graph=loaded.graph).problem(tpus=tpus)
    start = time.perf_counter()
    tuning = tune(problem, measured.meter)
    seconds = time.perf_counter() - start
    tuned, first = tuning.plan, tuning.iterations[0].plan
    assert tuned is not None and tuning.period_ns is not None
    plans = {"tuned": tuned, "first": first, **_heuristics(problem)}
    times = measure_together(loaded, measured, plans)
    row: dict[str, Any] = {
        "stages_measured": tuning.measurements,
        "possible_stages": tuning.stages,
        "rounds": len(tuning.iterations),
        "stopped_by": str(tuning.stopped_by),
        "seconds": round(seconds, 2),
        "first_plan_predicted_ms": _ms(tuning.iterations[0].predicted_ns),
        "tuned_plan_predicted_ms": _ms(tuning.period_ns),
        "cuts": {name: list(plan.cuts or ()) for name, plan in plans.items()},
        "bottleneck_ms": {name: _ms(ns) for name, ns in times.items()},
    }
    return row | ({"pipeline": _pipeline(loaded, tuning)} if len(tuned.pipelines[0].stages) == 2 else {})


def _heuristics(problem: Problem) -> dict[str, Plan]:
    found = {name: solve(problem, planner=name).plan for name in HEURISTICS}
    return {name: plan for name, plan in found.items() if plan is not None}


def measure_together(loaded: LoadedModel, measured: Measured, plans: Mapping[str, Plan]) -> dict[str, int]:
    """Return the bottleneck in ns of every plan: each stage runs once or more in every round."""
    stages = {name: [(s.ops[0], s.ops[-1] + 1) for s in plan.pipelines[0].stages] for name, plan in plans.items()}
    ranges = sorted({stage for own in stages.values() for stage in own})
    sessions = {stage: Session(loaded, segment_of(loaded.graph, *stage)) for stage in ranges}
    times: dict[Range, list[int]] = {stage: [] for stage in ranges}
    tensors = measured.meter.tensors
    for _ in range(ROUNDS):
        for stage, session in sessions.items():
            session.timed(dict(tensors))  # as in a pipeline, the stage itself ran last
            times[stage].append(session.timed(dict(tensors)))
    found = {stage: summarise(ns).time_ns for stage, ns in times.items()}
    return {name: max(found[stage] for stage in own) for name, own in stages.items()}


def _pipeline(loaded: LoadedModel, tuning: Tuning) -> dict[str, Any]:
    """Run the plan of two stages, and hold its throughput against the tuned prediction."""
    assert tuning.period_ns is not None
    with TemporaryDirectory() as scratch:
        write_plan(
            Path(scratch) / "plan",
            loaded=loaded,
            device=MeasuredDevice(name="litert-cpu", memory_bytes=0),
            problem=tuning.problem,
            answer=tuning.answer(0.0),
        )
        trials, slower_ns = _trials(Path(scratch) / "plan", tuning.period_ns)
    quiet = [trial for trial in trials if trial["cores_given"] >= 0.95 * max(t["cores_given"] for t in trials)]
    predicted = 1e9 / tuning.period_ns
    measured = median(trial["fps"] for trial in quiet)
    return {
        "predicted_fps": round(predicted, 2),
        "cpu_time_fps": round(1e9 / slower_ns, 2),
        "predicted_over_cpu_time": round(predicted * slower_ns / 1e9, 3),
        "measured_fps": round(measured, 2),
        "predicted_over_measured": round(predicted / measured, 3),
        "predicted_over_all_trials": round(predicted / median(trial["fps"] for trial in trials), 3),
        "trials": [{key: round(value, 3) for key, value in trial.items()} for trial in trials],
    }


class Metered:
    """A stage whose thread's CPU time is noted at every inference: what it does in between, queues included, counts."""

    def __init__(self, runner: StageRunner) -> None:
        self._runner = runner
        self.marks_ns: list[int] = []

    def run(self, tensors: Mapping[str, Array]) -> dict[str, Array]:
        self.marks_ns.append(time.thread_time_ns())
        return self._runner.run(tensors)

    def close(self) -> None:
        self._runner.close()

    def inference_ns(self) -> int:
        return summarise([b - a for a, b in pairwise(self.marks_ns) if b > a]).time_ns


def _trials(plan: Path, stage_ns: int) -> tuple[list[dict[str, float]], int]:
    count = max(20, round(SECONDS_PER_TRIAL * 1e9 / stage_ns))
    folder = load_plan(plan)
    stages = [Metered(runner) for runner in open_stages("litert", folder).runners]
    with Pipeline(folder.plan, stages) as pipeline:
        frames = list(random_frames(pipeline.plan, 8, seed=0))
        trials = []
        for _ in range(TRIALS):
            results = pipeline.map(frames[i % len(frames)] for i in range(count + 5))
            for _ in range(5):
                next(results)
            wall, cpu = time.perf_counter(), time.process_time()
            for _ in results:
                pass
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            trials.append({"fps": count / wall, "cores_given": cpu / wall})
        slower_ns = max(stage.inference_ns() for stage in stages)
    return trials, slower_ns


def _against_heuristics(row: dict[str, Any]) -> float:
    best = min(row["bottleneck_ms"][name] for name in HEURISTICS if name in row["bottleneck_ms"])
    return float(row["bottleneck_ms"]["tuned"] / best)


def _names() -> list[str]:
    """Return networks of the zoo, and the shared models that the reader takes: a compiled one is none."""
    shared = sorted(path.name for path in SHARED.glob("*.tflite")) if SHARED.is_dir() else []
    return [*ZOO, *(name for name in shared if "edgetpu" not in name)]


@contextmanager
def _file(name: str) -> Iterator[Path]:
    if name.endswith(".tflite"):
        yield SHARED / name
        return
    with zoo_file(name) as path:
        yield path


def _ms(ns: int) -> float:
    return round(ns / 1e6, 4)


if __name__ == "__main__":
    main()
