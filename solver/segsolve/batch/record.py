"""What is known of a job once it is done: one flat record, and nothing in it that a second run would change."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from functools import cache
from math import isfinite
from typing import Any

from segsolve.batch.jobs import Job
from segsolve.batch.pool_jobs import POOL, AnyJob, PoolJob
from segsolve.cost.plan import PlanScore, Score
from segsolve.errors import ExitCode, SegsolveError, UsageError
from segsolve.plan.model import Plan
from segsolve.question import Cuts, Objective, Question
from segsolve.question.constraints import KINDS
from segsolve.question.given import found
from segsolve.search.answer import Answer
from segsolve.search.objectives import aim
from segsolve.solvers.base import Status, Stop
from segsolve_runtime.contract.document import members

_MOST = 2**62
_CUTS: Mapping[str, str] = {Cuts.CHAIN: "cuts of the execution order only", Cuts.DAG: "all cuts of the graph"}


class Outcome(StrEnum):
    """How a job ended; only the last one is a failure."""

    PLAN = "plan"
    INFEASIBLE = "infeasible"
    NO_PLAN = "no plan"  # a heuristic that ignores memory under `no_spill`, or brute force on too much
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A job and its result, flat; ns, bytes and inferences per second. Times of solving are kept elsewhere.

    `one_tpu_ns` is the whole model on one device, spilling if it must. `period_ns` is the time per inference of the
    plan as a whole, which for one pipeline is its bottleneck; `objective_ns` is the same, or the latency or the time of
    the batch where that is the objective. `constraints` are by their names in plan.json, with operations as they were
    given. `layout` tells the plan's pipelines, as `segsolve solve` does. The tuples of `front`, one per point of a
    Pareto front, hold TPUs, the time per inference and the latency in ns; the plan is that of the most throughput. The
    other tuples have one entry per stage, of all pipelines one after the other. `cuts` has one less, and none where the
    plan is no single pipeline cut from the execution order; `stage_replicas` is empty where every stage has one TPU.

    Of a workload on a pool, `model` is the workload's name, `models` has those of its models, `device` the kinds and
    counts, `asked_of_pool` what was asked besides, and there are no stages; its throughput are periods per second, in
    each of which every model does its weight, and `simple_ns` the period of the best simple use of the pool.
    """

    key: str
    model: str
    model_sha256: str | None
    device: str
    device_sha256: str
    memory_bytes: int
    tpus: int
    planner: str
    objective: str
    no_spill: bool
    time_limit_s: float | None
    seed: int
    workers: int
    segsolve: str
    ortools: str
    outcome: Outcome
    status: str | None = None
    proof: str | None = None
    stopped_by: str | None = None
    note: str | None = None
    objective_ns: int | None = None
    bound_ns: int | None = None
    gap: float | None = None
    throughput_fps: float | None = None
    latency_ns: int | None = None
    offchip_bytes: int | None = None
    one_tpu_ns: int | None = None
    cuts: tuple[int, ...] = ()
    stage_ns: tuple[int, ...] = ()
    stage_onchip_bytes: tuple[int, ...] = ()
    stage_offchip_bytes: tuple[int, ...] = ()
    error_kind: str | None = None
    error_message: str | None = None
    error_hint: str | None = None
    layout: str | None = None
    tpus_used: int | None = None
    stage_replicas: tuple[int, ...] = ()
    period_ns: int | None = None
    question_cuts: str = Cuts.AUTO
    batch: int | None = None
    constraints: Mapping[str, Any] = field(default_factory=dict)
    front: tuple[tuple[int, int, int], ...] = ()
    models: tuple[str, ...] = ()
    weights: tuple[int, ...] = ()
    wanted_scale_fps: float | None = None
    simple_ns: int | None = None
    best_without_copies: bool | None = None
    asked_of_pool: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_of_pool(self) -> bool:
        """Whether it is about a workload on a pool."""
        return self.planner == POOL

    @property
    def cost(self) -> int | None:
        """What the plan is worth in the objective's unit, ns or TPUs; less is better."""
        return self.tpus_used if self.objective == Objective.DEVICES else self.objective_ns

    @property
    def asked(self) -> str:
        """What was asked, in words; operations as they were given."""
        limits = found(self.constraints, None)
        question = Question(objective=Objective(self.objective), constraints=limits)
        if self.batch is not None:
            question = replace(question, batch=self.batch)
        words = [aim(question.objective).words(question), *limits.words]
        for key, given in self.constraints.items():
            if KINDS[key].names_operations:
                words += [f"{KINDS[key].option.flag} {text}" for text in given]
        words += [_CUTS[self.question_cuts]] if self.question_cuts in _CUTS else []
        return ", ".join(words)

    @property
    def order(self) -> tuple[str, str, str, int, str, str]:
        """The order of records in a finished file; the key makes it total."""
        return self.model, self.model_sha256 or "", self.device, self.tpus, self.planner, self.key

    @property
    def place(self) -> tuple[object, ...]:
        """What a record is about in the words of a report, in which a model or a device is only a name."""
        constraints = json.dumps([self.constraints, self.asked_of_pool], sort_keys=True)
        asked = self.objective, self.question_cuts, self.batch, constraints
        options = self.no_spill, self.time_limit_s, self.seed, self.workers, self.memory_bytes
        return self.model, self.device, self.tpus, self.planner, *asked, *options


