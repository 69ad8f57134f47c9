"""The measurement file: what a run of a plan measured and its timeline's beginning, for reports and profiles."""

from __future__ import annotations

import json
import platform
from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from segsolve_runtime.errors import PlanError
from segsolve_runtime.metrics import Metrics
from segsolve_runtime.plan import Plan

MEASUREMENT_FILE = "measured.json"
VERSION: Final = 1
TIMELINE_INFERENCES = 64
"""The timeline holds no more than this many inferences, so that the file of a long run stays small."""

_Count = Field(ge=0)


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class MeasuredStage(_Record):
    """Where the time of a stage went, in ns over the whole run."""

    inferences: int = _Count
    busy_ns: int = _Count
    blocked_ns: int = _Count
    starved_ns: int = _Count


class MeasuredSlot(_Record):
    """One inference on one stage, in ns since the run began."""

    stage: int = _Count
    inference: int = _Count
    start_ns: int = _Count
    end_ns: int = _Count


class Measurement(_Record):
    """The content of ``measured.json``; the model's digest and the cuts say which plan was measured."""

    format: Literal["segsolve-measurement"] = "segsolve-measurement"
    version: Literal[1] = VERSION
    model_sha256: str
    cuts: list[int]
    backend: str
    times: Literal["measured", "virtual"] = Field(description="virtual: predicted times on a virtual clock")
    machine: str
    count: int = _Count
    elapsed_ns: int = _Count
    throughput_fps: float = Field(ge=0)
    latency_p50_ns: int = _Count
    latency_p95_ns: int = _Count
    stages: list[MeasuredStage]
    timeline: list[MeasuredSlot]


def measurement_of(plan: Plan, metrics: Metrics, backend: str) -> Measurement:
    """Return what a run that recorded its timeline measured."""
    return Measurement(
        model_sha256=plan.model.sha256,
        cuts=_cuts(plan),
        backend=backend,
        times="virtual" if backend == "simulated" else "measured",
        machine=f"{platform.system()} {platform.machine()}",
        count=metrics.count,
        elapsed_ns=metrics.elapsed_ns,
        throughput_fps=metrics.throughput_fps,
        latency_p50_ns=metrics.latency_p50_ns,
        latency_p95_ns=metrics.latency_p95_ns,
        stages=[
            MeasuredStage(inferences=s.inferences, busy_ns=s.busy_ns, blocked_ns=s.blocked_ns, starved_ns=s.starved_ns)
            for s in metrics.stages
        ],
        timeline=[
            MeasuredSlot(stage=s.stage, inference=s.inference, start_ns=s.start_ns, end_ns=s.end_ns)
            for s in metrics.timeline
            if s.inference < TIMELINE_INFERENCES
        ],
    )


def measurement_json(measurement: Measurement) -> str:
    """Return the text of ``measured.json``."""
    return json.dumps(measurement.model_dump(mode="json")) + "\n"


def load_measurement(path: Path, plan: Plan) -> Measurement:
    """Read a measurement of a plan.

    Raises:
        PlanError: the file is missing or unreadable, no measurement, or one of another plan.
    """
    try:
        measurement = Measurement.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the measurement"
        raise PlanError(f"{path} is not a measurement of a plan: {where}: {first['msg']}") from None
    except (OSError, ValueError, RecursionError) as error:
        raise PlanError(f"{path} cannot be read: {error}") from None
    if (measurement.model_sha256, measurement.cuts) != (plan.model.sha256, _cuts(plan)):
        raise PlanError(f"{path} is a measurement of another plan")
    _check_stages(measurement, path, len(plan.all_stages))
    return measurement


def _check_stages(measurement: Measurement, path: Path, stages: int) -> None:
    strays = [slot for slot in measurement.timeline if slot.stage >= stages or slot.end_ns < slot.start_ns]
    if len(measurement.stages) != stages or strays:
        raise PlanError(f"{path} is damaged: its stages are not those of the plan")


def _cuts(plan: Plan) -> list[int]:
    return [stage.first_op for pipeline in plan.pipelines for stage in pipeline.stages[1:]]
