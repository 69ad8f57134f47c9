"""run: run a plan as a pipeline, on random inputs or on files, and measure it."""

from __future__ import annotations

import argparse
from collections import deque
from collections.abc import Iterator
from contextlib import nullcontext
from itertools import islice
from pathlib import Path
from time import perf_counter

from segsolve_runtime.backends.edgetpu.choose import parse_devices
from segsolve_runtime.command.options import add_json, add_where, show, show_json, whole
from segsolve_runtime.contract.arrays import Array
from segsolve_runtime.contract.frames import random_frames
from segsolve_runtime.contract.plan import Plan, load_plan
from segsolve_runtime.contract.start import first_result
from segsolve_runtime.contract.wording import percent
from segsolve_runtime.contract.writing import replace_file
from segsolve_runtime.flow.faults import FaultPolicy
from segsolve_runtime.flow.metrics import Metrics
from segsolve_runtime.observe.began import Began
from segsolve_runtime.observe.measurement import measurement_json, measurement_of
from segsolve_runtime.pipeline import Pipeline
from segsolve_runtime.streams import say

_DEFAULT_COUNT, _REJOIN_S = 200, 60.0
_PARTIAL = 11


def options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument("plan", type=Path, metavar="PLAN", help="folder with plan.json and its compiled segments")
    parser.add_argument("--input", "-i", action="append", default=[], metavar="[NAME=]FILE", help="images, .npy, ...")
    parser.add_argument("--output", "-o", type=Path, help="file for the results: NAME.npz or NAME.jsonl")
    parser.add_argument("--top", type=whole(1), help="give the best classes instead of all scores")
    parser.add_argument("--labels", type=Path, help="file with a label per line, for --top")
    parser.add_argument("--count", type=whole(1), help="inferences at most: all of --input, 200 on random inputs")
    add_where(parser)
    parser.add_argument("--on-fault", default="stop", choices=("stop", "skip", "retry"))
    parser.add_argument("--rejoin", action="store_true", help="open lost devices again; implies retry")
    parser.add_argument("--stage-timeout", type=float, help="seconds after which a stage is given up")
    parser.add_argument("--seed", type=whole(0), default=0)
    parser.add_argument("--timeline", type=Path, help="file for the measurement, e.g. PLAN/measured.json")
    add_json(parser)


def command(chosen: argparse.Namespace) -> int:
    """Run the plan and print what was measured."""
    from segsolve_runtime.io.outputs import open_output
    from segsolve_runtime.io.top import top_classes

    folder = load_plan(chosen.plan)
    plan, origins = folder.plan, deque[str]()
    outputs = [plan.tensor(name) for name in plan.outputs]
    reading = top_classes(outputs, chosen.top, chosen.labels) if chosen.top is not None else None
    sink = open_output(chosen.output, outputs, reading) if chosen.output is not None else nullcontext()
    skips = chosen.on_fault == "skip" and not chosen.rejoin
    since = perf_counter()
    with _opened(chosen) as pipeline, sink as taken:
        opened = perf_counter()
        if chosen.backend != "simulated":
            pipeline.warm_up()
        began = Began(since=since, open_s=opened - since, warm_up_s=perf_counter() - opened)
        frames = islice(_noted(chosen, plan, origins), chosen.count)
        for result in pipeline.map(frames, on_error="yield" if skips else "raise"):
            began.note_result()
            origin = origins.popleft()
            if isinstance(result, Exception):
                say(f"{origin}: {result}")
            elif taken is not None:
                taken.put(origin, result)
            elif reading is not None:
                show([f"{origin}: {reading.text(origin, result)}"])
        metrics = pipeline.metrics()
    if chosen.timeline is not None:
        replace_file(chosen.timeline, measurement_json(measurement_of(plan, metrics, chosen.backend)).encode())
    if chosen.json:
        show_json({"model": plan.model.name, "backend": chosen.backend, **metrics.as_dict(), "start": began.as_dict()})
    else:
        show(_table(plan, metrics, chosen.backend, began))
    return _PARTIAL if metrics.accepted > metrics.count else 0


def _opened(chosen: argparse.Namespace) -> Pipeline:
    return Pipeline.load(
        chosen.plan,
        backend=chosen.backend,
        threads=chosen.threads,
        devices=parse_devices(chosen.devices) if chosen.devices else (),
        isolate="all" if chosen.rejoin else chosen.isolate,
        queue_size=chosen.queue_size,
        record=chosen.timeline is not None,
        faults=FaultPolicy(
            on_fault="retry" if chosen.rejoin and chosen.on_fault == "stop" else chosen.on_fault,
            stage_timeout_s=chosen.stage_timeout,
            rejoin_s=_REJOIN_S if chosen.rejoin else None,
        ),
    )


def _noted(chosen: argparse.Namespace, plan: Plan, origins: deque[str]) -> Iterator[dict[str, Array]]:
    """Yield the frames, and note where each is from."""
    if not chosen.input:
        for number, frame in enumerate(random_frames(plan, chosen.count or _DEFAULT_COUNT, chosen.seed)):
            origins.append(f"random[{number}]")
            yield frame
        return
    from segsolve_runtime.io.inputs import open_inputs

    given = open_inputs(plan, chosen.input)
    for doubt in given.doubts:
        say(f"warning: {doubt}")
    for origin, frame in given.frames():
        origins.append(origin)
        yield frame


def _table(plan: Plan, metrics: Metrics, backend: str, began: Began) -> Iterator[str]:
    yield f"{plan.model.name}: {metrics.count} inferences on {backend}"
    for stage, done in zip(plan.all_stages, metrics.stages, strict=True):
        name = f"stage {done.pipeline}.{done.stage}" + (f" x{done.replicas}" if done.replicas > 1 else "")
        yield (
            f"{name:14} {done.time_p50_ns / 1e6:9.2f} ms, predicted {stage.prediction.time_ns / 1e6:9.2f}; "
            f"busy {percent(done.utilisation(max(1, metrics.elapsed_ns)))}"
        )
    yield (
        f"{metrics.throughput_fps:.1f} inferences per second, latency {metrics.latency_p50_ns / 1e6:.2f} ms median, "
        f"{metrics.latency_p95_ns / 1e6:.2f} at the 95th percentile; {plan.solution.throughput_fps:.1f} predicted"
    )
    if backend != "simulated" and began.first_result_s is not None:
        said = first_result(plan)
        predicted = f"; {said.total_ns / 1e9:.2f} s predicted" if said else ""
        yield (
            f"first result after {began.first_result_s:.2f} s: {began.open_s:.2f} to open, "
            f"{began.warm_up_s:.2f} to run each stage once{predicted}"
        )
    if any(metrics.fault_counts.values()):
        yield "faults: " + ", ".join(f"{n} x {kind}" for kind, n in metrics.fault_counts.items() if n)
