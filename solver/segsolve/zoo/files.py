"""Networks of the zoo as files."""

from __future__ import annotations

import os
from pathlib import Path

from segsolve.errors import OutputError
from segsolve.zoo import build


def write_network(name: str, folder: Path, *, seed: int = 0) -> Path:
    """Write a network to ``folder/NAME.tflite``, whole or not at all, and return the path.

    Raises:
        UsageError: the zoo has no such network.
        OutputError: the file cannot be written.
    """
    content = build(name, seed=seed)
    path = folder / f"{name}.tflite"
    partial = folder / f".{name}.{os.getpid()}.partial"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(content)
        partial.replace(path)
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror}", "choose another folder with -o") from error
    return path
