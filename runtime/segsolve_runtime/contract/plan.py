"""The plan file: the contract between the solver, which writes it, and the runtime, which executes it.

A plan is a folder with ``plan.json`` and the segment files that it names. `load_plan` refuses a folder whose
files are missing, were altered since they were written, or lie outside of it.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from segsolve_runtime.contract.changes import WORK, settle
from segsolve_runtime.contract.digest import digest, digested_schema, read_digested
from segsolve_runtime.contract.files import is_file, is_there, read_bounded_text, resolved
from segsolve_runtime.contract.limits import DOCUMENT
from segsolve_runtime.contract.planrules import MOST_DEVICES, check_plan, check_stage
from segsolve_runtime.contract.start import Start
from segsolve_runtime.contract.wording import shortened
from segsolve_runtime.errors import PlanError

PLAN_FILE = "plan.json"
POOL_FILE = "pool.json"
"""Of the plan of a pool, whose models have plans of their own (`pool`)."""
BEFORE_FILE = "before.json"
"""What `segsolve build --compile` found as ``plan.json``, if it put a better plan there."""
VERSION: Final = 2

_MOST = 2**62  # of a time in ns or a size in bytes
_MOST_OPERATIONS = 10**6
_LONGEST_NAME = 255  # of a file, on all usual file systems
_Count = Field(ge=0, le=_MOST)
_Position = Annotated[int, Field(ge=0, lt=_MOST_OPERATIONS)]
_Whole = Annotated[int, Field(ge=-(2**63), lt=2**63)]
_Sha256 = Field(pattern=r"^[0-9a-f]{64}$")
_Span = Annotated[list[_Position], Field(min_length=2, max_length=2)]


class _Record(BaseModel):
    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class TensorSpec(_Record):
    """A tensor that enters a segment or leaves one."""

    name: str = Field(min_length=1)
    dtype: str = Field(description="numpy's name of the element type, e.g. int8")
    shape: list[_Whole]
    scale: float | None = Field(default=None, description="per-tensor quantisation: real = scale * (q - zero_point)")
    zero_point: _Whole | None = None
    low: _Whole | None = Field(default=None, description="least value that this input may have, if not all")
    high: _Whole | None = Field(default=None, description="greatest value, inclusive")
    values: list[_Whole] | None = Field(default=None, description="the only values that it may have: a shape, say")


class StagePrediction(_Record):
    """What the device model predicts for one inference of a stage; times in ns, sizes in bytes."""

    time_ns: int = _Count
    overhead_ns: int = Field(ge=0, le=_MOST, description="fixed cost of an invocation")
    compute_ns: int = Field(ge=0, le=_MOST, description="all operations with their weights on chip")
    stream_ns: int = Field(ge=0, le=_MOST, description="time added by weights that are streamed from the host")
    input_ns: int = _Count
    output_ns: int = _Count
    correction_ns: int = Field(
        default=0,
        ge=-_MOST,
        le=_MOST,
        description="what a measurement of the whole stage differs by from the other terms; may be negative",
    )
    onchip_bytes: int = _Count
    offchip_bytes: int = _Count
    capacity_bytes: int = Field(
        ge=0, le=_MOST, description="on-chip bytes that this stage's activations leave for weights"
    )
    input_bytes: int = _Count
    output_bytes: int = _Count
    link_bytes: int = Field(
        default=0, ge=0, le=_MOST, description="what a shared link carries beside tensors and weights"
    )
    spilled_ops: list[_Position] = Field(description="positions of the operations whose weights are streamed")

    @property
    def moved_bytes(self) -> int:
        """What one inference of the stage takes of a shared link."""
        return self.input_bytes + self.output_bytes + self.offchip_bytes + self.link_bytes


class Stage(_Record):
    """One segment, and the devices that run it."""

    file: str = Field(
        default="",
        description="path of the segment, relative to the plan's folder, with forward slashes; empty in plans of costs "
        "alone",
    )
    sha256: str = Field(default="", pattern=r"^([0-9a-f]{64})?$")
    bytes: int = Field(default=0, ge=0, le=_MOST)
    operations: list[str] = Field(
        default=[], description="in plans of costs alone: what the file of costs calls the stage's operations"
    )
    first_op: _Position = Field(description="position of the first operation in the execution order")
    last_op: _Position = Field(description="position of the last operation, inclusive")
    op_ranges: list[_Span] = Field(
        min_length=1, description="[first, last] of each run of operations, inclusive, ascending; several in a DAG cut"
    )
    replicas: int = Field(
        default=1, ge=1, le=MOST_DEVICES, description="devices that run this segment, an inference each in turn"
    )
    processor: Literal["edgetpu", "cpu"] = "edgetpu"
    inputs: list[str] = Field(description="names of the tensors that the segment takes, in its own order")
    outputs: list[str] = Field(description="names of the tensors that the segment makes for others, in its own order")
    prediction: StagePrediction

    @property
    def ops(self) -> tuple[int, ...]:
        """Positions of its operations, ascending."""
        return tuple(chain.from_iterable(range(first, last + 1) for first, last in self.op_ranges))

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        check_stage(self)
        return self


class PlanPipeline(_Record):
    """Stages in an order in which every tensor is made before it is taken; together they are the whole model."""

    stages: list[Stage] = Field(min_length=1)


class ModelReference(_Record):
    """The whole model that was segmented, or the costs alone; it is not part of the plan's folder."""

    name: str
    sha256: str = _Sha256
    bytes: int = _Count
    operations: int = Field(ge=1, le=_MOST_OPERATIONS)
    path: str | None = Field(default=None, description="where it was when the plan was written, from the plan's folder")
    signature: str | None = Field(default=None, description="the one that was taken of a file with several")
    state: str | None = Field(
        default=None, description="what it keeps from one inference to the next; none if every inference stands alone"
    )
    plain_kernels: bool = Field(
        default=False,
        description="whether segments run without LiteRT's default delegate, which rounds otherwise than it, and "
        "takes another part of the whole model than of them",
    )
    costs_only: bool = Field(
        default=False, description="true: a graph or a profile was solved, and there are no model and no segments"
    )


