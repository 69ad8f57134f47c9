"""The file of a pool's plan: which models run where, and who shares a device with whom.

A folder with ``pool.json`` holds a plan's folder for each model, under ``models/``. Each of those is a plan as it
always was; the pool's file says which device runs each of its places, in which order the residents of a device were
co-compiled, and at which rates the models run together.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from segsolve_runtime.contract.changes import settle
from segsolve_runtime.contract.digest import digest, digested_schema, read_digested
from segsolve_runtime.contract.files import read_bounded_text, resolved
from segsolve_runtime.contract.limits import DOCUMENT
from segsolve_runtime.contract.places import Place, places
from segsolve_runtime.contract.plan import POOL_FILE, PlanFolder, load_plan
from segsolve_runtime.errors import PlanError

VERSION: Final = 1

_MOST = 2**62
_Count = Annotated[int, Field(ge=0, le=_MOST)]
_Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
_Share = Annotated[str, Field(pattern=r"^[1-9]\d{0,999}(/[1-9]\d{0,999})?$")]
_Name = Annotated[str, Field(min_length=1, max_length=200)]


class _Record(BaseModel):
    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class PoolKind(_Record):
    """Devices that are alike."""

    name: _Name
    count: Annotated[int, Field(ge=1, le=2**16)]
    device: str = Field(description="the device description or profile that the costs come from")
    memory_bytes: _Count
    optimistic: bool = Field(default=False, description="what no rule is known for takes nothing of the memory")
    link: str | None = Field(default=None, description="name of the link that they share with others")


class PoolLink(_Record):
    """A link that devices share."""

    name: _Name
    ns_per_mib: _Count
    load_ns: _Count = Field(description="what a period occupies it for")


class PoolResident(_Record):
    """A stage that lives on a device."""

    model: _Name
    pipeline: _Count
    stage: _Count
    replica: _Count = 0


class PoolDevice(_Record):
    """A device of the pool, and who lives there, in co-compilation order."""

    name: _Name = Field(description="its kind and its number among those")
    kind: _Count
    attached: str | None = Field(default=None, description="what the runtime opens, e.g. usb:0; none: nobody said")
    residents: list[PoolResident]
    load_ns: _Count = Field(description="what a period occupies it for")


class PoolPin(_Record):
    """Operations of a model, first and last inclusive, that run on devices of a kind, as was asked."""

    first: _Count
    last: _Count
    kind: _Name


class PoolModel(_Record):
    """A model, its plan and its rates."""

    name: _Name
    folder: str = Field(description="folder of its plan, relative to this file")
    plan_sha256: _Sha256
    weight: Annotated[int, Field(ge=1, le=10_000)] = Field(description="inferences per period")
    constraints: dict[str, Any] = Field(
        default_factory=dict, description="what was asked of its pipelines, as the question of a plan.json has it"
    )
    pins: list[PoolPin] = Field(default_factory=list, description="where its operations were asked to run")
    rate_fps: Annotated[float, Field(ge=0)] = Field(description="predicted, rounded down")
    latency_ns: _Count = Field(description="worst predicted time of an inference that waits for none of its own model")
    own_latency_ns: _Count = Field(description="the same where all devices are free")
    shares: list[_Share] = Field(
        default_factory=list, description="part of its inferences of each pipeline; none: each does what it can"
    )


class PoolConfirmation(_Record):
    """A second argument that ran and agreed."""

    by: str
    claim: str
    strength: str
    seconds: Annotated[float, Field(ge=0)]


class PoolSolution(_Record):
    """How the plan was found and what is known of its quality."""

    status: Literal["optimal", "feasible"]
    objective: Literal["throughput", "latency"]
    sharing: Literal["auto", "never", "co-compiled"]
    scale_fps: Annotated[str, Field(pattern=r"^\d+(/\d+)?$")] | None = Field(
        default=None, description="periods per second that were asked for, a fraction"
    )
    no_spill: bool = False
    period_ns: _Count = Field(description="time in which each model does its weight of inferences")
    objective_ns: _Count
    bound_ns: _Count = Field(description="no plan of the kinds named in `over` has a smaller objective_ns")
    gap: Annotated[float, Field(ge=0)]
    over: str
    best_without_copies: bool = Field(
        default=False, description="proven: none is better but with copies of models on shared devices"
    )
    found_by: str
    confirmed_by: list[PoolConfirmation]
    stopped_by: str
    wall_s: Annotated[float, Field(ge=0)]
    seed: Annotated[int, Field(ge=0)]


class PoolFile(_Record):
    """The content of ``pool.json``."""

    format: Literal["segsolve-pool"] = "segsolve-pool"
    version: Literal[1] = VERSION
    kinds: Annotated[list[PoolKind], Field(min_length=1)]
    links: list[PoolLink]
    devices: Annotated[list[PoolDevice], Field(min_length=1)]
    models: Annotated[list[PoolModel], Field(min_length=1)]
    solution: PoolSolution
    host_load_ns: _Count = Field(default=0, description="what a period occupies the host for")
    host_cores: _Count | None = Field(
        default=None, description="cores of the host; 0: its time is left aside, none: nobody said"
    )
    host_of: str | None = Field(
        default=None, description="the device description that is right about the host; none: each kind's own"
    )
    certificate_sha256: _Sha256 | None = None

    @property
    def period_ns(self) -> int:
        """Time in which each model does its weight of inferences."""
        return self.solution.period_ns

    @property
    def limited_by(self) -> str | None:
        """What all devices share that is busy for longer than any of them: the name of a link, "host"; None if none."""
        loads = {"host": self.host_load_ns} | {link.name: link.load_ns for link in self.links}
        busiest = max(loads, key=lambda name: loads[name])
        return busiest if loads[busiest] > max(device.load_ns for device in self.devices) else None

    def model(self, name: str) -> PoolModel:
        """Return the model of a name (KeyError if there is none)."""
        return {model.name: model for model in self.models}[name]

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        names = [model.name for model in self.models]
        if len(set(names)) != len(names):
            raise ValueError("two models have the same name")
        kinds = [device.kind for device in self.devices]
        if kinds != [k for k, kind in enumerate(self.kinds) for _ in range(kind.count)]:
            raise ValueError("the devices are not those of the kinds, kind by kind")
        links = [link.name for link in self.links]
        if len(set(links)) != len(links) or len({kind.name for kind in self.kinds}) != len(self.kinds):
            raise ValueError("two kinds, or two links, have the same name")
        if unknown := {kind.link for kind in self.kinds if kind.link is not None} - set(links):
            raise ValueError(f"there is no link {min(unknown)!r}")
        if len({device.name for device in self.devices}) != len(self.devices):
            raise ValueError("two devices have the same name")
        for model in self.models:
            if model.shares and sum(map(Fraction, model.shares)) != 1:
                raise ValueError(f"the shares of {model.name} do not make up a whole")
        for device in self.devices:
            models = [resident.model for resident in device.residents]
            if len(set(models)) != len(models):
                raise ValueError(f"{device.name} has two residents of one model")
            if unknown := set(models) - set(names):
                raise ValueError(f"{device.name} has a resident of {min(unknown)!r}, which is no model of the pool")
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolFolder:
    """A pool's plan whose files were all found unaltered; `plans` are those of the models, in their order.

    `content_sha256` is what its certificate knows it by.
    """

    root: Path
    pool: PoolFile
    plans: tuple[PlanFolder, ...]
    content_sha256: str

    def weight_of(self, model: int, pipeline: int) -> Fraction:
        """Return the inferences in a period that a model's pipeline does, as far as the plan says; else the model's."""
        own = self.pool.models[model]
        return own.weight * (Fraction(own.shares[pipeline]) if own.shares else Fraction(1))

    def device_of(self, model: str) -> dict[Place, int]:
        """Return the device of each place of a model's plan, by its number in the pool."""
        return {
            Place(resident.pipeline, resident.stage, resident.replica): number
            for number, device in enumerate(self.pool.devices)
            for resident in device.residents
            if resident.model == model
        }


