"""Which Edge TPU runs which stage."""

from __future__ import annotations

import re
from collections.abc import Sequence

from segsolve_runtime.backends.edgetpu.library import AttachedDevice, EdgeTpuLibrary
from segsolve_runtime.backends.edgetpu.system import ROOT, apex_nodes, may_open, pci_devices, usb_devices, usb_node
from segsolve_runtime.errors import BackendError, HardwareError

_NAME = re.compile(r"(?:usb|pci)?:\d{1,4}|/\S+")


def parse_devices(text: str) -> tuple[str, ...]:
    """Return the names in a list such as ``usb:0,pci:1`` or ``:0,:1``, or of paths: ``/dev/apex_0``.

    Raises:
        BackendError: one is not a device's name, or is there twice.
    """
    names = tuple(part.strip() for part in text.split(","))
    for name in names:
        if not _NAME.fullmatch(name):
            raise BackendError(
                f"{name!r} is no Edge TPU; write usb:0, pci:0 or :0, counted from 0, with commas between"
            )
        if names.count(name) > 1:
            raise BackendError(f"the Edge TPU {name} is named twice; each runs one stage")
    return names


def choose_devices(library: EdgeTpuLibrary, count: int, names: Sequence[str] = ()) -> tuple[AttachedDevice, ...]:
    """Return `count` attached devices: those that are named, or the first ones in the library's order.

    Raises:
        HardwareError: there are not so many, or a named one is not there.
        BackendError: fewer or more are named than stages need.
    """
    attached = library.devices()
    if not attached:
        raise HardwareError(f"no Edge TPU is attached{why_none()}")
    if not names:
        if len(attached) < count:
            advice = f"solve again with --tpus {len(attached)}"
            raise HardwareError(f"the plan needs {count} Edge TPUs, but {_listed(attached)} attached; {advice}")
        return attached[:count]
    if len(names) != count:
        raise BackendError(f"the plan needs {count} Edge TPUs, but {len(names)} are named: {', '.join(names)}")
    chosen = tuple(_named(attached, name) for name in names)
    if len({device.path for device in chosen}) < len(chosen):
        raise BackendError(f"two of the names {', '.join(names)} are the same Edge TPU; each runs one stage")
    return chosen


def why_none() -> str:
    """Return what the operating system says about Edge TPUs that the library does not see, as the end of a sentence."""
    for folder in usb_devices(ROOT):
        node = usb_node(folder, ROOT)
        if node is not None and not may_open(node):
            return f"; one is on USB, but this user may not open {node}: it needs the vendor's udev rules"
        return "; one is on USB, but libedgetpu does not see it: plug it in anew"
    if pci_devices(ROOT) and not apex_nodes(ROOT):
        return "; one is on PCIe, but there is no /dev/apex_0: the kernel's driver (gasket, apex) is not loaded"
    if any(not may_open(node) for node in apex_nodes(ROOT)):
        return f"; this user may not open {apex_nodes(ROOT)[0]}: add it to the group apex"
    return ""


def _named(attached: Sequence[AttachedDevice], name: str) -> AttachedDevice:
    kind, _, index = name.partition(":")
    if name.startswith("/"):
        of_kind, index = [device for device in attached if device.path == name], "0"
    else:
        of_kind = [device for device in attached if kind in ("", device.kind)]
    if int(index) >= len(of_kind):
        raise HardwareError(f"the Edge TPU {name} is not attached; {_listed(attached)}")
    return of_kind[int(index)]


def _listed(attached: Sequence[AttachedDevice]) -> str:
    verb = "is" if len(attached) == 1 else "are"
    return f"{', '.join(device.name for device in attached)} {verb}"
