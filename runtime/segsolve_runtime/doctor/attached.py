"""Checks of how devices are attached: USB speed and power, heat on PCIe.

Figures: an Edge TPU on USB may draw 0.9 A (USB 3.0), and a Raspberry Pi 4 gives all its USB ports 1.2 A together.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from segsolve_runtime.backends.edgetpu.library import AttachedDevice
from segsolve_runtime.backends.edgetpu.system import ROOT, text_of
from segsolve_runtime.doctor import DEVICE, Finding, State
from segsolve_runtime.observe.heat import heat_of

_NEW_ID = ("1a6e", "089a")
_SLOW_MBITS = 480  # USB 2
_FREE_ON_A_PI = 1  # devices that its ports feed


def attached_findings(devices: Sequence[AttachedDevice], root: Path = ROOT) -> Iterator[Finding]:
    """Yield what may make devices slow, or go away, though they can be opened."""
    usb = [device for device in devices if device.kind == "usb"]
    for device in usb:
        folder = root / device.path.lstrip("/")
        speed = text_of(folder / "speed")
        if speed.isdigit() and int(speed) <= _SLOW_MBITS:
            hint = "plug it into a USB 3 port: transfers take several times as long"
            yield _finding(device, State.WARN, f"{device.path}: attached with {speed} Mbit/s", hint)
        if (text_of(folder / "idVendor"), text_of(folder / "idProduct")) == _NEW_ID:
            text = "1a6e:089a until its first inference, then 18d1:9302"
            yield _finding(device, State.OK, text, "rules for permissions and containers must name both ids")
    model = text_of(root / "proc/device-tree/model")
    if "Raspberry Pi" in model and len(usb) > _FREE_ON_A_PI:
        text = f"{len(usb)} on the USB ports of a {model.strip(chr(0))}, which give 1.2 A in all"
        hint = "put them on a hub of its own power: each may draw 0.9 A, and goes away when it lacks"
        yield Finding(name=f"{DEVICE}s", state=State.WARN, text=text, hint=hint)
    for device in devices:
        heat = heat_of(device.path, root / "sys/class/apex")
        if heat is not None:
            hint = "cool it: its clock is divided when it gets hotter" if heat.is_hot else ""
            yield _finding(device, State.WARN if heat.is_hot else State.OK, str(heat), hint)
    if usb:
        yield Finding(name="heat", state=State.OK, text="devices on USB do not tell their temperature")


def _finding(device: AttachedDevice, state: State, text: str, hint: str) -> Finding:
    return Finding(name=f"on {device.name}", state=state, text=text, hint=hint)
