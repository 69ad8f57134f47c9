"""Runs segmentation plans as pipelines; needs numpy, pydantic and LiteRT, but no solver."""

TYPE_CHECKING = False  # `typing` has it as well, and is imported where Ctrl-C would be a traceback: see `interruption`
if TYPE_CHECKING:
    from typing import Any

    from segsolve_runtime.contract.frames import random_frames
    from segsolve_runtime.contract.places import Place, places
    from segsolve_runtime.contract.plan import PlanFolder, load_plan
    from segsolve_runtime.contract.result import Result
    from segsolve_runtime.contract.runner import StageRunner
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
    from segsolve_runtime.flow.faults import FaultPolicy
    from segsolve_runtime.pipeline import Pipeline, State

__all__ = [
    "BackendError",
    "ClosedError",
    "DeviceLostError",
    "DevicesLeftError",
    "FaultPolicy",
    "HardwareError",
    "InputError",
    "Pipeline",
    "Place",
    "PlanError",
    "PlanFolder",
    "Result",
    "ResultError",
    "RuntimeFault",
    "StageError",
    "StageRunner",
    "State",
    "load_plan",
    "places",
    "random_frames",
]

_LAZY = {
    "BackendError": "errors",
    "ClosedError": "errors",
    "DeviceLostError": "errors",
    "DevicesLeftError": "errors",
    "HardwareError": "errors",
    "InputError": "errors",
    "PlanError": "errors",
    "ResultError": "errors",
    "RuntimeFault": "errors",
    "StageError": "errors",
    "FaultPolicy": "flow.faults",
    "Pipeline": "pipeline",
    "Place": "contract.places",
    "PlanFolder": "contract.plan",
    "Result": "contract.result",
    "StageRunner": "contract.runner",
    "State": "pipeline",
    "load_plan": "contract.plan",
    "places": "contract.places",
    "random_frames": "contract.frames",
}


def __getattr__(name: str) -> "Any":
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)