def answered(job: Job, answer: Answer, one_tpu: Score) -> Record:
    """Return the record of a job that was answered."""
    record = _ended(job, answer, one_tpu)
    if answer.score is None or answer.plan is None:
        return record
    front = tuple((p.plan.tpus, p.score.period_ns, p.score.latency_ns) for p in answer.points)
    return replace(_with_plan(record, answer.plan, answer.score), front=front)


def _ended(job: Job, found: Answer, one_tpu: Score) -> Record:
    """Return how the search ended, without a plan; a search that was stopped before it found anything has failed."""
    if found.plan is None and found.status is Status.UNKNOWN and found.stopped_by is not Stop.FINISHED:
        return failed(job, "no_plan", f"{job.planner} found no plan: stopped by {found.stopped_by}", "give more time")
    return replace(
        blank(job),
        outcome=_outcome(found),
        status=str(found.status),
        proof=found.proof,
        stopped_by=str(found.stopped_by),
        note=found.note or None,
        objective_ns=found.objective_ns,
        bound_ns=found.bound_ns,
        gap=found.gap,
        one_tpu_ns=one_tpu.period_ns,
    )


def failed(job: AnyJob, kind: str, message: str, hint: str = "") -> Record:
    """Return the record of a job that has no answer, with the reason."""
    return replace(blank(job), error_kind=kind, error_message=message, error_hint=hint or None)


def kind_of(error: BaseException) -> str:
    """Return the word by which failures are told apart: the name of the exit code that a single command would have."""
    if isinstance(error, SegsolveError):
        return error.exit_code.name.lower()
    return "out_of_memory" if isinstance(error, MemoryError) else ExitCode.INTERNAL.name.lower()


def to_line(record: Record) -> str:
    """Return a record as a line of JSON, with its newline."""
    return json.dumps(asdict(record), separators=(",", ":")) + "\n"


def from_line(line: bytes) -> Record:
    """Return the record that a line holds.

    Raises:
        ValueError: it holds none.
    """
    record: Record = _adapter().validate_json(line)
    if not record.layout:  # an earlier segsolve recorded single pipelines only
        record = _of_one_pipeline(record)
    record = record if record.period_ns else replace(record, period_ns=record.objective_ns)  # and throughput
    _check(record)
    return record


