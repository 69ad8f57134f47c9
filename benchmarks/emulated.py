"""How faithfully `emulated` follows the predicted timeline, on plans with stages of 5 ms and more."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.common import write_result, zoo_file
from generators.plan_folders import even_stages, predict, write
from segsolve.graph.read import read_model
from segsolve_runtime.contract.frames import random_frames
from segsolve_runtime.contract.plan import PlanFolder
from segsolve_runtime.flow.lanes import lanes_of
from segsolve_runtime.flow.schedule import QUEUE_SIZE, schedule_lanes
from segsolve_runtime.observe.drift import drift_of
from segsolve_runtime.pipeline import Pipeline

MODEL = "synthetic-dense-8"
INFERENCES = 300
STAGE_MS = {
    "five stages": ([5.0, 7.0, 6.0, 9.0, 8.0], [1, 1, 1, 1, 1]),
    "one bottleneck": ([5.0, 5.0, 20.0, 5.0, 5.0], [1, 1, 1, 1, 1]),
    "a replicated stage": ([10.0, 29.0, 10.0], [1, 3, 1]),
}


def main() -> None:
    rows = [measure(name, INFERENCES) for name in STAGE_MS]
    write_result("emulated", {"model": MODEL, "inferences": INFERENCES, "queue_size": QUEUE_SIZE, "rows": rows})


def measure(name: str, inferences: int) -> dict[str, Any]:
    """Return measured over predicted: time of the whole run, of each stage, and the end of each inference."""
    stage_ms, replicas = STAGE_MS[name]
    with zoo_file(MODEL) as path, TemporaryDirectory() as scratch:
        loaded = read_model(path)
        folder = write(loaded, Path(scratch) / "plan", [even_stages(loaded, len(stage_ms), replicas)])
        row = {"plan": name, "stage_ms": stage_ms, "replicas": replicas}
        row |= _compare(predict(folder, lambda k: round(stage_ms[k] * 1e6)), inferences)
    print(row)
    return row


def _compare(folder: PlanFolder, inferences: int) -> dict[str, Any]:
    with Pipeline.load(folder, backend="emulated", queue_size=QUEUE_SIZE, record=True) as pipeline:
        pipeline.warm_up()
        for _ in pipeline.map(random_frames(folder.plan, inferences, seed=0), copy=False):
            pass
        metrics = pipeline.metrics()
    predicted = schedule_lanes(lanes_of(folder.plan), inferences, QUEUE_SIZE)
    begin_ns = min(slot.start_ns for slot in metrics.timeline)
    last = max(slot.stage for slot in predicted)
    ends = {slot.inference: slot.end_ns for slot in predicted if slot.stage == last}
    off_ns = [abs(s.end_ns - begin_ns - ends[s.inference]) for s in metrics.timeline if s.stage == last]
    total_ns = max(slot.end_ns for slot in metrics.timeline) - begin_ns
    return {
        "time_over_predicted": round(total_ns / max(ends.values()), 4),
        "stage_over_predicted": [round(drift.ratio, 4) for drift in drift_of(folder.plan, metrics)],
        "end_off_by_at_most_ms": round(max(off_ns) / 1e6, 2),
        "end_off_by_at_most_share_of_run": round(max(off_ns) / max(ends.values()), 4),
    }


if __name__ == "__main__":
    main()
