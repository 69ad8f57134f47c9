"""What a user sends with a report: findings, versions and USB topology, without names, addresses or paths of theirs."""

from __future__ import annotations

import json
import os
import platform
import re
import socket
import zipfile
from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from segsolve_runtime.backends.edgetpu.system import ROOT, pci_devices, text_of, usb_devices
from segsolve_runtime.contract.files import home
from segsolve_runtime.contract.writing import replacing
from segsolve_runtime.doctor import Finding, lines
from segsolve_runtime.errors import ResultError
from segsolve_runtime.version import __version__

_PACKAGES = ("ai-edge-litert", "numpy", "pydantic", "pillow", "segsolve", "segsolve-run")
_ATTRIBUTES = ("idVendor", "idProduct", "speed", "version", "bMaxPower", "vendor", "device", "current_link_speed")


def write_bundle(path: Path, findings: Sequence[Finding]) -> tuple[tuple[str, str], ...]:
    """Write the bundle, and return its files and what each holds.

    Raises:
        ResultError: it cannot be written.
    """
    files = {
        "doctor.txt": ("what doctor found", "\n".join(lines(findings)) + "\n"),
        "doctor.json": ("the same for programs", json.dumps([f.as_dict() for f in findings], indent=1)),
        "versions.txt": ("system, kernel, Python and packages", "\n".join(_versions()) + "\n"),
        "devices.txt": ("ids, speeds and power of the Edge TPUs on USB and PCIe", "\n".join(_devices()) + "\n"),
    }
    try:
        with replacing(path) as stream, zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, (_, text) in files.items():
                archive.writestr(name, without_names(text))
    except OSError as error:
        raise ResultError(f"{path} cannot be written: {error.strerror}") from None
    return tuple((name, words) for name, (words, _) in files.items())


def without_names(text: str) -> str:
    """Return a text without this user's name and home, and without the name of this machine."""
    for private, word in ((str(home()), "~"), (socket.gethostname(), "HOST"), (os.environ.get("USER", ""), "USER")):
        if len(private) > 1:
            text = re.sub(rf"(?<!\w){re.escape(private)}(?!\w)", word, text)
    return re.sub(r"(?<=/home/)[^/\s]+", "USER", text)


def _versions() -> Iterator[str]:
    yield f"segsolve_runtime {__version__}"
    yield f"{platform.system()} {platform.release()} {platform.machine()}"
    yield f"Python {platform.python_version()}, {os.cpu_count()} cores"
    for package in _PACKAGES:
        try:
            yield f"{package} {version(package)}"
        except PackageNotFoundError:
            continue


def _devices() -> Iterator[str]:
    for folder in (*usb_devices(ROOT), *pci_devices(ROOT)):
        told = {name: text_of(folder / name) for name in _ATTRIBUTES}
        yield f"{folder.name}: " + ", ".join(f"{name} {value}" for name, value in told.items() if value)
