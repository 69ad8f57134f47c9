"""Runs segmentation plans as pipelines; needs numpy, pydantic and LiteRT, but no solver."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from segsolve_runtime.errors import (
    BackendError,
    ClosedError,
    DeviceLostError,
    DevicesLeftError,
    HardwareError,
    InputError,
    PlanError,
    ResultError,
    RuntimeFault,
    StageError,
)

if TYPE_CHECKING:
    from segsolve_runtime.contract.frames import random_frames
    from segsolve_runtime.contract.plan import load_plan
    from segsolve_runtime.flow.faults import FaultPolicy
    from segsolve_runtime.pipeline import Pipeline

__all__ = [
    "BackendError",
    "ClosedError",
    "DeviceLostError",
    "DevicesLeftError",
    "FaultPolicy",
    "HardwareError",
    "InputError",
    "Pipeline",
    "PlanError",
    "ResultError",
    "RuntimeFault",
    "StageError",
    "load_plan",
    "random_frames",
]

_LAZY = {
    "FaultPolicy": "flow.faults",
    "Pipeline": "pipeline",
    "load_plan": "contract.plan",
    "random_frames": "contract.frames",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)
