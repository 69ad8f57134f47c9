"""Opens a compiled segment on one Edge TPU, and says in a sentence why that fails where it does."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from time import sleep
from typing import Any, TypeVar

from segsolve_runtime.backends.edgetpu.library import AttachedDevice, EdgeTpuLibrary
from segsolve_runtime.backends.edgetpu.pycoral import find_pycoral
from segsolve_runtime.backends.edgetpu.system import holders, may_open, node_of
from segsolve_runtime.errors import HardwareError

PROBE_TIMEOUT_S = 60.0
OPEN_WAITS_S = (0.1, 0.2, 0.4, 0.8, 1.6)
"""Between the attempts to open a device."""
T = TypeVar("T")
_NEWER = re.compile(r"requires runtime version \((\d+)\), which is newer than this runtime version \((\d+)\)")
_claimed: dict[str, int] = {}
"""How many stages share a device; 0 for one that has it for itself."""
_claims = threading.Lock()


class CannotOpenError(HardwareError):
    """A device did not open, which may pass."""


class OpenedDevice:
    """A segment's interpreter with its tensors allocated, and the device that belongs to it until it is closed."""

    def __init__(
        self, library: EdgeTpuLibrary, device: AttachedDevice, segment: Path, threads: int = 1, *, shares: bool = False
    ) -> None:
        """Open the device; `threads` are for operations of the segment that the compiler left to the CPU.

        A stage `shares` it with others that were compiled together with it.

        Raises:
            HardwareError: the device cannot be opened, or cannot run this segment.
        """
        self.device, self._library = device, library
        claim(device, shares=shares)
        try:
            self.interpreter: Any = _open(library, device, segment, threads)
        except BaseException:
            release(device)
            raise

    @property
    def is_gone(self) -> bool:
        """Whether the library does not see the device any more: it was unplugged, or has stopped answering."""
        return all(found.path != self.device.path for found in self._library.devices())

    def close(self) -> None:
        """Give the device back."""
        self.interpreter = None  # with the last reference the delegate goes, and with it the device
        release(self.device)


def claim(device: AttachedDevice, *, shares: bool = False) -> None:
    """Keep a device for one stage of this process, or for those that share it (HardwareError if another has it)."""
    # The library shares it among all who ask in one process, but unless they were compiled together, each switch loads
    # all weights anew.
    with _claims:
        users = _claimed.get(device.path)
        if users is not None and not (shares and users):
            raise HardwareError(f"the Edge TPU {device} already runs another stage in this process")
        _claimed[device.path] = (users or 0) + 1 if shares else 0


def release(device: AttachedDevice) -> None:
    """Let another stage of this process have a device, when the last of those that share it is gone."""
    with _claims:
        users = _claimed.pop(device.path, 0)
        if users > 1:
            _claimed[device.path] = users - 1


def _open(library: EdgeTpuLibrary, device: AttachedDevice, segment: Path, threads: int) -> Any:
    name = _name_now(library, device)
    uses_pycoral = find_pycoral().state == "google"
    if library.is_old_build and not uses_pycoral:
        _probe(library, name, segment)
    try:
        interpreter = _with_pycoral(segment, name) if uses_pycoral else _with_litert(library, segment, name, threads)
    except (OSError, ValueError) as error:
        raise CannotOpenError(_cannot_open(device, str(error))) from None
    except RuntimeError as error:
        raise HardwareError(_cannot_run(library, device, segment, str(error))) from None
    try:
        interpreter.allocate_tensors()
    except (RuntimeError, ValueError) as error:
        raise HardwareError(_cannot_run(library, device, segment, str(error))) from None
    return interpreter


def _name_now(library: EdgeTpuLibrary, device: AttachedDevice) -> str:
    """Return the name of a device by its path: over USB, to open one device can change the places of others."""
    for found in library.devices():
        if found.path == device.path:
            return found.name
    raise HardwareError(f"the Edge TPU {device} is gone")


def _with_litert(library: EdgeTpuLibrary, segment: Path, name: str, threads: int) -> Any:
    from ai_edge_litert.interpreter import Interpreter, load_delegate

    delegate = load_delegate(library.file, {"device": name})
    return Interpreter(model_path=str(segment), num_threads=threads, experimental_delegates=[delegate])


def _with_pycoral(segment: Path, name: str) -> Any:
    return import_module("pycoral.utils.edgetpu").make_interpreter(str(segment), device=name)


def _probe(library: EdgeTpuLibrary, name: str, segment: Path) -> None:
    """Try in another process what would crash this one with a library that was built for another TFLite."""
    command = [sys.executable, "-m", "segsolve_runtime.backends.edgetpu.probe", library.file, name, str(segment)]
    try:
        done = subprocess.run(command, capture_output=True, timeout=PROBE_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        raise HardwareError(f"the Edge TPU {name} did not answer within {PROBE_TIMEOUT_S:g} s") from None
    if done.returncode < 0:
        raise HardwareError(
            f"{library.file} ({library.version}) crashes with LiteRT {_litert_version()}: it was built for "
            "TensorFlow Lite 2.5; install a build of libedgetpu for a present one"
        )


def _cannot_open(device: AttachedDevice, reason: str) -> str:
    """Return a sentence for a failure of which the library gives no reason."""
    node = node_of(device)
    if node is not None and (others := holders(node)):
        return f"the Edge TPU {device} is in use by {', '.join(others)}"
    if node is not None and not may_open(node):
        return f"this user may not open the Edge TPU {device}: {node}"
    said = " ".join(reason.split()).removeprefix("Failed to load delegate from").strip()
    detail = f": {said}" if " " in said else ""  # after the prefix comes the library's name, and often nothing else
    return f"the Edge TPU {device} cannot be opened; another process may use it{detail}"


def opened_with_patience(device: AttachedDevice, opens: Callable[[], T]) -> T:
    """Return what `opens` does, tried again with growing waits while the device does not open without a known reason.

    One in about five attempts to open a device over USB right after it was closed is reported to fail.

    Raises:
        HardwareError: it does not open, or there is a reason that waiting does not change.
    """
    for wait_s in OPEN_WAITS_S:
        try:
            return opens()
        except CannotOpenError:
            node = node_of(device)
            if node is not None and (not may_open(node) or holders(node)):
                raise
            sleep(wait_s)
    return opens()


def _cannot_run(library: EdgeTpuLibrary, device: AttachedDevice, segment: Path, reason: str) -> str:
    if match := _NEWER.search(reason):
        return (
            f"{segment} was compiled for runtime version {match[1]}, but {library.file} has {match[2]}: "
            f"update libedgetpu, or compile again with --min-runtime-version {match[2]}"
        )
    return f"the Edge TPU {device} cannot run {segment}: {' '.join(reason.split())}"


def _litert_version() -> str:
    try:
        return version("ai-edge-litert")
    except PackageNotFoundError:
        return "(not installed)"
