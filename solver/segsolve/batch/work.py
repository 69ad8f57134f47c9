"""What a worker process does with a job. Nothing but a fault of the machinery leaves it as an exception."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from segsolve.batch.jobs import LAYOUTS, Job, Model, installed
from segsolve.batch.pool_jobs import AnyJob, PoolJob
from segsolve.batch.record import Record, answered, failed, kind_of
from segsolve.cost.plan import score_cut
from segsolve.device.model import Device
from segsolve.errors import ModelError, SegsolveError, UsageError
from segsolve.graph.model import Graph
from segsolve.problem import Problem
from segsolve.question import Cuts, Layout
from segsolve.search.strategies import DEFAULT
from segsolve.solvers.base import Limits


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """A job's record, or None when the worker needs the model first; `timing` is what differs from run to run."""

    record: Record | None
    timing: dict[str, Any] = field(default_factory=dict)


NEEDS_MODEL = Work(record=None)


def run_job(job: AnyJob, *paths: str) -> Work:
    """Solve a job on the models at paths; what is wrong with the job is in its record.

    Raises:
        UsageError: this worker runs other versions than the job asks for, which no record may hide.
    """
    if job.versions != installed():
        message = f"a worker runs {installed()}, the batch {job.versions}"
        raise UsageError(message, "install the same versions everywhere")
    start = time.perf_counter()
    timing: dict[str, Any] = {}
    record = _record(job, paths, timing)
    return Work(record=record, timing={"wall_s": time.perf_counter() - start, **timing})


def _record(job: AnyJob, paths: Sequence[str], timing: dict[str, Any]) -> Record:
    def said(text: str) -> str:
        """Where files lie is no property of the job, and differs between this machine and a cluster's."""
        for path in paths:
            text = text.replace(path, Path(path).name)
        return text

    try:
        if isinstance(job, PoolJob):
            from segsolve.batch.pool_work import solve

            return solve(job.at(paths), timing)
        return _solve(job, paths[0], timing)
    except SegsolveError as error:
        return failed(job, kind_of(error), said(str(error)), said(error.hint))
    except MemoryError as error:
        return failed(job, kind_of(error), "out of memory", "use fewer --processes")
    except Exception as error:
        timing["traceback"] = traceback.format_exc()
        message = said(f"{type(error).__name__}: {error}")
        return failed(
            job, kind_of(error), message, "please report this with the model; timings.jsonl has the traceback"
        )


def _solve(job: Job, path: str, timing: dict[str, Any]) -> Record:
    problem = _problem(job, path)
    options = job.options
    limits = Limits(time_limit_s=options.time_limit_s, workers=options.workers, seed=options.seed)
    one_tpu = score_cut(problem, ())
    if job.planner == LAYOUTS or not options.is_plain:
        from segsolve.search.ask import answer

        asked = options.question(problem)
        planner = DEFAULT if job.planner == LAYOUTS else job.planner
        if job.planner != LAYOUTS:
            cuts = Cuts.CHAIN if asked.cuts is Cuts.AUTO else asked.cuts
            asked = replace(asked, layout=Layout.PIPELINE, cuts=cuts)
        elif _graph(path, job.model).state is not None:  # copies would each keep a state of their own
            asked = replace(asked, layout=Layout.PIPELINE)
        asked.constraints.check(problem)
        found = answer(problem, asked, planner=planner, limits=limits)
    else:
        from segsolve.search.ask import answer_of_strategy

        found = answer_of_strategy(problem, job.planner, limits)
    timing |= {"solve_s": found.wall_s, "deterministic_s": found.deterministic_s}
    return answered(job, found, one_tpu)


def _problem(job: Job, path: str) -> Problem:
    """Return the job's problem; jobs come sorted, so that the problems and the networks used last serve the next."""
    make = _costs(path, job.model, _Described(sha256=job.device_sha256, device=job.device))
    return make(job.tpus, job.options.no_spill)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Described:
    """A device that is told apart by the hash of its description, because a `Device` has none of Python's own."""

    sha256: str
    device: Device = field(compare=False)


@lru_cache(maxsize=4)
def _costs(path: str, model: Model, described: _Described) -> Callable[[int, bool], Problem]:
    from segsolve.profile.analytic import AnalyticCosts

    costs = AnalyticCosts(graph=_graph(path, model), device=described.device)

    @lru_cache(maxsize=4)
    def problem(tpus: int, no_spill: bool) -> Problem:
        return costs.problem(tpus=tpus, no_spill=no_spill)

    return problem


@lru_cache(maxsize=4)
def _graph(path: str, model: Model) -> Graph:
    from segsolve.graph.read import read_graph

    graph = read_graph(Path(path))
    if graph.sha256 != model.sha256:
        raise ModelError(f"{path} changed after the batch had begun", "run the batch again")
    return graph