class Question(_Record):
    """What was asked for; operations are positions in the execution order, stages count from 0.

    Further fields are constraints that the solver knows; nothing here depends on them.
    """

    model_config = ConfigDict(extra="allow")

    objective: str = Field(pattern="^[a-z]+$", description="e.g. throughput, latency, batch, devices, pareto")
    layout: Literal["any", "pipeline"] = Field(description="any pipelines side by side, or one, a device per stage")
    cuts: Literal["auto", "chain", "dag"] = Field(description="where the network might be cut")
    batch: int | None = Field(
        default=None, ge=1, le=_MOST, description="inferences that all wait, for the objective batch"
    )
    no_spill: bool = Field(default=False, description="whether no weights may stream because they do not fit")
    max_latency_ns: int | None = Field(default=None, ge=1, le=_MOST)
    min_fps: float | None = Field(default=None, gt=0)
    max_stages: int | None = Field(default=None, ge=1, le=_MOST)
    cut_before: list[_Position] = Field(default=[], description="operations that begin a stage")
    no_cut_before: list[_Position] = Field(default=[], description="operations that begin none")
    keep_together: list[list[_Position]] = Field(default=[], description="operations that share a stage")
    pins: list[_Span] = Field(default=[], description="[operation, its stage]")


class Confirmation(_Record):
    """A second argument that ran and agreed with the answer."""

    by: str = Field(description="what ran, e.g. cp-sat, evaluator, exact probe, certificate, highs")
    claim: str = Field(description="what it agreed on")
    strength: str = Field(description="how strong that is, e.g. exact")
    seconds: float = Field(ge=0, description="what it took")


class FrontPoint(_Record):
    """A plan of a Pareto front, which no other betters in TPUs, throughput and latency at once; predicted."""

    tpus: int = Field(ge=0, le=MOST_DEVICES)
    layout: str
    throughput_fps: float = Field(ge=0)
    period_ns: int = Field(ge=0, le=_MOST)
    latency_ns: int = Field(ge=0, le=_MOST)


class Solution(_Record):
    """How the plan was found and what is known about its quality; the solver's status, in its terms."""

    planner: str
    status: Literal["optimal", "feasible"]
    objective: str = Field(description="what was minimised or maximised, e.g. throughput")
    layout: str = Field(description="devices of each pipeline: 4, 3+3+2, 2x4; in brackets replicas: 4[1,2,1]")
    cuts: Literal["chain", "dag"] = Field(
        description="what the bound holds for: all cuts of the execution order, or all cuts of the graph"
    )
    objective_ns: int = Field(
        ge=0,
        le=_MOST,
        description="what was minimised, if it is a time: the predicted time per inference of all pipelines together "
        "(of one, its bottleneck stage's), of one inference, or of a batch; else the time per inference",
    )
    bound_ns: int = Field(ge=0, le=_MOST, description="no plan under the same costs has a smaller objective_ns")
    gap: float = Field(ge=0, description="(objective_ns - bound_ns) / objective_ns")
    proof: str | None = Field(description="the argument, independent of the planner, that confirmed the bound")
    stopped_by: str = Field(description="why the planner stopped: finished, time limit, interrupted")
    wall_s: float = Field(ge=0)
    seed: _Whole
    throughput_fps: float = Field(ge=0, description="predicted")
    latency_ns: int = Field(ge=0, le=_MOST, description="predicted time of one inference through all stages")
    tpus_requested: int = Field(ge=1, le=MOST_DEVICES)
    question: Question | None = Field(
        default=None, description="what was asked of tpus_requested TPUs; none in plans of releases that kept no record"
    )
    found_by: str = Field(default="", description="what found the plan; empty in plans of older releases")
    confirmed_by: list[Confirmation] = Field(default=[], description="what else ran and agreed, and on what")
    points: list[FrontPoint] = Field(default=[], description="of a Pareto front, by TPUs and latency")
    point: int | None = Field(
        default=None,
        ge=1,
        description="which of the points, from 1 on, was picked; none: that of most throughput",
    )
    best_over: str | None = Field(
        default=None,
        description="what a plan that is not optimal over all that was asked is yet the best of, e.g. execution order",
    )


