"""A batch from beginning to end."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Protocol

from segsolve.batch.engines import Engine, cores
from segsolve.batch.jobs import Options, expand
from segsolve.batch.log import RecordLog, locked
from segsolve.batch.loop import Loop
from segsolve.batch.pool_jobs import AnyJob
from segsolve.batch.record import Outcome, Record, failed, kind_of
from segsolve.batch.sources import find_models
from segsolve.batch.summary import Summary, summarise
from segsolve.device.model import Device
from segsolve.errors import ExitCode, ModelError, SegsolveError
from segsolve.graph.flatbuffer import read_bytes
from segsolve_runtime.contract.writing import replace_file

MODELS = "models"
SUMMARY = "summary.json"
JOBS = "jobs.json"
"""Keys of all jobs of the latest command, so that a report knows what is missing."""


class Interrupted(SegsolveError):
    """The user stopped the batch; what was done is kept."""

    exit_code = ExitCode.INTERRUPTED


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What to combine. `models` are folders, .tflite files, lists (.txt), names of the zoo, or `zoo` itself."""

    models: tuple[str, ...]
    tpus: tuple[int, ...]
    devices: tuple[Device, ...]
    planners: tuple[str, ...]
    options: Options = field(default_factory=Options)

    def __post_init__(self) -> None:
        self.options.check(self.planners)

    def jobs(self, models: Path, processes: int, observe: Callable[[str, int, int], None]) -> tuple[AnyJob, ...]:
        """Return the jobs; networks of the zoo are built into the folder `models`.

        Raises:
            UsageError: the batch asks for what does not exist.
            OutputError: the networks cannot be written.
        """
        found = find_models(self.models, models, processes, observe)
        return expand(found, self.devices, self.tpus, self.planners, self.options)


class HasJobs(Protocol):
    """A batch of any kind."""

    def jobs(self, models: Path, processes: int, observe: Callable[[str, int, int], None]) -> tuple[AnyJob, ...]:
        """Return the jobs; networks of the zoo are built into the folder `models`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """How far a batch is: `done` of `total` in the phase called `task`, `before` of them by an earlier run."""

    task: str
    latest: str
    done: int
    total: int
    before: int = 0
    failed: int = 0


Observer = Callable[[News], None]
EngineMaker = Callable[[], AbstractContextManager[Engine]]


def default_processes(workers: int) -> int:
    """Return how many processes use all cores when a planner has that many threads."""
    return max(1, cores() // workers)


def run_batch(
    batch: HasJobs,
    folder: Path,
    *,
    engine: EngineMaker,
    processes: int,
    observe: Observer,
    retry_failed: bool = False,
) -> Summary:
    """Do every job of a batch that has no record in the folder yet, and return the summary of all.

    The folder gets results.jsonl, timings.jsonl, jobs.json, summary.json and the zoo's models/; what other batches left
    there stays. Afterwards results.jsonl and summary.json are the same bytes however often the batch was killed, as
    long as no job meets its time limit, which is in seconds and not in work.

    Raises:
        UsageError: the batch asks for what does not exist.
        OutputError: the folder cannot be written.
        EngineFault: what runs the jobs is gone.
        Interrupted: Ctrl-C; the same call goes on from there.
    """
    with locked(folder):
        try:
            return _run(batch, folder, engine, processes=processes, observe=observe, retry_failed=retry_failed)
        except KeyboardInterrupt:
            hint = "what is done is kept; the same command goes on from there"
            raise Interrupted("the batch was interrupted", hint) from None


def _run(
    batch: HasJobs,
    folder: Path,
    engine: EngineMaker,
    *,
    processes: int,
    observe: Observer,
    retry_failed: bool,
) -> Summary:
    def built(network: str, done: int, total: int) -> None:
        observe(News(task="building the zoo's networks", latest=network, done=done, total=total))

    jobs = batch.jobs(folder / MODELS, processes, built)
    replace_file(folder / JOBS, (json.dumps([job.key for job in jobs]) + "\n").encode())
    with RecordLog(folder) as log:
        if retry_failed:
            log.forget(lambda record: record.outcome is Outcome.FAILED)
        _do(jobs, log, engine, observe)
        current = [log.records[job.key] for job in jobs]
        log.finish(current)
    summary = summarise(current)
    replace_file(folder / SUMMARY, (json.dumps(asdict(summary), indent=2) + "\n").encode())
    return summary


def _do(jobs: tuple[AnyJob, ...], log: RecordLog, engine: EngineMaker, observe: Observer) -> None:
    """Bring the log to where it has a record of every job."""
    before = sum(job.key in log.records for job in jobs)
    state = {"done": before, "failed": 0}

    def tell(latest: str) -> None:
        observe(News(task="solving", latest=latest, total=len(jobs), before=before, **state))

    def news(record: Record) -> None:
        state["done"] += 1
        state["failed"] += record.outcome is Outcome.FAILED
        where = record.device if record.is_of_pool else f"{record.tpus} x {record.device}, {record.planner}"
        tell(f"{record.model}, {where}")

    tell("")
    for job in jobs:
        if job.model.sha256 is None and job.key not in log.records:
            record = _unreadable(job)
            log.append(record, {})
            news(record)
    if todo := [job for job in jobs if job.key not in log.records]:
        # The largest models first: no long job begins at the end, and the time left is seldom more than was said.
        todo.sort(key=lambda job: (-_size(job), job.model.path))
        with engine() as running:
            Loop(todo, running, log, news).run()


def missing_jobs(folder: Path, done: Collection[str]) -> tuple[int, int]:
    """Return how many jobs of the latest command have no record among those whose keys are `done`, and of how many."""
    try:
        keys = json.loads((folder / JOBS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return 0, 0
    if not isinstance(keys, list):
        return 0, 0
    return sum(key not in done for key in keys), len(keys)


def _size(job: AnyJob) -> int:
    try:
        return Path(job.model.path).stat().st_size
    except OSError:
        return 0


def _unreadable(job: AnyJob) -> Record:
    try:
        read_bytes(Path(job.model.path))
    except ModelError as error:
        return failed(job, kind_of(error), str(error), error.hint)
    return failed(job, ExitCode.BAD_MODEL.name.lower(), f"{job.model.path} could not be read", "run the batch again")
