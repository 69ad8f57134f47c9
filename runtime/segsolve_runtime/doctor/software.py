"""Checks of what is installed."""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version

from segsolve_runtime.backends.edgetpu.pycoral import find_pycoral
from segsolve_runtime.doctor import Finding, State

COMPILER = "edgetpu_compiler"
_LEAST_PYTHON = (3, 11)


def python() -> Finding:
    """Check the interpreter."""
    text = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    if sys.version_info < _LEAST_PYTHON:
        return Finding(name="Python", state=State.MISSING, text=text, hint="install Python 3.11 or newer", needed=True)
    return Finding(name="Python", state=State.OK, text=text, needed=True)


def litert() -> Finding:
    """Check the library that runs models."""
    found = _version("ai-edge-litert")
    if found is not None:
        return Finding(name="LiteRT", state=State.OK, text=found, needed=True)
    other = _version("tflite-runtime")
    text = "not installed" if other is None else f"not installed; tflite-runtime {other} is, which ended in 2023"
    return Finding(
        name="LiteRT", state=State.MISSING, text=text, hint="install it with: pip install ai-edge-litert", needed=True
    )


def pycoral() -> Finding:
    """Check what is installed under the name of Google's package."""
    found = find_pycoral()
    name = f"{found.version or 'of unknown version'} in {found.folder}"
    if found.state == "absent":
        return Finding(name="pycoral", state=State.OK, text="not installed; LiteRT opens the devices")
    if found.state == "google":
        return Finding(name="pycoral", state=State.OK, text=f"Google's, {name}; it opens the devices")
    if found.state == "incomplete":
        text = f"{name} lacks its compiled module, and is not used"
        return Finding(name="pycoral", state=State.WARN, text=text, hint="uninstall it; it is not needed")
    text = f"{name} is another package of the same name, not Google's, and is not used"
    return Finding(name="pycoral", state=State.WARN, text=text, hint="uninstall it with: pip uninstall pycoral")


def compiler() -> Finding:
    """Check the vendor's compiler, which need not be on the machine that runs plans."""
    found = shutil.which(COMPILER)
    if found is None:
        fits = platform.system() == "Linux" and platform.machine() == "x86_64"
        hint = "install the vendor's package edgetpu-compiler" if fits else "compile plans on x86-64 Linux"
        return Finding(name=COMPILER, state=State.MISSING, text="not installed; compiled plans run without", hint=hint)
    try:
        done = subprocess.run([found, "--version"], capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return Finding(name=COMPILER, state=State.WARN, text=f"{found} does not run: {error}", hint="install it anew")
    said = (done.stdout or done.stderr).strip().splitlines()
    return Finding(name=COMPILER, state=State.OK, text=f"{said[0] if said else 'version unknown'} ({found})")


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
