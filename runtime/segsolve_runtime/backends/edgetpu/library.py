"""libedgetpu, the vendor's user-space driver, through its documented C interface (``edgetpu_c.h``)."""

from __future__ import annotations

import ctypes
import os
import re
import sys
from dataclasses import dataclass
from typing import Literal

from segsolve_runtime.errors import HardwareError

LIBRARY_VARIABLE = "SEGSOLVE_LIBEDGETPU"
"""Environment variable with the path of the library, for one that the system's loader does not find."""
_NAMES = {"darwin": "libedgetpu.1.dylib", "win32": "edgetpu.dll"}
_PCI, _USB = 0, 1  # edgetpu_device_type
# The years of the vendor's own builds, which were made for TFLite 2.5: its structures have grown since.
_OLD_BUILD = re.compile(r"DATE=(?:redacted|\w+ +\d+ 20(?:18|19|20|21)\b)")

Kind = Literal["pci", "usb"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachedDevice:
    """An Edge TPU as the library enumerates it; `index` counts those of its kind.

    `path` is ``/dev/apex_0`` for PCIe and ``/sys/bus/usb/devices/1-2`` for USB.
    """

    kind: Kind
    index: int
    path: str

    @property
    def name(self) -> str:
        """The name by which the library's ``device`` option knows it now: ``usb:0``."""
        return f"{self.kind}:{self.index}"

    def __str__(self) -> str:
        return f"{self.name} ({self.path})"


class EdgeTpuLibrary:
    """The loaded library."""

    def __init__(self, file: str) -> None:
        """Load the library.

        Raises:
            OSError: it is not there, or the system's loader cannot use it.
            AttributeError: it is another library.
        """
        self.file = file
        loaded = ctypes.CDLL(file)
        self._list, self._free, version = (
            loaded.edgetpu_list_devices,
            loaded.edgetpu_free_devices,
            loaded.edgetpu_version,
        )
        self._list.argtypes, self._list.restype = [ctypes.POINTER(ctypes.c_size_t)], ctypes.POINTER(_Device)
        self._free.argtypes, self._free.restype = [ctypes.POINTER(_Device)], None
        version.argtypes, version.restype = [], ctypes.c_char_p
        self.version = (version() or b"").decode(errors="replace")

    @property
    def runtime_version(self) -> int | None:
        """The number that compiled models ask for, such as 14."""
        match = re.search(r"RuntimeVersion\((\d+)\)", self.version)
        return int(match[1]) if match else None

    @property
    def is_old_build(self) -> bool:
        """Whether it is one of the vendor's builds for TFLite 2.5, which crash later versions of TFLite."""
        return bool(_OLD_BUILD.search(self.version))

    def devices(self) -> tuple[AttachedDevice, ...]:
        """Return the attached Edge TPUs in the library's order, whether or not they are in use."""
        count = ctypes.c_size_t(0)
        found = self._list(ctypes.byref(count))
        try:
            listed = [(found[i].type, (found[i].path or b"").decode(errors="replace")) for i in range(count.value)]
        finally:
            if found:
                self._free(found)
        return _numbered(listed)


class _Device(ctypes.Structure):
    _fields_ = (("type", ctypes.c_int), ("path", ctypes.c_char_p))


def library_file() -> str:
    """Return the path of the library, or the name under which the system's loader looks for it."""
    given = os.environ.get(LIBRARY_VARIABLE)
    return given or _NAMES.get(sys.platform, "libedgetpu.so.1")


def open_library() -> EdgeTpuLibrary:
    """Load the library.

    Raises:
        HardwareError: it is not installed, cannot be loaded, or is another library.
    """
    file = library_file()
    try:
        return EdgeTpuLibrary(file)
    except AttributeError:
        raise HardwareError(f"{file} is not libedgetpu: it lacks the functions of edgetpu_c.h") from None
    except OSError as error:
        raise HardwareError(_cannot_load(file, str(error))) from None


def _cannot_load(file: str, reason: str) -> str:
    """Return a sentence for what the loader says; it also names a library that this one needs as missing."""
    if reason.startswith(f"{file}:") and "No such file" in reason:
        return f"{file}, which drives Edge TPUs, is not installed"
    return f"{file} cannot be loaded: {reason}"


def _numbered(listed: list[tuple[int, str]]) -> tuple[AttachedDevice, ...]:
    seen = {_PCI: 0, _USB: 0}
    devices = []
    for kind, path in listed:
        if kind in seen:  # the library also knows a simulator, which is no device
            devices.append(AttachedDevice(kind="pci" if kind == _PCI else "usb", index=seen[kind], path=path))
            seen[kind] += 1
    return tuple(devices)
