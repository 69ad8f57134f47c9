from __future__ import annotations

from pathlib import Path

import pytest

from segsolve_runtime.backends.edgetpu.choose import choose_devices, parse_devices
from segsolve_runtime.backends.edgetpu.library import LIBRARY_VARIABLE, open_library
from segsolve_runtime.errors import BackendError, HardwareError

from ..standins.edgetpu import StandIn


def test_devices_in_the_librarys_order(standin: StandIn) -> None:
    devices = open_library().devices()
    assert [str(d) for d in devices] == [
        "usb:0 (/sys/bus/usb/devices/1-2)",
        "pci:0 (/dev/apex_0)",
        "usb:1 (/sys/bus/usb/devices/2-1)",
    ]


def test_no_device(standin: StandIn) -> None:
    standin.attach()
    assert open_library().devices() == ()


@pytest.mark.parametrize(
    ("version", "runtime", "is_old"),
    [
        ("BuildLabel(COMPILER=6.3.0 20170516,DATE=redacted,TIME=redacted), RuntimeVersion(14)", 14, True),
        (
            "BuildLabel(COMPILER=5.4.0 20160609,DATE=redacted,TIME=redacted,CL_NUMBER=291256449), RuntimeVersion(13)",
            13,
            True,
        ),
        ("BuildLabel(COMPILER=MSVC 192528612,DATE=Jul 20 2021,TIME=14:30:22), RuntimeVersion(14)", 14, True),
        ("BuildLabel(COMPILER=14.2.0,DATE=Feb 22 2026,TIME=09:51:57), RuntimeVersion(14)", 14, False),
        ("BuildLabel(N/A), RuntimeVersion(14)", 14, False),
        ("unknown", None, False),
    ],
)
def test_what_its_version_says(version: str, runtime: int | None, is_old: bool, standin: StandIn) -> None:
    standin.set("STANDIN_EDGETPU_VERSION", version)
    library = open_library()
    assert (library.version, library.runtime_version, library.is_old_build) == (version, runtime, is_old)


def _fails(file: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv(LIBRARY_VARIABLE, file)
    with pytest.raises(HardwareError) as caught:
        open_library()
    return str(caught.value)


def test_no_library(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _fails("libnone.so.1", monkeypatch) == "libnone.so.1, which drives Edge TPUs, is not installed"


def test_a_file_that_is_no_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lib.so").write_text("hello")
    assert f"{tmp_path}/lib.so cannot be loaded: " in _fails(str(tmp_path / "lib.so"), monkeypatch)


def test_another_library(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _fails("libc.so.6", monkeypatch) == "libc.so.6 is not libedgetpu: it lacks the functions of edgetpu_c.h"


def test_names() -> None:
    assert parse_devices("usb:0, pci:12,:3,/dev/apex_0") == ("usb:0", "pci:12", ":3", "/dev/apex_0")
    for text, words in (("usb:0,usb:0", "named twice"), ("usb", "'usb' is no Edge TPU"), ("", "'' is no Edge TPU")):
        with pytest.raises(BackendError, match=words):
            parse_devices(text)


def test_the_first_or_the_named(standin: StandIn) -> None:
    library = open_library()
    assert [d.name for d in choose_devices(library, 2)] == ["usb:0", "pci:0"]
    assert [d.name for d in choose_devices(library, 2, ("usb:1", "pci:0"))] == ["usb:1", "pci:0"]
    assert [d.name for d in choose_devices(library, 2, (":2", ":0"))] == ["usb:1", "usb:0"]
    assert [d.name for d in choose_devices(library, 1, ("/dev/apex_0",))] == ["pci:0"]


@pytest.mark.parametrize(
    ("count", "names", "kind", "words"),
    [
        (
            4,
            (),
            HardwareError,
            "the plan needs 4 Edge TPUs, but usb:0, pci:0, usb:1 are attached; solve again with --tpus 3",
        ),
        (1, ("pci:1",), HardwareError, "the Edge TPU pci:1 is not attached; usb:0, pci:0, usb:1 are"),
        (1, ("/dev/apex_7",), HardwareError, "the Edge TPU /dev/apex_7 is not attached; usb:0, pci:0, usb:1 are"),
        (2, ("pci:0",), BackendError, "the plan needs 2 Edge TPUs, but 1 are named: pci:0"),
        (2, ("pci:0", ":1"), BackendError, "two of the names pci:0, :1 are the same Edge TPU; each runs one stage"),
    ],
)
def test_choices_that_cannot_be(
    count: int, names: tuple[str, ...], kind: type[Exception], words: str, standin: StandIn
) -> None:
    with pytest.raises(kind) as caught:
        choose_devices(open_library(), count, names)
    assert str(caught.value) == words


def test_none_to_choose(standin: StandIn) -> None:
    standin.attach()
    with pytest.raises(HardwareError, match="no Edge TPU is attached"):
        choose_devices(open_library(), 1)
