"""The certificate of a pool as a document; it is believed in nothing but its form."""

from __future__ import annotations

import hashlib
import json
from fractions import Fraction
from math import gcd
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from segsolve.checker.constraint import MOST_TOTAL, Flags, Mask, Op, without
from segsolve.checker.document import CERTIFICATE_FILE, Problem
from segsolve.checker.failure import CertificateFault, require
from segsolve.checker.kept import Constraints
from segsolve_runtime.contract.digest import digest
from segsolve_runtime.contract.files import read_bounded
from segsolve_runtime.contract.limits import CERTIFICATE
from segsolve_runtime.contract.pool import PoolFolder
from segsolve_runtime.contract.wording import first_fault

_Amount = Annotated[int, Field(ge=0, le=MOST_TOTAL)]
_Count = Annotated[int, Field(ge=1, le=4096)]
_Index = Annotated[int, Field(ge=0, le=10**6)]
_Ratio = Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=2, max_length=2)]
_Pair = Annotated[list[_Index], Field(min_length=2, max_length=2)]


class _Record(BaseModel):
    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Kind(_Record):
    """Devices that are alike."""

    name: str
    count: _Count
    link: str | None


class PoolLink(_Record):
    """A link that devices share."""

    name: str
    ns_per_mib: _Amount


class Pin(_Record):
    """Operations, first and last inclusive, that run on devices of a kind."""

    first: Op
    last: Op
    kind: str

    @property
    def words(self) -> str:
        """What is asked, to follow "plans"."""
        one = self.first == self.last
        ops = f"operation {self.first}" if one else f"operations {self.first} to {self.last}"
        return f"with {ops} on {self.kind}"


class Model(_Record):
    """A model, its inferences per period, what each of its pipelines keeps, and where its operations run."""

    name: str
    weight: Annotated[int, Field(ge=1, le=10_000)]
    constraints: Constraints = Constraints()
    pins: list[Pin] = []

    @property
    def words(self) -> list[str]:
        """What is asked of it, a few words each, to follow "plans"."""
        return [*(words for c in self.constraints.all for words in c.words), *(pin.words for pin in self.pins)]

    def elsewhere(self, kind: str) -> list[Pin]:
        """Return what may not run on a kind."""
        return [pin for pin in self.pins if pin.kind != kind]

    def masks(self, kind: str, members: Flags) -> list[Mask]:
        """Return what leaves the stages that a kind may run, where `members` [states, operations] are done."""
        found = [mask for constraint in self.constraints.all for mask in constraint.masks(members)]
        return found + [without(members, pin.first, pin.last) for pin in self.elsewhere(kind)]


class PoolStage(_Record):
    """Runs of operations, first and last inclusive, and the devices that run them in turn."""

    ops: Annotated[list[_Pair], Field(min_length=1)]
    devices: Annotated[list[_Index], Field(min_length=1)]

    @property
    def members(self) -> tuple[int, ...]:
        """Its operations."""
        return tuple(op for first, last in self.ops for op in range(first, last + 1))


class PoolPipeline(_Record):
    """Stages of a model, and the part of its inferences that they do; none: all its pipelines do what they can."""

    model: _Index
    share: _Ratio | None
    stages: Annotated[list[PoolStage], Field(min_length=1)]


class Leaf(_Record):
    """Potentials of the states of each model: no device of a kind is worth more than that kind's of `worths`."""

    potentials: list[list[Annotated[int, Field(ge=0, le=2**40)]]]
    worths: list[Annotated[int, Field(ge=0, le=2**50)]]


class Cut(_Record):
    """Plans are split by whether they cut a model at one of its states from the first to the last, or at none."""

    split: Annotated[list[_Index], Field(min_length=3, max_length=3)]


class Shared(_Record):
    """That no plan of shared TPUs has a period of `period_ns` or less.

    `nodes` are a tree: a split, then what proves the plans that are cut there, then what proves the others.
    """

    period_ns: _Amount
    nodes: Annotated[list[Leaf | Cut], Field(min_length=1, max_length=10_000)]

    @model_validator(mode="before")
    @classmethod
    def _of_one_leaf(cls, value: Any) -> Any:
        """Certificates of before 2026-11-29, 10:00, have one leaf and no tree."""
        if isinstance(value, dict) and "nodes" not in value:
            leaf = {name: value[name] for name in ("potentials", "worths") if name in value}
            return {name: each for name, each in value.items() if name not in leaf} | {"nodes": [leaf]}
        return value


class Binding(_Record):
    """What a certificate is of: the content of pool.json but for the certificate's digest, and the models' files."""

    pool_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    models: list[Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]]


