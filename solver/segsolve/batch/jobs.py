"""What there is to do: one job per combination, known by a key over everything that decides its result."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import version
from itertools import product
from typing import Any

from segsolve.device.model import Device
from segsolve.version import __version__

OBJECTIVE = "throughput"
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
    """What all jobs of a batch have in common."""

    objective: str = OBJECTIVE
    no_spill: bool = False
    time_limit_s: float | None = None
    seed: int = 0
    workers: int = 1


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
    described = [(device, _digest(asdict(device))) for device in devices]
    jobs: dict[str, Job] = {}
    for model, (device, device_sha256), count, planner in product(models, described, tpus, planners):
        what = {"tpus": count, "planner": planner, **asdict(options), **asdict(installed())}
        key = _digest({"model": model.sha256 or f"unreadable: {model.path}", "device": device_sha256, **what})
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


def _digest(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
