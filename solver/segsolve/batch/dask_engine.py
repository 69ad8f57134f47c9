"""Jobs on a Dask cluster, through its executor. Needs the extra ``segsolve[dask]``.

A worker need not see this machine's files: it answers that it lacks a model, and gets the content once, under its hash.
"""

from __future__ import annotations

import logging
import signal
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from segsolve.batch.engines import EngineFault
from segsolve.batch.jobs import Model, Versions, installed
from segsolve.batch.pool_jobs import AnyJob
from segsolve.batch.work import NEEDS_MODEL, Work, run_job
from segsolve.errors import UsageError
from segsolve.graph.flatbuffer import read_bytes
from segsolve_runtime.contract.writing import replace_file

_CONNECT_S = 10
_WORKERS_S = 30
_REFRESH_S = 5


class DaskEngine:
    """The workers of a cluster; Dask itself gives the jobs of a worker that dies to another."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.executor: Executor = client.get_executor(pure=False)
        self._shipped: dict[Model, Any] = {}
        self._slots, self._refreshed = 0, 0.0

    @property
    def slots(self) -> int:
        """One job in each thread of the cluster and one waiting; workers may come and go."""
        if not self._slots or time.monotonic() - self._refreshed > _REFRESH_S:
            self._slots = 2 * max(1, sum(self._client.nthreads().values()))
            self._refreshed = time.monotonic()
        return self._slots

    def submit(self, job: AnyJob, *, with_model: bool) -> Future[Work]:
        """Start a job, with its models' contents if its worker asked for them."""
        return self.executor.submit(run_cached, job, *(self._contents(job.sources) if with_model else ()))

    def revive(self) -> None:
        """Go on if the scheduler is still there; content that only a dead worker had is sent again."""
        self._shipped = {}
        if self._client.status != "running":
            raise EngineFault("the connection to the Dask scheduler is lost", "the same command goes on from here")

    def abandon(self) -> None:
        """Cancel what was submitted."""
        self.executor.shutdown(wait=False)

    def _contents(self, models: Sequence[Model]) -> list[Any]:
        """Put models into the cluster's memory; jobs come sorted, so that those of one at a time are enough."""
        self._shipped = {model: known for model, known in self._shipped.items() if model in models}
        for model in models:
            if model not in self._shipped:
                self._shipped[model] = self._client.scatter(read_bytes(Path(model.path)), hash=True)
        return [self._shipped[model] for model in models]


@contextmanager
def dask_engine(scheduler: str | None, processes: int) -> Iterator[DaskEngine]:
    """Run an engine on the cluster at an address, or on one of its own on this machine.

    Raises:
        UsageError: Dask is not installed, or the workers have other versions.
        EngineFault: there is no such scheduler, or it has no workers.
    """
    try:
        dask: Any = import_module("distributed")
    except ImportError:
        raise UsageError("Dask is not installed", "pip install distributed") from None
    _silence()
    if scheduler is None:
        cluster = dask.LocalCluster(
            n_workers=processes, threads_per_worker=1, dashboard_address=None, silence_logs=logging.CRITICAL
        )
        with cluster, dask.Client(cluster) as client:
            client.run(_ignore_interrupts)
            yield _checked(client)
        return
    try:
        client = dask.Client(scheduler, timeout=_CONNECT_S)
    except (OSError, ValueError) as error:
        raise EngineFault(f"there is no Dask scheduler at {scheduler}", "check --scheduler") from error
    with client:
        yield _checked(client)


def run_cached(job: AnyJob, *contents: bytes) -> Work:
    """Solve a job in a worker, with the models from the worker's folder of models."""
    paths = [_folder() / str(model.sha256) / Path(model.path).name for model in job.sources]
    for path, content in zip(paths, contents, strict=False):
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            replace_file(path, content)
    return run_job(job, *map(str, paths)) if all(path.exists() for path in paths) else NEEDS_MODEL


def _folder() -> Path:
    """Return the worker's own folder, which Dask removes in the end, even if the worker was killed."""
    return Path(import_module("distributed").get_worker().local_directory) / "segsolve-models"


def _ignore_interrupts() -> None:
    """Leave Ctrl-C, which reaches all processes of a terminal, to the one that waits for the results."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _silence() -> None:
    """Turn off Dask's log, whose loggers each have a level: what a lost worker or scheduler means we say ourselves."""
    for name in list(logging.root.manager.loggerDict):
        if name.split(".")[0] == "distributed":
            logging.getLogger(name).setLevel(logging.CRITICAL)


def _checked(client: Any) -> DaskEngine:
    """Wait for a worker, and refuse workers that would answer for another version."""
    try:
        client.wait_for_workers(1, timeout=_WORKERS_S)
        found: dict[str, Versions] = client.run(installed)
    except TimeoutError:
        raise EngineFault("the Dask scheduler has no workers", "start some: dask worker ADDRESS") from None
    except Exception as error:
        raise EngineFault(f"the Dask workers cannot run segsolve: {error}", "install the same version there") from error
    for worker, versions in found.items():
        if versions != installed():
            raise UsageError(f"{worker} runs {versions}, this is {installed()}", "install the same versions everywhere")
    return DaskEngine(client)
