"""What the operating system (Linux) knows of Edge TPUs: nodes, permissions, and who has them open.

All functions take the root of the file system, so that tests can give one of their own.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from segsolve_runtime.backends.edgetpu.library import AttachedDevice

ROOT = Path("/")
# Vendor and product of an Edge TPU on USB before and after its firmware was loaded, and of one on PCIe.
_USB_IDS = {("1a6e", "089a"), ("18d1", "9302")}
_PCI_ID = ("0x1ac1", "0x089a")


def usb_devices(root: Path = ROOT) -> tuple[Path, ...]:
    """Return the folders in sysfs of the Edge TPUs on USB."""
    folders = sorted((root / "sys/bus/usb/devices").glob("*"))
    return tuple(f for f in folders if (text_of(f / "idVendor"), text_of(f / "idProduct")) in _USB_IDS)


def pci_devices(root: Path = ROOT) -> tuple[Path, ...]:
    """Return the folders in sysfs of the Edge TPUs on PCIe, whether or not a driver is bound to them."""
    folders = sorted((root / "sys/bus/pci/devices").glob("*"))
    return tuple(f for f in folders if (text_of(f / "vendor"), text_of(f / "device")) == _PCI_ID)


def apex_nodes(root: Path = ROOT) -> tuple[Path, ...]:
    """Return the device nodes that the kernel's driver made for Edge TPUs on PCIe."""
    return tuple(sorted((root / "dev").glob("apex_*")))


def node_of(device: AttachedDevice, root: Path = ROOT) -> Path | None:
    """Return the node that is opened to use a device, if the system says which."""
    path = root / device.path.lstrip("/")
    if device.kind == "pci":
        return path if path.exists() else None
    return usb_node(path, root)


def usb_node(folder: Path, root: Path = ROOT) -> Path | None:
    """Return the node of a USB device, given its folder in sysfs."""
    bus, number = text_of(folder / "busnum"), text_of(folder / "devnum")
    if not (bus.isdigit() and number.isdigit()):
        return None
    return root / f"dev/bus/usb/{int(bus):03}/{int(number):03}"


def may_open(node: Path) -> bool:
    """Whether this user may read and write a node."""
    return os.access(node, os.R_OK | os.W_OK)


def holders(node: Path, root: Path = ROOT) -> tuple[str, ...]:
    """Return the other processes that have a node open, as ``python (4711)``, as far as this user may see them."""
    return tuple(f"{text_of(process / 'comm') or '?'} ({process.name})" for process in _processes_with(node, root))


def _processes_with(node: Path, root: Path) -> Iterator[Path]:
    for process in sorted((root / "proc").glob("[0-9]*")):
        if process.name == str(os.getpid()):
            continue
        with suppress(OSError):  # it has ended, or belongs to another user
            if any(str(link.readlink()) == str(node) for link in (process / "fd").iterdir()):
                yield process


def text_of(path: Path) -> str:
    """Return what a file of the system says, without white space around it; "" where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