class Host(_Record):
    """The host that feeds all devices."""

    cores: int = Field(ge=1, le=_MOST, description="of its CPU, for operations that fall back and for the runtime")
    serial_ns: int = Field(ge=0, le=_MOST, description="in which it drives a stage of an inference and no other")
    work_ns: int = Field(
        ge=0, le=_MOST, description="what the operations of an inference take of a core that fall back"
    )
    frame_ns: int = Field(
        default=0,
        ge=0,
        le=_MOST,
        description="in which it hands over an inference's inputs and outputs and does no more",
    )


class Device(_Record):
    """The device description that the predictions rest on."""

    name: str
    memory_bytes: int = _Count
    link_ns_per_mib: int | None = Field(
        default=None,
        ge=0,
        le=_MOST,
        description="time that a MiB occupies a link that all devices share; none if each has its own",
    )
    host: Host | None = Field(default=None, description="bounds the rate of all pipelines together; none: it does not")
    optimistic: bool = Field(default=False, description="true: what no rule is known for takes none of its memory")
    start: Start | None = Field(default=None, description="what it takes before its first result; none: not known")


class Plan(_Record):
    """The content of ``plan.json``."""

    format: Literal["segsolve-plan"] = "segsolve-plan"
    version: Literal[2] = VERSION
    model: ModelReference
    device: Device
    solution: Solution
    tensors: list[TensorSpec]
    inputs: list[str] = Field(description="the model's inputs in its own order")
    outputs: list[str] = Field(description="the model's outputs in its own order")
    pipelines: list[PlanPipeline] = Field(min_length=1, description="independent; together they serve one stream")
    provenance: dict[str, str] = Field(description="versions of what made the plan")
    certificate_sha256: str | None = Field(
        default=None,
        pattern=r"^[0-9a-f]{64}$",
        description="of certificate.json; none without one, and in plans of releases that did not bind the two",
    )

    def tensor(self, name: str) -> TensorSpec:
        """Return the specification of the tensor called `name` (KeyError if the plan has none)."""
        return tensors_by_name(self.tensors)[name]

    @property
    def all_stages(self) -> tuple[Stage, ...]:
        """The stages of all pipelines, one pipeline after the other."""
        return tuple(chain.from_iterable(pipeline.stages for pipeline in self.pipelines))

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        check_plan(self)
        return self


def tensors_by_name(tensors: list[TensorSpec]) -> dict[str, TensorSpec]:
    """Index tensor specifications by their names."""
    return {t.name: t for t in tensors}


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanFolder:
    """A plan whose files were all found unaltered.

    `content_sha256` is what its certificate knows the plan by: `content_sha256` of its document.
    """

    root: Path
    plan: Plan
    content_sha256: str

    def segment_paths(self) -> tuple[Path, ...]:
        """Absolute paths of the segment files, in the order of `Plan.all_stages`."""
        return tuple(self.root / stage.file for stage in self.plan.all_stages)

    def check_unchanged(self) -> None:
        """Find out whether the folder still holds this plan, and nobody is about to change that.

        Raises:
            PlanError: it does not: another command has written there.
        """
        if is_there(self.root / WORK) or _parse(self.root / PLAN_FILE)[1] != self.content_sha256:
            raise PlanError(f"another command changed the plan {self.root} while it was read; do it again")


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's content as 64 hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def content_sha256(plan: Plan) -> str:
    """Return the digest of a plan without its certificate's, by which the certificate names it."""
    return _content_sha256(plan.model_dump(mode="json"))


def plan_schema() -> dict[str, Any]:
    """Return the JSON Schema of ``plan.json``."""
    return digested_schema(Plan)


