"""What is said and kept when segsolve itself has a fault: a sentence, and a file to send with a report of it."""

from __future__ import annotations

import os
import platform
import sys
import tempfile
import traceback
from contextlib import suppress

from segsolve.version import __version__

_PACKAGES = ("ortools", "ai-edge-litert", "numpy", "scipy", "pydantic", "typer")
_LONGEST = 300


def fault_report(error: Exception) -> tuple[str, str]:
    """Return a sentence about an exception that nobody expected, and where its traceback was saved."""
    said = " ".join(str(error).split())[:_LONGEST]
    sentence = f"segsolve has a fault: {type(error).__name__}{f': {said}' if said else ''}"
    where = _saved(error)
    if where is None:
        return sentence, "please report it, with the command and what it read"
    return sentence, f"please report it, with the command, what it read, and the traceback in {where}"


def _saved(error: Exception) -> str | None:
    """Write the traceback to a new file in the folder for temporary files; None if that cannot be done."""
    with suppress(Exception):  # whatever keeps it from being saved, the sentence is said
        descriptor, path = tempfile.mkstemp(prefix="segsolve-fault-", suffix=".txt")
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="replace") as stream:
            stream.write(f"segsolve {__version__}, Python {platform.python_version()}, {platform.platform()}\n")
            stream.write(f"{', '.join(_versions())}\n{sys.argv!r}\n\n")
            stream.writelines(traceback.format_exception(error))
        return path
    return None


def _versions() -> list[str]:
    from importlib.metadata import PackageNotFoundError, version

    found = []
    for package in _PACKAGES:
        with suppress(PackageNotFoundError):
            found.append(f"{package} {version(package)}")
    return found
