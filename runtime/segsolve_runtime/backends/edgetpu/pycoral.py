"""Google's Python package for the Edge TPU, and another one of the same name on the package index.

The package is looked at and not imported to find out which it is: an import runs its code.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

_LEAST_EXTENSION_BYTES = 1024  # a repacked wheel on the index has an extension module of one byte


@dataclass(frozen=True, slots=True, kw_only=True)
class Pycoral:
    """What is installed under the name ``pycoral``."""

    state: Literal["absent", "google", "impostor", "incomplete"]
    version: str | None
    folder: Path | None


def find_pycoral() -> Pycoral:
    """Say what is installed under the name ``pycoral``: nothing, Google's package, a part of it, or another one."""
    spec = find_spec("pycoral")
    folders = [Path(place) for place in (spec.submodule_search_locations or [])] if spec else []
    if not folders:
        return Pycoral(state="absent", version=None, folder=None)
    folder = folders[0]
    if not (folder / "utils" / "edgetpu.py").is_file():
        return Pycoral(state="impostor", version=_version(), folder=folder)
    extensions = [*folder.glob("pybind/_pywrap_coral*.so"), *folder.glob("pybind/_pywrap_coral*.pyd")]
    is_whole = any(path.stat().st_size >= _LEAST_EXTENSION_BYTES for path in extensions)
    return Pycoral(state="google" if is_whole else "incomplete", version=_version(), folder=folder)


def _version() -> str | None:
    try:
        return version("pycoral")
    except PackageNotFoundError:
        return None
