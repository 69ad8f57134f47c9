"""Workloads for pools as people list them: in a file, or as the models of a command line."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segsolve.batch.jobs import Model, digest, installed
from segsolve.batch.pool_jobs import POOL, AnyJob, PoolJob, Search
from segsolve.batch.sources import find_models
from segsolve.errors import UsageError
from segsolve.library.named_pools import parse_pool
from segsolve.library.pools import asked_of, fractions_of, solve_pool
from segsolve.question.constraints import KINDS
from segsolve.solvers.base import Limits
from segsolve_runtime.contract.files import read_bounded_text
from segsolve_runtime.contract.limits import DOCUMENT

if TYPE_CHECKING:
    from segsolve.pool.answer import PoolAnswer

_FORM = 'write [[workload]] with models = ["a.tflite", "mobilenetv2"] and pools = ["card2"]'
_OF_ALL = ("pools", "workload")
_OWN = ("name", "models", "pools")
_ASKED = ("rates", "weights", "objective", "sharing", "tpu_memory", "host_cores", "optimistic", "no_spill")
_CONSTRAINTS = tuple(kind.option.argument for kind in KINDS.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """Models that run together, the pools that they are solved on, and what else `segsolve.solve_pool` is asked.

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
    rows = document.get("workload") if isinstance(document, dict) else None
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise UsageError(f"{path} lists no workloads", _FORM)
    _known(f"{path}: a list of workloads", document, _OF_ALL)
    common = tuple(pools) or _texts(path, document, "pools")
    return tuple(_workload(path, row, common, asked) for row in rows)


def _workload(path: Path, row: Mapping[str, Any], pools: tuple[str, ...], asked: Mapping[str, Any]) -> Workload:
    own = {key.replace("-", "_"): value for key, value in row.items()}
    _known(f"{path}: a workload", own, (*_OWN, *_ASKED, *_CONSTRAINTS))
    models = _texts(path, own, "models")
    if not models:
        raise UsageError(f"{path}: a workload names no models", _FORM)
    name = own.get("name", named(models))
    if not isinstance(name, str) or not name:
        raise UsageError(f"{path}: the name of a workload is {name!r}", "write a text")
    pools = _texts(path, own, "pools") or pools
    if not pools:
        raise UsageError(f"{path}: {name} has no pools", "give --pool, or write pools = [...] in the file")
    said = {key: value for key, value in own.items() if key in (*_ASKED, *_CONSTRAINTS)}
    rates = {"rates", "weights"} & set(said)
    return Workload(
        name=name,
        models=tuple(str(path.parent / model) if model.endswith(".tflite") else model for model in models),
        pools=tuple(str(path.parent / pool) if pool.endswith(".toml") else pool for pool in pools),
        asked={key: value for key, value in asked.items() if not (rates and key in ("rates", "weights"))} | said,
    )


def _texts(path: Path, own: Mapping[str, Any], key: str) -> tuple[str, ...]:
    value = own.get(key, [])
    if not isinstance(value, list) or not all(isinstance(text, str) and text for text in value):
        raise UsageError(f"{path}: {key} is {value!r}", _FORM)
    return tuple(value)


def _known(what: str, own: Mapping[str, Any], known: Sequence[str]) -> None:
    if wrong := sorted(set(own) - set(known)):
        raise UsageError(f"{what} has no {wrong[0]!r}", f"known: {', '.join(sorted(known))}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Workloads:
    """A batch of workloads, each on its pools."""

    workloads: tuple[Workload, ...]
    search: Search

    def jobs(self, models: Path, processes: int, observe: Callable[[str, int, int], None]) -> tuple[AnyJob, ...]:
        """Return the jobs, each key once; networks of the zoo are built into the folder `models`.

        Raises:
            UsageError, DeviceError: a workload or a pool makes no sense.
            OutputError: the networks cannot be written.
        """
        found: dict[str, AnyJob] = {}
        find_models([name for workload in self.workloads for name in workload.models], models, processes, observe)
        for workload in self.workloads:  # whose networks are there now
            members = find_models(workload.models, models, processes, observe)
            _check([model.name for model in members], workload.asked)
            for job in _jobs(workload, members, self.search):
                found.setdefault(job.key, job)
        return tuple(found.values())


def _check(names: Iterable[str], asked: Mapping[str, Any]) -> None:
    """Raise the UsageError that every job of a workload would end with."""
    own = {key: value for key, value in asked.items() if key not in _OF_DEVICES}
    rates, weights = fractions_of(own.pop("rates", None)), own.pop("weights", None) or {}
    objective, sharing = own.pop("objective", "throughput"), own.pop("sharing", "auto")
    asked_of(tuple(names), own, rates, weights, objective, sharing)


_OF_DEVICES = ("tpu_memory", "host_cores", "optimistic", "no_spill")


def _jobs(workload: Workload, members: tuple[Model, ...], search: Search) -> Iterable[PoolJob]:
    hashes = [model.sha256 for model in members]
    asked = json.loads(json.dumps(dict(workload.asked), default=str))  # as records have it
    for pool in workload.pools:
        named = parse_pool(pool)
        what = {"models": [[model.name, model.sha256] for model in members], "pool": named.sha256, "asked": asked}
        key = digest({"planner": POOL, **what, **asdict(search), **asdict(installed())})
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
            search=search,
            solve=_solve,
            versions=installed(),
        )


def _solve(job: PoolJob) -> PoolAnswer:
    search = job.search
    limits = Limits(time_limit_s=search.time_limit_s, workers=search.workers, seed=search.seed)
    return solve_pool([Path(model.path) for model in job.models], pool=job.pool, limits=limits, **job.asked).found
