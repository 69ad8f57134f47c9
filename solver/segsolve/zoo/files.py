"""Networks of the zoo as files."""

from __future__ import annotations

from pathlib import Path

from segsolve.errors import writing_to
from segsolve.zoo import build
from segsolve_runtime.contract.files import make_folder
from segsolve_runtime.contract.writing import replace_file


def write_network(name: str, folder: Path, *, seed: int = 0) -> Path:
    """Write a network to ``folder/NAME.tflite``, whole or not at all, and return the path.

    Raises:
        UsageError: the zoo has no such network.
        OutputError: the file cannot be written.
    """
    content = build(name, seed=seed)
    path = folder / f"{name}.tflite"
    with writing_to(path):
        make_folder(folder)
        replace_file(path, content)
    return path