def _check(record: Record) -> None:
    """Raise a ValueError if parts of a record contradict each other, or are not of this release."""
    costs = [record.period_ns, record.latency_ns, record.tpus_used, record.cost]
    costs += [] if record.is_of_pool else [record.one_tpu_ns]
    if record.outcome is Outcome.PLAN and (not all(costs) or record.offchip_bytes is None):
        raise ValueError("a plan without what it costs")
    if record.throughput_fps is not None and not 1 / _MOST < record.throughput_fps < _MOST:
        raise ValueError("a rate is out of range")
    numbers = (*(n or 0 for n in (*costs, record.offchip_bytes, record.objective_ns, record.bound_ns)), record.tpus)
    numbers += (record.memory_bytes, *record.stage_ns, record.simple_ns or 0)
    if record.gap is not None and not 0 <= record.gap <= 1:
        raise ValueError("a gap is out of range")
    numbers += (*record.cuts, *record.stage_replicas, *record.stage_onchip_bytes, *record.stage_offchip_bytes)
    if not all(0 <= n <= _MOST for n in (*numbers, *(n for point in record.front for n in point), record.batch or 0)):
        raise ValueError("a number is out of range")
    try:
        record.asked  # noqa: B018
    except (ArithmeticError, KeyError, TypeError, AttributeError, UsageError) as error:
        raise ValueError("it was asked for with what is not known") from error


@cache
def _adapter() -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(Record)


def _outcome(result: Answer) -> Outcome:
    if result.plan is not None:
        return Outcome.PLAN
    return Outcome.INFEASIBLE if result.status is Status.INFEASIBLE else Outcome.NO_PLAN


def _with_plan(record: Record, plan: Plan, score: PlanScore) -> Record:
    replicas = tuple(stage.replicas for pipeline in plan.pipelines for stage in pipeline.stages)
    stages = tuple(stage for pipeline in score.pipelines for stage in pipeline.stages)
    return replace(
        record,
        period_ns=score.period_ns,
        throughput_fps=score.throughput_fps if isfinite(score.throughput_fps) else None,
        latency_ns=score.latency_ns,
        offchip_bytes=score.offchip_bytes,
        cuts=plan.cuts or (),
        stage_ns=tuple(stage.time_ns for stage in stages),
        stage_onchip_bytes=tuple(stage.onchip_bytes for stage in stages),
        stage_offchip_bytes=tuple(stage.offchip_bytes for stage in stages),
        layout=plan.layout,
        tpus_used=plan.tpus,
        stage_replicas=replicas if max(replicas) > 1 else (),
    )


def _of_one_pipeline(record: Record) -> Record:
    """Complete an old record of a single pipeline with one TPU per stage, if it has a plan."""
    stages = len(record.stage_ns)
    return replace(record, layout=str(stages), tpus_used=stages) if stages else record


def blank(job: AnyJob) -> Record:
    """Return a job's record before anything is known of its result."""
    return Record(
        **members(job, "key", "tpus", "planner"),
        **members(job.versions, "segsolve", "ortools"),
        model=job.model.name,
        model_sha256=job.model.sha256,
        outcome=Outcome.FAILED,
        **(_of_pool(job) if isinstance(job, PoolJob) else _of_model(job)),
    )


def _of_pool(job: PoolJob) -> dict[str, Any]:
    return members(job.limits, "time_limit_s", "seed", "workers") | {
        "device": job.notation,
        "device_sha256": job.pool_sha256,
        "memory_bytes": 0,
        "objective": str(job.asked.get("objective", Objective.THROUGHPUT)),
        "no_spill": bool(job.asked.get("no_spill", False)),
        "models": tuple(model.name for model in job.models),
        "asked_of_pool": job.asked,
    }


def _of_model(job: Job) -> dict[str, Any]:
    return members(job.options, "time_limit_s", "seed", "workers", "no_spill", "batch") | {
        "device": job.device.name,
        "device_sha256": job.device_sha256,
        "memory_bytes": job.device.memory_bytes,
        "objective": job.options.objective,
        "question_cuts": job.options.cuts,
        "constraints": job.options.constraints,
    }
