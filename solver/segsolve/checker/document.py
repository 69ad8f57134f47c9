"""The certificate as a document: what it may say, and its reading. It is believed in nothing but its form.

Amounts are bounded so that no sum of a problem's costs leaves 64 bits.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from math import gcd
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from segsolve.checker.constraint import MOST_OPS, MOST_TOTAL, Amount, Count
from segsolve.checker.constraint import Op as OpNumber
from segsolve.checker.failure import CertificateFault, require
from segsolve.checker.kept import Constraints
from segsolve.checker.objectives import NAMES
from segsolve_runtime.contract.digest import digest
from segsolve_runtime.contract.files import read_bounded
from segsolve_runtime.contract.limits import CERTIFICATE
from segsolve_runtime.contract.plan import PlanFolder
from segsolve_runtime.contract.wording import first_fault

CERTIFICATE_FILE = "certificate.json"
"""The largest certificate that is read."""


def _printable(text: Any) -> Any:
    return text.encode(errors="replace").decode() if isinstance(text, str) else text


def _known(objective: str) -> str:
    require(objective in NAMES, f"is no objective; known are {', '.join(NAMES)}")
    return objective


_End = Annotated[int, Field(ge=0, le=MOST_OPS)]
_Ratio = Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=2, max_length=2)]
_Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
_Name = Annotated[str, BeforeValidator(_printable)]


class _Record(BaseModel):
    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Op(_Record):
    """What an operation costs; see `costs` for the meaning."""

    name: _Name
    compute_ns: Amount
    streamed_ns: Amount
    weight_bytes: Amount
    streamed_bytes: Amount
    parameter_bytes: Amount
    cacheable: bool
    cache_rank: Annotated[int, Field(ge=-MOST_TOTAL, le=MOST_TOTAL)]
    scratch_bytes: Amount
    cpu_ns: Amount | None = None
    on_accelerator: bool = True
    link_bytes: Amount = 0

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        require(self.streamed_ns >= self.compute_ns, "streams faster than it computes")
        return self


class Tensor(_Record):
    """A tensor: its maker (-1: the host), its readers, and what it costs to move in and out of a device."""

    name: _Name
    nbytes: Amount
    producer: Annotated[int, Field(ge=-1, lt=MOST_OPS)]
    consumers: list[OpNumber]
    is_output: bool
    input_ns: Amount
    output_ns: Amount
    scratch_bytes: Amount = 0

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        require(all(a < b for a, b in pairwise((self.producer, *self.consumers))), "is read before it is made")
        return self


class Measured(_Record):
    """The measured time of exactly the operations `first` to `end` (exclusive) as one stage."""

    first: OpNumber
    end: _End
    time_ns: Amount


class Link(_Record):
    """A link that all devices share."""

    ns_per_mib: Amount


class Host(_Record):
    """The host that feeds all devices: its cores, its ns for each stage of an inference, and for each inference.

    `work_ns` any core may do, `frame_ns` is in turn with the stages.
    """

    cores: Count
    serial_ns: Amount
    work_ns: Amount = 0
    frame_ns: Amount = 0


class Problem(_Record):
    """The costs that the optimum is the optimum of."""

    name: _Name
    ops: Annotated[list[Op], Field(min_length=1, max_length=MOST_OPS)]
    transfers: list[Tensor]
    cuts: list[OpNumber]
    tpus: Count
    cpus: Annotated[int, Field(ge=0)] = 0
    capacity_bytes: Amount
    overhead_ns: Amount
    no_spill: bool
    measured: list[Measured] = Field(default_factory=list)
    link: Link | None = None
    host: Host | None = None

    @property
    def sha256(self) -> str:
        """A digest of all costs, by which a verdict names them."""
        return digest(self.model_dump(mode="json"))

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        n = len(self.ops)
        require(all(a < b for a, b in pairwise((0, *self.cuts, n))), "its cuts do not ascend within the operations")
        ends = [max((t.producer, *t.consumers)) for t in self.transfers]
        require(max(ends, default=0) < n, "a tensor names an operation that does not exist")
        require(all(m.first < m.end <= n for m in self.measured), "a measured stage is no range of operations")
        require(self.host is None or not self.cpus, "its cores run stages of their own, and yet are the host's")
        require(len({(m.first, m.end) for m in self.measured}) == len(self.measured), "a stage is measured twice")
        require(_total(self) <= MOST_TOTAL, "its costs are too large to be added up")
        return self


class Question(_Record):
    """What the plan is best at, and under which constraints."""

    objective: Annotated[str, AfterValidator(_known), Field(json_schema_extra={"enum": list(NAMES)})]
    layout: Literal["any", "pipeline"]
    cuts: Literal["auto", "chain", "dag"]
    batch: Annotated[int, Field(ge=1, le=10**9)]
    constraints: Constraints


class Claim(_Record):
    """That no pipeline of at most `tpus` devices stays below `below_ns`, or that each such one costs `at_least`.

    With `most_stages`, of pipelines of at most so many stages.
    """

    tpus: Count
    most_stages: Count | None = None
    below_ns: Amount | None
    cost: Literal["latency", "bytes", "stages"] | None = None
    at_least: Amount | None = None
    potentials: list[list[list[Amount | None]]]

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        require((self.cost is None) == (self.at_least is None), "names a cost without a bound, or a bound without")
        return self


Steps = list[tuple[Annotated[int, Field(ge=0, lt=2**20)], Count]]
"""A pipeline: for each stage the state that it ends at, and its replicas."""


class Binding(_Record):
    """What a certificate is of: the model's file, and the content of plan.json but for the certificate's own digest."""

    model_sha256: _Sha256
    plan_sha256: _Sha256


class Certificate(_Record):
    """A certificate as a whole; `value`, `bound` and the rates of `points` are (numerator, denominator).

    With a `bound`, less is proven than that no plan has a smaller value: that none is below the bound.
    `points` are those of a Pareto front: TPUs, latency in ns, inferences per ns; `plans` is a plan for each, by its
    pipelines. Version 1 had neither `binding` nor `plans`.
    """

    format: Literal["segsolve-certificate"]
    version: Literal[1, 2]
    binding: Binding | None = None
    problem: Problem
    question: Question
    replicate: bool
    value: _Ratio
    bound: _Ratio | None = None
    states: Annotated[list[Annotated[str, Field(pattern="^[0-9a-f]+$")]], Field(min_length=2)]
    claims: list[Claim]
    points: list[tuple[Count, Amount, _Ratio]] = Field(default_factory=list)
    plans: list[Annotated[list[Annotated[Steps, Field(min_length=1)]], Field(min_length=1)]] | None = None

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        require(self.version > 1 or (self.binding is None and self.plans is None), "is of a later version than it says")
        named = (op for constraint in self.question.constraints.all for op in constraint.operations)
        n = len(self.problem.ops)
        require(all(op < n for op in named), "a constraint names an operation that does not exist")
        ratios = [self.value, *([self.bound] if self.bound else []), *(point[2] for point in self.points)]
        require(all(bottom > 0 for _, bottom in ratios), "a value is divided by zero")
        require(all(gcd(*ratio) == 1 for ratio in ratios), "a value is not in lowest terms")
        require(self.bound is None or self.question.objective == "batch", "has a bound of what is no batch")
        require(self.bound is None or self.proven < Fraction(*self.value), "its bound is not below its value")
        return self

    @property
    def proven(self) -> Fraction:
        """What no plan is below: the bound, or else the value."""
        return Fraction(*(self.bound or self.value))


def read_certificate(folder: PlanFolder) -> Certificate:
    """Return the certificate of a plan's folder.

    Raises:
        CertificateFault: it cannot be read, is no certificate, or is not the one that plan.json names.
    """
    try:
        content = read_bounded(folder.root / CERTIFICATE_FILE, CERTIFICATE)
        text = content.decode("utf-8")
    except OSError as error:
        raise CertificateFault(f"{CERTIFICATE_FILE} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise CertificateFault(f"{CERTIFICATE_FILE} cannot be read: {error}") from None
    certificate = parse(text)
    _check_binding(folder, certificate, hashlib.sha256(content).hexdigest())
    return certificate


def parse(text: str) -> Certificate:
    """Return the certificate that a text says.

    Raises:
        CertificateFault: it is none.
    """
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CertificateFault(f"{CERTIFICATE_FILE} is not JSON: {error}") from None
    try:
        return Certificate.model_validate(_with_tuples(document))
    except ValidationError as error:
        why = first_fault(error, "the document")
        raise CertificateFault(f"{CERTIFICATE_FILE} is no valid certificate: {why}") from None


def _check_binding(folder: PlanFolder, certificate: Certificate, sha256: str) -> None:
    """Check that plan and certificate name each other, or that neither does, as in folders of older releases."""
    named, binding = folder.plan.certificate_sha256, certificate.binding
    if named is None and binding is None:
        return
    if named != sha256:
        raise CertificateFault(f"{CERTIFICATE_FILE} is not the one that plan.json was written with")
    if binding is None or binding.plan_sha256 != folder.content_sha256:
        raise CertificateFault(f"plan.json is not the one that {CERTIFICATE_FILE} was written for")
    if binding.model_sha256 != folder.plan.model.sha256:
        raise CertificateFault(f"{CERTIFICATE_FILE} is about another model than plan.json")


def _with_tuples(document: Any) -> Any:
    """Return a document with tuples where the model has some, since JSON knows none."""
    if not isinstance(document, dict):
        return document
    points, plans = document.get("points"), document.get("plans")
    return document | {
        "points": [] if points is None else _mapped(points, _tuple),
        "plans": _mapped(plans, lambda plan: _mapped(plan, lambda steps: _mapped(steps, _tuple))),
    }


def _mapped(parts: Any, change: Callable[[Any], Any]) -> Any:
    return [change(part) for part in parts] if isinstance(parts, list) else parts


def _tuple(part: Any) -> Any:
    return tuple(part) if isinstance(part, list) else part


def _total(problem: Problem) -> int:
    """Return more than any sum of costs that a check forms."""
    ops = sum(
        op.streamed_ns + op.weight_bytes + op.streamed_bytes + op.scratch_bytes + op.link_bytes for op in problem.ops
    )
    tensors = sum(t.nbytes + t.input_ns + t.output_ns + t.scratch_bytes for t in problem.transfers)
    measured = max((m.time_ns for m in problem.measured), default=0)
    of = problem.host
    host = of.work_ns + of.frame_ns + of.serial_ns * len(problem.ops) if of else 0
    return host + ops + tensors * (len(problem.ops) + 1) + measured + problem.overhead_ns + problem.capacity_bytes
