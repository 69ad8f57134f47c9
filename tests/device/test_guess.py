"""Which description fits what is attached, in file systems made for the test."""

from __future__ import annotations

from pathlib import Path

import pytest

from segsolve.device.guess import Guess, fitting, guess, host_of, machine, seen
from segsolve.device.model import describe_device
from segsolve_runtime.backends.edgetpu.library import AttachedDevice


def _file(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{text}\n")


def usb(root: Path, *names: str, speed: int = 5000) -> None:
    for name in names:
        for key, text in (("idVendor", "18d1"), ("idProduct", "9302"), ("speed", str(speed))):
            _file(root / f"sys/bus/usb/devices/{name}" / key, text)


def pci(root: Path, *places: str, width: int = 16) -> None:
    """Put devices under bridges, as sysfs does: the folder by address is a link into the tree of bridges."""
    for place in places:
        folder = root / "sys/devices/pci0000:00" / place
        _file(folder / "vendor", "0x1ac1")
        _file(folder / "device", "0x089a")
        _file(folder.parent.parent / "current_link_width", str(width))
        link = root / "sys/bus/pci/devices" / folder.name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(folder)


def board(root: Path, name: str) -> None:
    _file(root / "proc/device-tree/model", f"{name}\0")


def the_guess(root: Path) -> Guess:
    (one,) = guess(seen(root), root)
    describe_device(one.device)
    return one


@pytest.mark.parametrize(
    ("names", "device"),
    [
        (("2-1",), "edgetpu-usb"),
        (("2-1", "2-2"), "edgetpu-usb"),
        (("2-1.1", "2-1.2", "2-1.4"), "edgetpu-usb-hub"),
        (("2-1.4",), "edgetpu-usb"),
        (("2-1.1", "2-1.2", "2-3"), "edgetpu-usb"),
    ],
)
def test_on_usb_of_a_pc(names: tuple[str, ...], device: str, tmp_path: Path) -> None:
    usb(tmp_path, *names)
    found = the_guess(tmp_path)
    assert (found.kind, found.device, len(found.paths)) == ("usb", device, len(names))
    assert bool(found.notes) == (len(names) == 3 and "2-3" in names)  # some behind a hub, some not


def test_usb_2_is_said(tmp_path: Path) -> None:
    usb(tmp_path, "1-2", speed=480)
    assert "480 Mbit/s" in the_guess(tmp_path).notes[0]


@pytest.mark.parametrize(
    ("name", "device"),
    [
        ("Raspberry Pi 5 Model B Rev 1.0", "edgetpu-usb-pi5"),
        ("Freescale i.MX8MQ Phanbell", "edgetpu-dev-board"),
        ("Some other board", None),
    ],
)
def test_the_host(name: str, device: str | None, tmp_path: Path) -> None:
    board(tmp_path, name)
    assert host_of(tmp_path) == device


@pytest.mark.parametrize(
    ("name", "on_usb", "on_pcie"),
    [
        ("Raspberry Pi 4 Model B Rev 1.4", "edgetpu-usb-pi4", "edgetpu-m2"),
        ("Raspberry Pi 5 Model B Rev 1.0", "edgetpu-usb-pi5", "edgetpu-m2-pi5"),
        ("Freescale i.MX8MQ Phanbell", "edgetpu-usb", "edgetpu-dev-board"),
        ("Some other board", "edgetpu-usb", "edgetpu-m2"),
    ],
)
def test_on_a_board(name: str, on_usb: str, on_pcie: str, tmp_path: Path) -> None:
    board(tmp_path, name)
    usb(tmp_path, "2-1")
    pci(tmp_path, "0000:00:01.0/0000:01:00.0")
    first, second = guess(seen(tmp_path), tmp_path)
    assert machine(tmp_path) == name
    assert (first.device, second.device) == (on_usb, on_pcie)
    assert (fitting("usb", tmp_path), fitting("pci", tmp_path)) == (on_usb, on_pcie)
    for one, described in ((first, on_usb.endswith(("pi4", "pi5"))), (second, on_pcie != "edgetpu-m2")):
        assert any(name in note for note in one.notes) is not described


def test_on_pcie_of_a_pc(tmp_path: Path) -> None:
    pci(tmp_path, "0000:00:1c.0/0000:03:00.0", "0000:00:1d.0/0000:04:00.0")
    found = the_guess(tmp_path)
    assert (found.device, found.notes, len(found.paths)) == ("edgetpu-m2", (), 2)


def test_behind_a_switch(tmp_path: Path) -> None:
    pci(tmp_path, *(f"0000:00:01.0/0000:01:00.0/0000:02:0{k}.0/0000:0{3 + k}:00.0" for k in range(2)), width=4)
    found = the_guess(tmp_path)
    assert found.device == "edgetpu-card"
    assert "4 of the 16 lanes" in found.notes[0]


def test_many_without_a_switch_and_none(tmp_path: Path) -> None:
    assert seen(tmp_path) == () == guess((), tmp_path)
    many = [AttachedDevice(kind="pci", index=k, path=f"/dev/apex_{k}") for k in range(8)]
    (found,) = guess(many, tmp_path)
    assert found.device == "edgetpu-card"