def is_pool(folder: Path) -> bool:
    """Whether a folder holds the plan of a pool, or will once a change that was decided there is finished."""
    with suppress(OSError):
        settle(folder)
    return is_file(folder / POOL_FILE) or folder.name == POOL_FILE


def load_plan(folder: Path, *, costs_only: bool = False) -> PlanFolder:
    """Read and verify a plan folder; what a killed command left there is finished or removed before.

    `costs_only` takes a plan of costs alone, too, which has no segments.

    Raises:
        PlanError: the folder or a file is missing or unreadable, of another version, altered, or outside.
    """
    root = folder.parent if folder.name == PLAN_FILE else folder
    try:
        settle(root)
    except OSError as error:
        why = error.strerror or error
        raise PlanError(f"what a killed command began to write into {root} cannot be finished: {why}") from None
    plan, content = _parse(root / PLAN_FILE)
    if plan.model.costs_only and not costs_only:
        raise PlanError(
            f"the plan {root} was made of the costs in {plan.model.name} alone: there is no model behind it"
        )
    for stage in {stage.file: stage for stage in plan.all_stages if stage.file}.values():
        _check_segment(root, stage)
    return PlanFolder(root=resolved(root), plan=plan, content_sha256=content)


def load_before(folder: Path) -> Plan | None:
    """Return the plan that was in a folder before `segsolve build --compile` solved again; None if it did not.

    Raises:
        PlanError: its record is unreadable or altered.
    """
    path = folder / BEFORE_FILE
    return _parse(path)[0] if is_there(path) else None


def _content_sha256(document: dict[str, Any]) -> str:
    return digest({name: member for name, member in document.items() if name != "certificate_sha256"})


def _parse(path: Path) -> tuple[Plan, str]:
    """Return a plan and the digest by which its certificate names it."""
    document = _read(path)
    plan, is_unaltered = read_digested(path, document, Plan, what="a segsolve plan")
    for stage in plan.all_stages if not plan.model.costs_only else ():
        if not _is_name(stage.file):
            raise PlanError(f"{path} names {shortened(stage.file)!r}, which cannot be a file's name; refused")
        if not _is_inside(stage.file):
            raise PlanError(f"{path} names {shortened(stage.file)!r}, which leaves the plan's folder; refused")
    if not is_unaltered:
        raise PlanError(f"{path} was altered after it was written; solve again instead of editing it")
    return plan, _content_sha256(document)


def _read(path: Path) -> Any:
    try:
        return json.loads(read_bounded_text(path, DOCUMENT))
    except FileNotFoundError:
        if is_file(path.parent / POOL_FILE):
            where = f"{path.parent} is the plan of a pool, which this command does not take"
            raise PlanError(f"{where}; those of its models are under models/") from None
        held = min((str(p.parent) for p in path.parent.glob(f"*/{PLAN_FILE}")), default=None)  # as of `solve --within`
        instead = f"name one that is in it: {held}" if held else "make one with: segsolve solve MODEL -o DIR"
        raise PlanError(f"{path.parent} holds no {PLAN_FILE}; {instead}") from None
    except NotADirectoryError:
        around = (p for p in path.parent.parents if any(is_file(p / name) for name in (PLAN_FILE, POOL_FILE)))
        named = next((f"name {folder}" for folder in around), "name the one that segsolve solve MODEL -o DIR wrote")
        raise PlanError(f"{path.parent} is a file, and a plan is a folder: {named}") from None
    except OSError as error:
        raise PlanError(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise PlanError(f"{path} cannot be read: it is not JSON: {error}") from None


def _is_name(file: str) -> bool:
    return file.isprintable() and all(len(part.encode()) <= _LONGEST_NAME for part in PurePosixPath(file).parts)


def _is_inside(file: str) -> bool:
    path = PurePosixPath(file)
    return not (path.is_absolute() or ".." in path.parts or "\\" in file or ":" in file or file != str(path))


def _check_segment(root: Path, stage: Stage) -> None:
    path = root / stage.file
    try:
        if not path.is_file():
            raise PlanError(f"the plan's segment {path} is missing; solve again with -o")
        if not resolved(path).is_relative_to(resolved(root)):
            raise PlanError(f"the plan's segment {path} is a link that leaves the plan's folder; refused")
        altered = path.stat().st_size != stage.bytes or file_sha256(path) != stage.sha256
    except OSError as error:
        raise PlanError(f"the plan's segment {path} cannot be read: {error.strerror}") from None
    if altered:
        raise PlanError(f"the plan's segment {path} was altered after it was written; solve again with -o")