def content_sha256(document: dict[str, Any]) -> str:
    """Return the digest of ``pool.json`` without its certificate's, by which the certificate names it."""
    return digest(document | {"certificate_sha256": None})


def pool_schema() -> dict[str, Any]:
    """Return the JSON Schema of ``pool.json``."""
    return digested_schema(PoolFile)


def load_pool(folder: Path) -> PoolFolder:
    """Read and verify a pool's folder with the plans of its models.

    Raises:
        PlanError: a folder or a file is missing or unreadable, of another version, altered, or outside.
    """
    root = folder.parent if folder.name == POOL_FILE else folder
    path = root / POOL_FILE
    try:
        settle(root)
    except OSError as error:
        raise PlanError(f"{root} cannot be brought in order: {error.strerror or error}") from None
    pool, content = _parse(path)
    plans = []
    for model in pool.models:
        where = PurePosixPath(model.folder)
        if where.is_absolute() or ".." in where.parts:
            raise PlanError(f"{path}: the plan of {model.name} lies outside of the folder")
        plan = load_plan(root / where)
        if plan.content_sha256 != model.plan_sha256:
            raise PlanError(f"{path}: the plan of {model.name} is not the one that it was written with")
        plans.append(plan)
    found = PoolFolder(root=resolved(root), pool=pool, plans=tuple(plans), content_sha256=content)
    for model, plan in zip(pool.models, plans, strict=True):
        if set(found.device_of(model.name)) != set(places(plan.plan)):
            raise PlanError(f"{path}: the residents of {model.name} are not the places of its plan")
        if model.shares and len(model.shares) != len(plan.plan.pipelines):
            raise PlanError(f"{path}: {model.name} has {len(plan.plan.pipelines)} pipelines, and other shares")
    return found


def _parse(path: Path) -> tuple[PoolFile, str]:
    """Return a pool's plan and the digest by which its certificate names it."""
    try:
        text = read_bounded_text(path, DOCUMENT)
    except (OSError, UnicodeDecodeError) as error:
        raise PlanError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise PlanError(f"{path} is not JSON: {error}") from None
    pool, is_unaltered = read_digested(path, document, PoolFile, what="the plan of a pool")
    if not is_unaltered:
        raise PlanError(f"{path} was altered after it was written")
    return pool, content_sha256(document)
