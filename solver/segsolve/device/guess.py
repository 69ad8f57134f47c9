"""Which description of the catalogue fits the Edge TPUs that Linux says are attached to this machine."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from segsolve_runtime.backends.edgetpu.library import AttachedDevice
from segsolve_runtime.backends.edgetpu.system import ROOT, apex_nodes, pci_devices, text_of, usb_devices

Kind = Literal["usb", "pci"]
_ON_A_CARD = 3  # on PCIe, from so many on: an M.2 module has two at most
_HUB = re.compile(r"(\d+-[\d.]+)\.\d+")  # the name of a device behind a hub: that of the hub, and a port
_BRIDGE = re.compile(r"[0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]")
_USB_3 = 5000  # Mbit/s
_LANES = 16  # of the card that was described
# What /proc/device-tree/model has of a board, and its descriptions for USB and for PCIe; "" where there is none.
_BOARDS = (
    ("Raspberry Pi 4", "edgetpu-usb-pi4", ""),
    ("Raspberry Pi 5", "edgetpu-usb-pi5", "edgetpu-m2-pi5"),
    ("Phanbell", "", "edgetpu-dev-board"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Guess:
    """Devices of one kind, the description that comes nearest to them, and why; `notes` say in what it does not fit."""

    kind: str
    paths: tuple[str, ...]
    device: str
    why: str
    notes: tuple[str, ...] = ()


def machine(root: Path = ROOT) -> str:
    """Return the model of a board as its firmware names it; "" for a PC, which has no such name."""
    return text_of(root / "proc/device-tree/model").strip("\0")


def seen(root: Path = ROOT) -> tuple[AttachedDevice, ...]:
    """Return the Edge TPUs that sysfs shows, whether or not a library or a driver can use them."""
    usb = [f"/{folder.relative_to(root)}" for folder in usb_devices(root)]
    nodes = [f"/{node.relative_to(root)}" for node in apex_nodes(root)]
    pci = [f"/{folder.relative_to(root)}" for folder in pci_devices(root)]
    of_kind: dict[Kind, list[str]] = {"usb": usb, "pci": nodes if len(nodes) >= len(pci) else pci}
    return tuple(AttachedDevice(kind=k, index=i, path=p) for k, paths in of_kind.items() for i, p in enumerate(paths))


def guess(attached: Sequence[AttachedDevice], root: Path = ROOT) -> tuple[Guess, ...]:
    """Return a guess for the devices on USB and one for those on PCIe, as far as there are any."""
    kinds = dict.fromkeys(device.kind for device in attached)
    paths = {kind: tuple(device.path for device in attached if device.kind == kind) for kind in kinds}
    return tuple((_on_usb if kind == "usb" else _on_pcie)(paths[kind], root) for kind in kinds)


def fitting(kind: Kind, root: Path = ROOT) -> str:
    """Return the description for one device on "usb" or "pci" of this machine."""
    (one,) = guess([AttachedDevice(kind=kind, index=0, path="")], root)
    return one.device


def host_of(root: Path = ROOT) -> str | None:
    """Return the device whose description is right about this machine as a host; None for a PC and unknown boards."""
    _, *described = _board(root)
    return next(filter(None, described), None)


def _on_usb(paths: tuple[str, ...], root: Path) -> Guess:
    board, described, _ = _board(root)
    names = [Path(path).name for path in paths]
    hubs = {found.group(1) if (found := _HUB.fullmatch(name)) else name for name in names}
    notes = [
        f"{path} has {speed} Mbit/s, less than USB 3: transfers take several times as long as described"
        for path in paths
        if (speed := text_of(root / path.lstrip("/") / "speed")).isdigit() and int(speed) < _USB_3
    ]
    if described:
        return Guess(kind="usb", paths=paths, device=described, why=f"USB on a {board}", notes=tuple(notes))
    if board:
        notes.append(f"the host is a {board}, of which nothing was measured: see the host's figures of edgetpu-usb-pi4")
    if len(names) > 1 and len(hubs) == 1:
        why = f"all behind one hub, {hubs.pop()}, whose cable they share"
        return Guess(kind="usb", paths=paths, device="edgetpu-usb-hub", why=why, notes=tuple(notes))
    if len(hubs) < len(names):
        notes.append("some share a hub's cable, which edgetpu-usb does not know: see edgetpu-usb-hub, or pools")
    return Guess(kind="usb", paths=paths, device="edgetpu-usb", why="each on a port of its own", notes=tuple(notes))


def _on_pcie(paths: tuple[str, ...], root: Path) -> Guess:
    board, _, described = _board(root)
    if described:
        return Guess(kind="pci", paths=paths, device=described, why=f"PCIe of a {board}")
    notes = []
    if board:
        notes.append(f"the host is a {board}, of which nothing was measured: see the host's figures of edgetpu-m2-pi5")
    switches = _switches(root)
    if switches or len(paths) >= _ON_A_CARD:
        width = next((w for s in switches if (w := text_of(s / "current_link_width")).isdigit()), "")
        if width and int(width) < _LANES:
            notes.append(f"its slot has {width} of the {_LANES} lanes described: copy it with another link.bandwidth")
        why = "several behind one switch" if switches else f"{len(paths)} on PCIe, more than a module has"
        return Guess(kind="pci", paths=paths, device="edgetpu-card", why=why, notes=tuple(notes))
    return Guess(kind="pci", paths=paths, device="edgetpu-m2", why="M.2 or mini PCIe, no switch", notes=tuple(notes))


def _switches(root: Path) -> list[Path]:
    """Return the folders of the PCIe switches behind which there are several Edge TPUs."""
    above = [folder.resolve().parent.parent for folder in pci_devices(root)]
    return [folder for folder in dict.fromkeys(above) if above.count(folder) > 1 and _BRIDGE.fullmatch(folder.name)]


def _board(root: Path) -> tuple[str, str, str]:
    name = machine(root)
    return name, *next(((usb, pci) for known, usb, pci in _BOARDS if known in name), ("", ""))
