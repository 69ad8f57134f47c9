"""What there is to do: one job per combination, known by a key over everything that decides its result."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from importlib.metadata import version
from itertools import product
from typing import TYPE_CHECKING, Any

from segsolve.device.model import Device
from segsolve.errors import UsageError
from segsolve.question import Cuts, Objective, Question
from segsolve.question.given import found
from segsolve.search.strategies import COMPARED, EXACT, planner_names
from segsolve.version import __version__

if TYPE_CHECKING:
    from segsolve.problem import Problem

LAYOUTS = "layouts"
"""Stands for a planner in jobs that ask what `segsolve solve` asks: the best of all layouts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A model file; `sha256` is of its content, None when that cannot be read."""

    name: str
    path: str
    sha256: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What all jobs of a batch have in common: what is asked, and how it is searched.

    `constraints` are by key, as `segsolve.question.given.parsed` returns them: operations are named as each model has
    them. `batch` is None unless the objective is that of a batch.
    """

    objective: Objective = Objective.THROUGHPUT
    cuts: Cuts = Cuts.AUTO
    batch: int | None = None
    constraints: Mapping[str, Any] = field(default_factory=dict)
    no_spill: bool = False
    time_limit_s: float | None = None
    seed: int = 0
    workers: int = 1

    def question(self, problem: Problem | None = None) -> Question:
        """Return what is asked of a problem; without one, all that names no operation.

        Raises:
            UsageError: an operation is named that the problem does not have.
        """
        kept = found(self.constraints, problem)
        asked = Question(objective=self.objective, cuts=self.cuts, constraints=kept)
        return asked if self.batch is None else replace(asked, batch=self.batch)

    @property
    def is_plain(self) -> bool:
        """Whether every strategy answers it: throughput, without constraints, on the execution order at least."""
        return self.objective is Objective.THROUGHPUT and not self.constraints and self.cuts is not Cuts.DAG

    @property
    def planners(self) -> tuple[str, ...]:
        """Those that answer it: the exact ones alone where more is asked than throughput."""
        return (*(name for name in COMPARED if self.is_plain or name in EXACT), LAYOUTS)

    def check(self, planners: Iterable[str]) -> None:
        """Raise a UsageError if the question makes no sense, or some of the planners do not answer it."""
        from segsolve.search.ask import check_question

        known = (*planner_names(), LAYOUTS)
        for planner in planners:
            if planner not in known:
                raise UsageError(f"there is no planner {planner!r}", f"known: {', '.join(known)}")
            if planner not in (*self.planners, *EXACT) and not self.is_plain:
                message = f"the planner {planner!r} only cuts one pipeline for throughput, without constraints"
                raise UsageError(message, f"leave out --planners, or give some of: {', '.join(self.planners)}")
        check_question(self.question(), EXACT[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class Versions:
    """The software that decides a result."""

    segsolve: str
    ortools: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One combination, small enough to be sent to any process; the model itself stays behind its hash.

    Two jobs with the same `key` have the same result, whatever their models' files are called.
    """

    key: str
    model: Model
    device: Device
    device_sha256: str
    tpus: int
    planner: str
    options: Options
    versions: Versions

    @property
    def sources(self) -> tuple[Model, ...]:
        """The model whose file a worker needs."""
        return (self.model,)


@cache
def installed() -> Versions:
    """Return the versions that run here."""
    return Versions(segsolve=__version__, ortools=version("ortools"))


def expand(
    models: Iterable[Model],
    devices: Iterable[Device],
    tpus: Iterable[int],
    planners: Iterable[str],
    options: Options,
) -> tuple[Job, ...]:
    """Return the jobs, each key once, in an order that keeps jobs on the same model and problem together."""
    described = [(device, digest(asdict(replace(device, start=None)))) for device in devices]  # which decides no plan
    jobs: dict[str, Job] = {}
    for model, (device, device_sha256), count, planner in product(models, described, tpus, planners):
        what = {"tpus": count, "planner": planner, **asdict(options), **asdict(installed())}
        key = digest({"model": model.sha256 or f"unreadable: {model.path}", "device": device_sha256, **what})
        jobs.setdefault(
            key,
            Job(
                key=key,
                model=model,
                device=device,
                device_sha256=device_sha256,
                tpus=count,
                planner=planner,
                options=options,
                versions=installed(),
            ),
        )
    return tuple(jobs.values())


def digest(content: Mapping[str, Any]) -> str:
    """Return the hash of a document."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
