"""Batches for the tests: small networks, made-up records, the command line in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from segsolve.batch.engines import local_engine
from segsolve.batch.jobs import Job, Model, Options, expand
from segsolve.batch.log import RESULTS
from segsolve.batch.record import Outcome, Record, failed
from segsolve.batch.run import Batch, HasJobs, News, run_batch
from segsolve.batch.summary import Summary
from segsolve.device.model import Device, load_device

PATIENCE_S = 120  # for what must happen some time; a machine may be slow


def device() -> Device:
    return load_device("edgetpu-m2")


def jobs(
    *, models: Sequence[str] = ("net",), tpus: Sequence[int] = (2,), planners: Sequence[str] = ("dp",)
) -> list[Job]:
    """Jobs on models that do not exist."""
    made = [Model(name=name, path=f"/nowhere/{name}.tflite", sha256=name) for name in models]
    return list(expand(made, [device()], tpus, planners, Options()))


def record(model: str, planner: str, objective_ns: int | None, *, tpus: int = 2, **fields: Any) -> Record:
    """A record as if a planner had found a plan with this bottleneck."""
    (job,) = jobs(models=[model], planners=[planner], tpus=[tpus])
    made = replace(failed(job, "worker", "it died"), objective_ns=objective_ns, period_ns=objective_ns, **fields)
    if objective_ns is None:
        return made
    costs = {"latency_ns": objective_ns, "offchip_bytes": 0, "one_tpu_ns": objective_ns, "tpus_used": tpus}
    return replace(made, outcome=Outcome.PLAN, error_kind=None, error_message=None, **{**costs, **fields})


def batch(
    *models: Path | str,
    tpus: Sequence[int] = (2, 3),
    planners: Sequence[str] = ("compiler", "dp"),
    options: Options | None = None,
) -> Batch:
    return Batch(
        models=tuple(map(str, models)),
        tpus=tuple(tpus),
        devices=(device(),),
        planners=tuple(planners),
        options=options or Options(),
    )


def run(wanted: HasJobs, folder: Path, observe: Callable[[News], None] = lambda _: None, **options: Any) -> Summary:
    """Run a batch in two local processes."""
    return run_batch(wanted, folder, engine=lambda: local_engine(2), processes=2, observe=observe, **options)


def lines(folder: Path, name: str = RESULTS) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / name).read_text().splitlines()]


def start(*arguments: object) -> subprocess.Popen[str]:
    """Start the command line; a session of its own, so that a signal to all of it reaches nobody else."""
    command = [sys.executable, "-c", "from segsolve.__main__ import run; run()", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.005)


def recorded(folder: Path) -> int:
    """How many records a running batch has written so far."""
    path = folder / RESULTS
    return path.read_bytes().count(b"\n") if path.exists() else 0
