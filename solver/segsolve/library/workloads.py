"""Workloads for pools as people list them: in a file, or as the models of a command line."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from segsolve.batch.jobs import Model, digest, installed
from segsolve.batch.pool_jobs import POOL, AnyJob, PoolJob
from segsolve.batch.sources import models_of
from segsolve.errors import DeviceError, ModelError, UsageError
from segsolve.library.named_pools import NamedPool, parse_pool
from segsolve.library.pools import asked_of, fractions_of, solve_pool
from segsolve.question.constraints import KINDS
from segsolve.solvers.base import Limits
from segsolve_runtime.contract.files import read_bounded_text
from segsolve_runtime.contract.limits import DOCUMENT
from segsolve_runtime.contract.wording import first_fault

if TYPE_CHECKING:
    from segsolve.pool.answer import PoolAnswer

_FORM = 'write [[workload]] with models = ["a.tflite", "mobilenetv2"] and pools = ["card2"]'
_AGAIN = "run the batch again"
_OF_LIST = ("name", "models", "pools")
_OF_DEVICES = ("tpu_memory", "host_cores", "host_of", "optimistic", "no_spill")
_Text = Annotated[str, Field(min_length=1)]
_Rate = Annotated[int | float, Field(gt=0)] | _Text
_Asked = str | int | float | list[str | int]


class _Part(BaseModel):
    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        allow_inf_nan=False,
        alias_generator=lambda name: name.replace("_", "-"),
    )


class _Own(_Part):
    name: _Text | None = None
    models: Annotated[list[_Text], Field(min_length=1)]
    pools: list[_Text] = []
    rates: dict[str, _Rate] | None = None
    weights: dict[str, Annotated[int, Field(ge=1, le=10_000)]] | None = None
    objective: str | None = None
    sharing: str | None = None
    tpu_memory: str | None = None
    host_cores: int | None = None
    host_of: str | None = None
    optimistic: bool | None = None
    no_spill: bool | None = None


_CONSTRAINTS = {kind.option.argument: kind.option for kind in KINDS.values()}
_ASKED: Any = dict.fromkeys(_CONSTRAINTS, (_Asked | None, None))
_Row: Any = create_model("_Row", __base__=_Own, **_ASKED)


class _List(_Part):
    pools: list[_Text] = []
    workload: Annotated[list[dict[str, Any]], Field(min_length=1)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """Models that run together, the pools that they are solved on, and what else `segsolve.solve` is asked.

    `models` are .tflite files and networks of the zoo.
    """

    name: str
    models: tuple[str, ...]
    pools: tuple[str, ...]
    asked: Mapping[str, Any]


def is_list(name: str) -> bool:
    """Whether a name is that of a file of workloads."""
    return name.endswith((".toml", ".json"))


def named(models: Sequence[str]) -> str:
    """Return what a workload is called that has no name of its own."""
    return "+".join(Path(model).name.removesuffix(".tflite") for model in models)


def read_workloads(path: Path, pools: Sequence[str], asked: Mapping[str, Any]) -> tuple[Workload, ...]:
    """Return the workloads of a file; `pools` and `asked` are of those which say nothing of it.

    Models and files of pools are relative to the file.

    Raises:
        UsageError: the file cannot be read, or says what makes no sense.
    """
    try:
        text = read_bounded_text(path, DOCUMENT)
        document = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}", _FORM) from None
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} lists no workloads: {error}", _FORM) from None
    found = _valid(_List, document, path)
    return tuple(_workload(path, row, tuple(pools) or tuple(found.pools), asked) for row in found.workload)


def _workload(path: Path, row: Mapping[str, Any], pools: tuple[str, ...], asked: Mapping[str, Any]) -> Workload:
    own = _valid(_Row, {key.replace("_", "-"): value for key, value in row.items()}, path)
    name, pools = own.name or named(own.models), tuple(own.pools) or pools
    if not pools:
        raise UsageError(f"{path}: {name} has no pools", "give --pools, or write pools = [...] in the file")
    said = {key: value for key, value in own.model_dump(exclude_none=True).items() if key not in _OF_LIST}
    for key, option in _CONSTRAINTS.items():
        if key in said and option.is_repeatable and not isinstance(said[key], list):
            said[key] = [said[key]]
    rates = {"rates", "weights"} & set(said)
    return Workload(
        name=name,
        models=tuple(str(path.parent / model) if model.endswith(".tflite") else model for model in own.models),
        pools=tuple(str(path.parent / pool) if pool.endswith(".toml") else pool for pool in pools),
        asked={key: value for key, value in asked.items() if not (rates and key in ("rates", "weights"))} | said,
    )


def _valid(form: Any, document: Any, path: Path) -> Any:
    try:
        return form.model_validate(document)
    except ValidationError as error:
        raise UsageError(f"{path} lists no workloads: {first_fault(error, 'the document')}", _FORM) from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Workloads:
    """A batch of workloads, each on its pools."""

    workloads: tuple[Workload, ...]
    limits: Limits

    def jobs(self, models: Path, processes: int, observe: Callable[[str, int, int], None]) -> tuple[AnyJob, ...]:
        """Return the jobs, each key once; networks of the zoo are built into the folder `models`.

        Raises:
            UsageError, DeviceError: a workload or a pool makes no sense.
            OutputError: the networks cannot be written.
        """
        found: dict[str, AnyJob] = {}
        names = [name for workload in self.workloads for name in workload.models]
        known = models_of(names, models, processes, observe)
        for workload in self.workloads:
            members = tuple(dict.fromkeys(model for name in workload.models for model in known[name]))
            _check([model.name for model in members], workload.asked)
            for job in _jobs(workload, members, self.limits):
                found.setdefault(job.key, job)
        return tuple(found.values())


def _check(names: Iterable[str], asked: Mapping[str, Any]) -> None:
    """Raise the UsageError that every job of a workload would end with."""
    own = {key: value for key, value in asked.items() if key not in _OF_DEVICES}
    rates, weights = fractions_of(own.pop("rates", None)), own.pop("weights", None) or {}
    objective, sharing = own.pop("objective", "throughput"), own.pop("sharing", "auto")
    asked_of(tuple(names), own, rates, weights, objective, sharing)


def _jobs(workload: Workload, members: tuple[Model, ...], limits: Limits) -> Iterable[PoolJob]:
    hashes = [model.sha256 for model in members]
    asked = json.loads(json.dumps(dict(workload.asked), default=str))  # as records have it
    for pool in workload.pools:
        named = _named(pool, asked)
        what = {"models": [[model.name, model.sha256] for model in members], "pool": named.sha256, "asked": asked}
        key = digest({"planner": POOL, **what, **asdict(limits), **asdict(installed())})
        unread = next((model for model in members if model.sha256 is None), None)
        yield PoolJob(
            key=key,
            model=Model(
                name=workload.name,
                path=(unread or members[0]).path,
                sha256=None if unread else digest({"models": hashes}),
            ),
            models=members,
            pool=pool,
            notation=named.pool.notation,
            pool_sha256=named.sha256,
            tpus=len(named.pool.devices),
            asked=asked,
            limits=limits,
            solve=_solve,
            versions=installed(),
        )


def _named(pool: str, asked: Mapping[str, Any]) -> NamedPool:
    known = {key: asked.get(key) for key in ("tpu_memory", "host_cores", "host_of")}
    return parse_pool(pool).changed(**known, optimistic=bool(asked.get("optimistic")))


def _solve(job: PoolJob) -> PoolAnswer:
    """Return the answer to a job.

    Raises:
        ModelError, DeviceError: a model, or what describes the pool, is not what it was (or not so on this worker).
    """
    if _named(job.pool, job.asked).sha256 != job.pool_sha256:
        raise DeviceError(f"what describes the pool {job.pool} is another here than the batch began with", _AGAIN)
    solved = solve_pool([Path(model.path) for model in job.models], pool=job.pool, limits=job.limits, **job.asked)
    for model, read in zip(job.models, solved.models, strict=True):
        if read.graph.sha256 != model.sha256:
            raise ModelError(f"{model.path} changed after the batch had begun", _AGAIN)
    return solved.found
