"""Plan and batch folders to report on: networks whose tensors have names that a report must survive."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from segsolve.batch.record import Outcome, Record, to_line
from segsolve.cost.plan import check_plan, score_plan
from segsolve.device.model import load_device
from segsolve.plan import model as planned
from segsolve.plan.folder import write_plan
from segsolve.plan.model import Plan, Processor, Stage
from segsolve.profile.analytic import AnalyticCosts
from segsolve.question import Question
from segsolve.search.answer import Answer
from segsolve.search.chain.confirmed import solve
from segsolve.search.single import certified
from segsolve.solvers.base import Status
from segsolve_runtime.contract.frames import random_frames
from segsolve_runtime.observe.measurement import MEASUREMENT_FILE, measurement_json, measurement_of
from segsolve_runtime.pipeline import Pipeline

from ..models import Net

EVIL = "</script><img src=x onerror=alert(1)>"
LAYERS = 12
DEVICE = "edgetpu-usb-pi5"
IMAGE = (1, 32, 32, 8)  # so large that the host is not what limits


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A plan folder and its model."""

    folder: Path
    model: Path


def make_sample(
    folder: Path, *, tpus: int = 3, planner: str = "cpsat", room: int = 24_000, no_spill: bool = False
) -> Sample:
    """Plan a chain of convolutions for devices with `room` bytes, so few by default that layers spill."""
    net = Net()
    x = net.input()
    for k in range(LAYERS):
        x = net.conv(x, filters=8 + 4 * k)
        net.graph.tensors[x].name = f"{EVIL}{k}".encode()
    loaded = net.load(folder, x, name="evil")
    device = load_device(DEVICE)
    device = replace(device, memory_bytes=device.reserved_bytes + room, host_frame_ns_per_byte=0.0)
    problem = AnalyticCosts(graph=loaded.graph, device=device).problem(tpus=tpus, no_spill=no_spill)
    plan = folder / "plan"
    write_plan(
        plan, loaded=loaded, device=device, problem=problem, answer=certified(problem, solve(problem, planner=planner))
    )
    return Sample(folder=plan, model=folder / "evil.tflite")


def make_layout(
    folder: Path,
    *pipelines: Sequence[tuple[Sequence[int], int]],
    room: int = 1_000_000,
    on_cpu: Collection[int] = (),
) -> Sample:
    """Plan a network of two branches by hand: for each pipeline, its stages' operations and replicas.

    Operations 0 to 2 are a trunk, 3, 5, 7 and 4, 6, 8 the branches, 9 joins them. Stages of the numbers `on_cpu` are
    left to the host's CPU.
    """
    net = Net()
    x = net.input() if on_cpu else net.input(IMAGE)
    for _ in range(3):
        x = net.conv(x, filters=16)
    left = right = x
    for _ in range(3):
        left, right = net.conv(left, filters=16), net.conv(right, filters=32)
    loaded = net.load(folder, net.concat(left, right), name="branches")
    device = load_device(DEVICE)
    device = replace(device, memory_bytes=device.reserved_bytes + room, host_frame_ns_per_byte=0.0)
    plan = Plan(
        pipelines=tuple(
            planned.Pipeline(
                stages=tuple(
                    Stage(ops=tuple(ops), replicas=count, processor=Processor.CPU if k in on_cpu else Processor.EDGETPU)
                    for k, (ops, count) in enumerate(stages)
                )
            )
            for stages in pipelines
        )
    )
    problem = AnalyticCosts(graph=loaded.graph, device=device).problem(tpus=plan.tpus)
    if plan.cores:  # which are devices then, and not the host's
        problem = replace(problem, cpus=plan.cores, host=None)
    assert check_plan(problem, plan) == ()
    score = score_plan(problem, plan)
    answer = Answer(
        question=Question(),
        planner="dp",
        status=Status.OPTIMAL,
        plan=plan,
        score=score,
        value=Fraction(1) / score.rate,
        bound=Fraction(1) / score.rate,
        cuts="dag",
        found_by="hand",
    )
    write_plan(folder / "plan", loaded=loaded, device=device, problem=problem, answer=answer)
    return Sample(folder=folder / "plan", model=folder / "branches.tflite")


def measure(sample: Sample) -> Path:
    """Run a plan on the virtual clock and leave the measurement in its folder."""
    with Pipeline.load(sample.folder, backend="simulated", record=True) as pipeline:
        list(pipeline.map(random_frames(pipeline.plan, 30, 0)))
        text = measurement_json(measurement_of(pipeline.plan, pipeline.metrics(), "simulated"))
    path = sample.folder / MEASUREMENT_FILE
    path.write_text(text)
    return path


def record(model: str, tpus: int, planner: str, objective_ns: int | None, **others: Any) -> Record:
    """Return a batch's record; without an objective it is a failure."""
    values: dict[str, Any] = {
        "key": f"{model}-{tpus}-{planner}",
        "model": model,
        "model_sha256": f"{abs(hash(model)):064x}"[:64],
        "device": DEVICE,
        "device_sha256": "0" * 64,
        "memory_bytes": 8 * 2**20,
        "tpus": tpus,
        "planner": planner,
        "objective": "throughput",
        "no_spill": False,
        "time_limit_s": None,
        "seed": 0,
        "workers": 1,
        "segsolve": "1",
        "ortools": "1",
        "outcome": Outcome.PLAN if objective_ns else Outcome.FAILED,
    }
    if objective_ns:
        values |= {
            "status": "optimal" if planner == "cpsat" else "feasible",
            "objective_ns": objective_ns,
            "bound_ns": objective_ns if planner == "cpsat" else 0,
            "throughput_fps": 1e9 / objective_ns,
            "latency_ns": objective_ns * tpus,
            "offchip_bytes": 0,
            "one_tpu_ns": 12_000_000,
            "stage_ns": (objective_ns,) * tpus,
            "stage_onchip_bytes": (1,) * tpus,
            "stage_offchip_bytes": (0,) * tpus,
        }
    return Record(**(values | others))


def write_batch(folder: Path, *records: Record) -> Path:
    """Write a batch's folder."""
    folder.mkdir(exist_ok=True)
    (folder / "results.jsonl").write_text("".join(map(to_line, records)))
    return folder


def sample_batch(folder: Path) -> Path:
    """Write a batch of three networks on 1 to 3 TPUs; one network has only failures."""
    plans = [
        record(model, tpus, planner, 12_000_000 // tpus * slower // 100)
        for model, worse in (("alpha", 130), (EVIL, 250))
        for tpus in (1, 2, 3)
        for planner, slower in (("cpsat", 100), ("compiler", 100 if tpus == 1 else worse), ("balanced", 110))
    ]
    failure = record("broken", 2, "cpsat", None, error_kind="bad_model", error_message=f"cannot read {EVIL}")
    return write_batch(folder, *plans, failure)
