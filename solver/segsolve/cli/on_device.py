"""Options of ``profile`` and ``tune`` about measuring on Edge TPUs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from segsolve.errors import UsageError

DeviceCosts = Annotated[
    str | None,
    typer.Option("--device", help="On edgetpu: description or profile of the device, whose costs are corrected."),
]
Devices = Annotated[
    str | None, typer.Option("--devices", help="On edgetpu: the Edge TPU to measure on, e.g. usb:0; else the first.")
]
CompilerPath = Annotated[
    Path | None, typer.Option("--compiler", help="The vendor's compiler if it is not on the path.")
]
Jobs = Annotated[int | None, typer.Option("--jobs", help="Segments compiled at a time; one per processor core.")]
Cache = Annotated[
    bool, typer.Option("--cache/--no-cache", help="Keep compiled segments in the user's cache, by content.")
]


def check_alone(option: str, value: object, backend: str) -> None:
    """Raise a UsageError if an option for Edge TPUs is given with another backend."""
    if value is not None and backend != "edgetpu":
        raise UsageError(f"{option} says nothing on {backend}", "add --backend edgetpu")
