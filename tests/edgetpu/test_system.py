"""What Linux says of devices, read from a file system made for the test."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from segsolve_runtime.backends.edgetpu import choose, system
from segsolve_runtime.backends.edgetpu.library import AttachedDevice

PCI = AttachedDevice(kind="pci", index=0, path="/dev/apex_0")
USB = AttachedDevice(kind="usb", index=0, path="/sys/bus/usb/devices/1-2")


def _file(path: Path, text: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(choose, "ROOT", tmp_path)
    return tmp_path


def _usb(root: Path, vendor: str = "1a6e", product: str = "089a") -> Path:
    folder = root / "sys/bus/usb/devices/1-2"
    for name, text in (("idVendor", vendor), ("idProduct", product), ("busnum", "1"), ("devnum", "14")):
        _file(folder / name, f"{text}\n")
    return folder


def test_devices_on_usb(root: Path) -> None:
    _usb(root)
    _file(root / "sys/bus/usb/devices/usb1/idVendor", "1d6b\n")
    (found,) = system.usb_devices(root)
    assert found.name == "1-2"
    assert system.node_of(USB, root) == system.usb_node(found, root) == root / "dev/bus/usb/001/014"
    _usb(root, "18d1", "9302")
    assert len(system.usb_devices(root)) == 1
    _usb(root, "18d1", "4ee7")
    assert system.usb_devices(root) == ()


def test_devices_on_pcie(root: Path) -> None:
    _file(root / "sys/bus/pci/devices/0000:03:00.0/vendor", "0x1ac1\n")
    _file(root / "sys/bus/pci/devices/0000:03:00.0/device", "0x089a\n")
    assert [f.name for f in system.pci_devices(root)] == ["0000:03:00.0"]
    assert system.node_of(PCI, root) is None
    node = _file(root / "dev/apex_0")
    assert system.apex_nodes(root) == (node,)
    assert system.node_of(PCI, root) == node


def test_who_has_a_device_open(root: Path) -> None:
    node = _file(root / "dev/apex_0")
    for number, target in ((4711, node), (4712, root / "dev/null"), (os.getpid(), node)):
        _file(root / f"proc/{number}/comm", "frigate\n")
        (root / f"proc/{number}/fd").mkdir()
        (root / f"proc/{number}/fd/3").symlink_to(target)
    (root / "proc/4713").mkdir()
    assert system.holders(node, root) == ("frigate (4711)",)


def test_this_process_and_real_files(tmp_path: Path) -> None:
    assert system.holders(tmp_path / "none") == ()
    assert system.may_open(_file(tmp_path / "node"))
    assert not system.may_open(tmp_path / "none")


def test_nothing_there(root: Path) -> None:
    assert choose.why_none() == ""


def test_on_usb_without_permission(root: Path) -> None:
    _usb(root)
    assert f"this user may not open {root}/dev/bus/usb/001/014" in choose.why_none()  # no node: not permitted either
    _file(root / "dev/bus/usb/001/014")
    assert "libedgetpu does not see it" in choose.why_none()


def test_on_pcie_without_driver_or_permission(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _file(root / "sys/bus/pci/devices/0000:03:00.0/vendor", "0x1ac1\n")
    _file(root / "sys/bus/pci/devices/0000:03:00.0/device", "0x089a\n")
    assert "the kernel's driver (gasket, apex) is not loaded" in choose.why_none()
    _file(root / "dev/apex_0")
    monkeypatch.setattr(choose, "may_open", lambda node: False)
    assert choose.why_none() == f"; this user may not open {root}/dev/apex_0: add it to the group apex"