class PoolCertificate(_Record):
    """A certificate as a whole; `value` and the bounds are in ns, (numerator, denominator).

    They are periods, or for the objective of latency worst latencies, of plans that make `wanted` periods per second.
    `without_copies` bounds plans without copies of models on shared devices. `prices` are those of each kind's time,
    each kind's memory, each link's time, the host's and its cores', and, for that objective, of each model's latency
    and of each kind's turns, which older releases had not.
    """

    format: Literal["segsolve-pool-certificate"]
    version: Literal[1]
    binding: Binding
    kinds: Annotated[list[Kind], Field(min_length=1, max_length=16)]
    links: list[PoolLink]
    models: Annotated[list[Model], Field(min_length=1, max_length=64)]
    objective: Literal["throughput", "latency"] = "throughput"
    wanted: _Ratio | None = None
    sharing: Literal["auto", "never", "co-compiled"]
    problems: list[list[Problem]]
    pipelines: Annotated[list[PoolPipeline], Field(min_length=1)]
    residents: list[list[_Pair]]
    value: _Ratio
    bound: _Ratio
    without_copies: _Ratio | None
    prices: list[Annotated[int, Field(ge=0, le=2**50)]] | None
    shared: Shared | None

    @property
    def devices(self) -> list[int]:
        """The kind of each device."""
        return [k for k, kind in enumerate(self.kinds) for _ in range(kind.count)]

    @property
    def host_cores(self) -> int:
        """The cores of the host, the fewest that is said of it; 0: its time is left aside."""
        return min(problem.host.cores if problem.host else 0 for row in self.problems for problem in row)

    def host_ns(self, model: int, kind: int) -> tuple[int, int, int]:
        """Return what a stage occupies the host for, and what a first one does besides, and any of its cores; ns."""
        host = self.problems[model][kind].host
        return (host.serial_ns, host.frame_ns, host.work_ns) if host and self.host_cores else (0, 0, 0)

    @property
    def costs_sha256(self) -> str:
        """A digest of all costs, by which a verdict names them."""
        links = [[link.name, link.ns_per_mib] for link in self.links]
        return digest({"problems": [[problem.sha256 for problem in row] for row in self.problems], "links": links})

    @property
    def claimed(self) -> tuple[Fraction, Fraction]:
        """The value and the bound."""
        return Fraction(*self.value), Fraction(*self.bound)

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        ratios = [self.value, self.bound, *(r for r in (self.without_copies,) if r)]
        ratios += [self.wanted] if self.wanted else []
        ratios += [pipeline.share for pipeline in self.pipelines if pipeline.share]
        require(all(d > 0 and gcd(n, d) == 1 for n, d in ratios), "a value is no fraction")
        known = {2 * len(self.kinds) + len(self.links) + 2}
        if self.objective == "latency":
            known = {min(known) + len(self.models) + more for more in (0, len(self.kinds))}
        require(self.objective != "latency" or self.wanted is not None, "it does not say at which rates")
        require(self.wanted is None or self.wanted[0] > 0, "the rates that are wanted are none")
        require(self.prices is None or len(self.prices) in known, "it has not the prices of all resources")
        require(len(self.problems) == len(self.models), "it has not the costs of every model")
        require(all(len(row) == len(self.kinds) for row in self.problems), "it has not the costs on every kind")
        for row in self.problems:
            require(len({(len(p.ops), tuple(p.cuts)) for p in row}) == 1, "a model's cuts differ from kind to kind")
        for column in zip(*self.problems, strict=True):
            require(len({p.capacity_bytes for p in column}) == 1, "a kind's memory differs from model to model")
        require(all(p.model < len(self.models) for p in self.pipelines), "a pipeline is of no model that there is")
        require(len(self.residents) == len(self.devices), "the residents are not those of the devices")
        known_kinds = {kind.name for kind in self.kinds}
        require(all(p.kind in known_kinds for m in self.models for p in m.pins), "a pin is to no kind that there is")
        names = {link.name for link in self.links}
        require(all(k.link is None or k.link in names for k in self.kinds), "a kind's link is not there")
        require(len(names) == len(self.links), "two links have the same name")
        if self.shared is not None:
            require(self.objective == "throughput", "potentials are about periods, and say nothing of latencies")
            states = [len(row[0].cuts) + 2 for row in self.problems]
            leaves = [node for node in self.shared.nodes if isinstance(node, Leaf)]
            fits = all([len(own) for own in leaf.potentials] == states for leaf in leaves)
            require(fits, "potentials are not those of the states")
            require(all(len(leaf.worths) == len(self.kinds) for leaf in leaves), "a kind has no worth")
        return self


def read_certificate(folder: PoolFolder) -> PoolCertificate:
    """Return the certificate of a pool's folder.

    Raises:
        CertificateFault: it cannot be read, is no certificate, or is not the one that the folder was written with.
    """
    try:
        content = read_bounded(folder.root / CERTIFICATE_FILE, CERTIFICATE)
    except OSError as error:
        raise CertificateFault(f"{CERTIFICATE_FILE} cannot be read: {error.strerror}") from None
    found = parse(content)
    if folder.pool.certificate_sha256 != hashlib.sha256(content).hexdigest():
        raise CertificateFault(f"{CERTIFICATE_FILE} is not the one that pool.json was written with")
    if found.binding.pool_sha256 != folder.content_sha256:
        raise CertificateFault(f"pool.json is not the one that {CERTIFICATE_FILE} was written for")
    if found.binding.models != [plan.plan.model.sha256 for plan in folder.plans]:
        raise CertificateFault(f"{CERTIFICATE_FILE} is about other models than the plans")
    return found


def parse(content: bytes) -> PoolCertificate:
    """Return the certificate that a text says.

    Raises:
        CertificateFault: it is none.
    """
    try:
        document: Any = json.loads(content)
        return PoolCertificate.model_validate(document)
    except ValidationError as error:
        why = first_fault(error, "the document")
        raise CertificateFault(f"{CERTIFICATE_FILE} is no valid certificate of a pool: {why}") from None
    except (ValueError, RecursionError) as error:
        raise CertificateFault(f"{CERTIFICATE_FILE} is not JSON: {error}") from None
