"""Checks of libedgetpu and of the devices: there, permitted, free, and able to be opened."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

from segsolve_runtime.backends.edgetpu.choose import why_none
from segsolve_runtime.backends.edgetpu.library import AttachedDevice, EdgeTpuLibrary, open_library
from segsolve_runtime.backends.edgetpu.system import holders, may_open, node_of
from segsolve_runtime.doctor import DEVICE, Finding, State
from segsolve_runtime.doctor.attached import attached_findings
from segsolve_runtime.errors import HardwareError

_OLDEST_RUNTIME = 13  # what the compilers of the last years ask for is 13 or 14
_OPENING_TIMEOUT_S = 30.0  # over USB, the first opening loads the firmware


def findings() -> Iterator[Finding]:
    """Yield what is found of the library, of its version and of each device."""
    try:
        library = open_library()
    except HardwareError as error:
        hint = "install the vendor's package libedgetpu1-std, or name the file in SEGSOLVE_LIBEDGETPU"
        yield Finding(name="libedgetpu", state=State.MISSING, text=str(error), hint=hint, needed=True)
        return
    yield _library(library)
    devices = library.devices()
    if not devices:
        text = f"none is attached{why_none()}"
        yield Finding(name=DEVICE, state=State.MISSING, text=text, hint="plug one in", needed=True)
    for device in devices:
        yield _device(library, device)
    yield from attached_findings(devices)


def _library(library: EdgeTpuLibrary) -> Finding:
    text = f"{library.file}, {library.version}"
    runtime = library.runtime_version
    if runtime is None or runtime < _OLDEST_RUNTIME:
        hint = "update it: present compilers make models for runtime version 14"
        return Finding(name="libedgetpu", state=State.WARN, text=text, hint=hint, needed=True)
    if library.is_old_build:
        hint = "this build was made for TensorFlow Lite 2.5 and can crash LiteRT; install a build for a present one"
        return Finding(name="libedgetpu", state=State.WARN, text=text, hint=hint, needed=True)
    return Finding(name="libedgetpu", state=State.OK, text=text, needed=True)


def _device(library: EdgeTpuLibrary, device: AttachedDevice) -> Finding:
    node = node_of(device)
    if node is not None and not may_open(node):
        group = "the group apex" if device.kind == "pci" else "the group plugdev, and the vendor's udev rules"
        after = "; without a udev rule it is root's again after every start" if device.kind == "pci" else ""
        hint = f"give this user the right: {group}; then log in anew{after}"
        return _warning(device, f"{device.path}: this user may not open {node}", hint)
    if node is not None and (others := holders(node)):
        return _warning(device, f"{device.path}: in use by {', '.join(others)}", "end them, or take another device")
    return _opened(library, device)


def _opened(library: EdgeTpuLibrary, device: AttachedDevice) -> Finding:
    """Open a device in a process of its own, which may crash or hang."""
    command = [sys.executable, "-m", "segsolve_runtime.backends.edgetpu.probe", library.file, device.name]
    try:
        done = subprocess.run(command, capture_output=True, timeout=_OPENING_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        return _warning(device, f"{device.path}: no answer within {_OPENING_TIMEOUT_S:g} s", "plug it in anew")
    if done.returncode < 0:
        hint = "libedgetpu was built for another TensorFlow Lite; install a build for a present one"
        return _warning(device, f"{device.path}: to open it crashes (signal {-done.returncode})", hint)
    if done.returncode:
        return _warning(
            device, f"{device.path}: cannot be opened", "another process may use it, or it must be plugged in anew"
        )
    return Finding(name=f"{DEVICE} {device.name}", state=State.OK, text=f"{device.path}: can be opened", needed=True)


def _warning(device: AttachedDevice, text: str, hint: str) -> Finding:
    return Finding(name=f"{DEVICE} {device.name}", state=State.WARN, text=text, hint=hint, needed=True)
