"""Options that several commands share, and the values behind them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from segsolve.errors import UsageError

if TYPE_CHECKING:
    from segsolve.graph.read import LoadedModel
    from segsolve.profile.analytic import AnalyticCosts

Model = Annotated[Path, typer.Argument(metavar="MODEL.tflite", help="Quantised model, not yet compiled.")]
PlanDir = Annotated[Path, typer.Argument(metavar="PLAN/", help="Folder that `segsolve solve -o` wrote.")]
Tpus = Annotated[int, typer.Option("--tpus", help="Number of Edge TPUs, one stage each at most.")]
DeviceName = Annotated[
    str, typer.Option("--device", help="Device of the catalogue (`segsolve devices`), or a description as FILE.toml.")
]
TpuMemory = Annotated[
    str | None,
    typer.Option("--tpu-memory", help="On-chip memory per TPU instead of the device's, e.g. 6MiB or 4000000."),
]
NoSpill = Annotated[
    bool, typer.Option("--no-spill", help="Allow no plan in which weights stream because they do not fit.")
]
TimeLimit = Annotated[
    float | None, typer.Option("--time-limit", help="Seconds after which the best plan so far is returned.")
]
Workers = Annotated[int, typer.Option("--workers", help="Threads of the solver.")]
Seed = Annotated[int, typer.Option("--seed", help="Seed of the solver or of the random inputs.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout instead of a table.")]

DEFAULT_DEVICE = "edgetpu-pcie"
_UNITS = {"": 1, "b": 1, "kib": 2**10, "mib": 2**20, "kb": 10**3, "mb": 10**6, "k": 2**10, "m": 2**20}


def parse_bytes(text: str) -> int:
    """Return a size such as ``6MiB``, ``7.5M`` or ``8000000`` in bytes.

    Raises:
        UsageError: the text is not a size.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-zA-Z]*)\s*", text)
    if not match or match[2].lower() not in _UNITS:
        raise UsageError(f"{text!r} is not a size", "write bytes or a unit, e.g. 8000000, 7.5MiB, 512KiB")
    return round(float(match[1]) * _UNITS[match[2].lower()])


def at_least(option: str, value: float, least: float) -> None:
    """Raise a UsageError if an option's value is below the least that makes sense."""
    if value < least:
        raise UsageError(f"{option} is {value:g}", f"give at least {least:g}")


def load_costs(model: Path, device: str, tpu_memory: str | None) -> tuple[LoadedModel, AnalyticCosts]:
    """Read a model and a device and return the costs of the one on the other.

    Raises:
        ModelError, DeviceError, UsageError: as the model, the device or the memory is at fault.
    """
    from segsolve.device.model import load_device
    from segsolve.graph.read import read_model
    from segsolve.profile.analytic import AnalyticCosts

    description = load_device(device)
    if tpu_memory is not None:
        description = description.with_memory(parse_bytes(tpu_memory))
    loaded = read_model(model)
    return loaded, AnalyticCosts(graph=loaded.graph, device=description)
