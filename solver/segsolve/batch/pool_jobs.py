"""Jobs of workloads on pools, known by a key over everything that decides their results."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from segsolve.batch.jobs import Job, Model, Versions
from segsolve.solvers.base import Limits

if TYPE_CHECKING:
    from segsolve.pool.answer import PoolAnswer

POOL = "pool"
"""Stands for a planner in jobs that ask what `segsolve solve --pool` asks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolJob:
    """A workload on a pool. `model` stands for all `models`: the digest of their hashes, None if one cannot be read.

    `pool` is what `--pool` takes, `notation` its kinds and counts, `asked` what is asked besides; `solve` answers it.
    """

    key: str
    model: Model
    models: tuple[Model, ...]
    pool: str
    notation: str
    pool_sha256: str
    tpus: int
    asked: Mapping[str, Any]
    limits: Limits
    solve: Callable[[PoolJob], PoolAnswer]
    versions: Versions
    planner: str = POOL

    @property
    def sources(self) -> tuple[Model, ...]:
        """The models whose files a worker needs."""
        return self.models

    def at(self, paths: Sequence[str]) -> PoolJob:
        """Return the same job with its models' files elsewhere."""
        models = tuple(replace(model, path=path) for model, path in zip(self.models, paths, strict=True))
        return replace(self, models=models)


AnyJob = Job | PoolJob
