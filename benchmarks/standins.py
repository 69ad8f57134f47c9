"""The stand-ins of the tests for libedgetpu and the vendor's compiler, for benchmarks of our own code around them.

They compute in LiteRT on the CPU and say nothing about the speed of an Edge TPU, or of the real compiler.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "tests" / "standins"


@contextmanager
def attached(folder: Path, devices: Sequence[str]) -> Iterator[None]:
    """Have the stand-in for libedgetpu, with devices such as ``usb=/sys/bus/usb/devices/1-1``, also in children."""
    folder.mkdir(parents=True, exist_ok=True)
    library = folder / "standin_libedgetpu.so"
    source = FOLDER / "standin_libedgetpu.c"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", str(library), str(source)], check=True)
    (folder / "devices").write_text(",".join(devices))
    variables = {
        "SEGSOLVE_LIBEDGETPU": str(library),
        "STANDIN_EDGETPU_FOLDER": str(folder),
        "STANDIN_EDGETPU_LOCKS": str(folder),
        "STANDIN_EDGETPU_KERNEL": str(FOLDER / "standin_kernel.py"),
    }
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def compiler(folder: Path) -> Path:
    """Return the stand-in for the vendor's compiler as a program."""
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / "edgetpu_compiler"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{FOLDER / "standin_edgetpu_compiler.py"}" "$@"\n')
    program.chmod(0o755)
    return program
