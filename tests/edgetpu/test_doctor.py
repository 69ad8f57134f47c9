from __future__ import annotations

import socket
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from segsolve.errors import ExitCode
from segsolve_runtime.backends.edgetpu.library import LIBRARY_VARIABLE, AttachedDevice
from segsolve_runtime.backends.edgetpu.pycoral import Pycoral
from segsolve_runtime.doctor import EXIT_NOT_READY, Finding, State, examine, hardware, is_ready, lines, software
from segsolve_runtime.doctor.attached import attached_findings
from segsolve_runtime.doctor.bundle import without_names

from ..cli.tool import document, error, has_hint, inside, run
from ..standins.edgetpu import StandIn, in_use_by_another


def finding(name: str) -> Finding:
    return next(f for f in examine() if f.name.startswith(name))


def test_all_there(standin: StandIn) -> None:
    findings = list(examine())
    assert is_ready(findings)
    devices = [f for f in findings if f.name.startswith("Edge TPU")]
    assert [f.name for f in devices] == ["Edge TPU usb:0", "Edge TPU pci:0", "Edge TPU usb:1"]
    assert {f.state for f in devices} == {State.OK}
    assert all(f.hint or f.state is State.OK for f in findings)


def test_nothing_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(LIBRARY_VARIABLE, "libnone.so.1")
    findings = list(examine())
    assert not is_ready(findings)
    assert finding("libedgetpu").state is State.MISSING
    assert not any(f.name.startswith("Edge TPU") for f in findings)


def test_no_device(standin: StandIn) -> None:
    standin.attach()
    assert finding("Edge TPU").state is State.MISSING and not is_ready(examine())


def test_a_device_in_use(standin: StandIn, tmp_path: Path) -> None:
    standin.attach("pci=/dev/apex_0")
    standin.set("STANDIN_EDGETPU_LOCKS", str(tmp_path))
    with in_use_by_another(["/dev/apex_0"], tmp_path):
        found = finding("Edge TPU pci:0")
        assert found.state is State.WARN and "cannot be opened" in found.text
        assert not is_ready(examine())
    assert is_ready(examine())


def test_a_device_held_or_forbidden(standin: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    node = tmp_path / "apex_0"
    node.touch()
    standin.attach(f"pci={node}")
    monkeypatch.setattr(hardware, "holders", lambda node: ("frigate (4711)",))
    assert finding("Edge TPU pci:0").text == f"{node}: in use by frigate (4711)"
    monkeypatch.setattr(hardware, "may_open", lambda node: False)
    assert "the group apex" in finding("Edge TPU pci:0").hint


def test_a_library_that_crashes(standin: StandIn) -> None:
    standin.set("STANDIN_EDGETPU_CRASH", "1")
    found = finding("Edge TPU usb:0")
    assert found.state is State.WARN and "crashes (signal 11)" in found.text


@pytest.mark.parametrize(
    ("version", "words"),
    [
        ("BuildLabel(COMPILER=6.3.0 20170516,DATE=redacted,TIME=redacted), RuntimeVersion(14)", "TensorFlow Lite 2.5"),
        ("BuildLabel(N/A), RuntimeVersion(12)", "runtime version 14"),
    ],
)
def test_a_library_of_another_version(version: str, words: str, standin: StandIn) -> None:
    standin.set("STANDIN_EDGETPU_VERSION", version)
    found = finding("libedgetpu")
    assert found.state is State.WARN and words in found.hint


@pytest.mark.parametrize(
    ("state", "level", "words"),
    [
        ("absent", State.OK, "not installed"),
        ("google", State.OK, "Google's"),
        ("impostor", State.WARN, "another package of the same name, not Google's"),
        ("incomplete", State.WARN, "lacks its compiled module"),
    ],
)
def test_each_pycoral(state: str, level: State, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found = Pycoral(state=state, version="0.2.0", folder=Path("/x"))  # type: ignore[arg-type]
    monkeypatch.setattr(software, "find_pycoral", lambda: found)
    assert software.pycoral().state is level and words in software.pycoral().text


def test_each_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert software.compiler().state is State.MISSING and not software.compiler().needed
    script = tmp_path / "edgetpu_compiler"
    script.write_text("#!/bin/sh\necho 'Edge TPU Compiler version 16.0.384591198'\n")
    script.chmod(0o755)
    assert software.compiler().text == f"Edge TPU Compiler version 16.0.384591198 ({script})"
    script.write_bytes(b"\x7fELF of another machine")
    assert software.compiler().state is State.WARN


def test_lines() -> None:
    found = Finding(name="libedgetpu", state=State.MISSING, text="not there", hint="install it")
    assert list(lines([found])) == ["missing libedgetpu        not there", f"{'':26}-> install it"]


def test_command(standin: StandIn) -> None:
    done = inside("doctor", "--json")
    assert done.code == ExitCode.OK
    result = document(done.stdout)
    assert result["ready"] is True
    assert {"Python", "LiteRT", "libedgetpu", "Edge TPU usb:0"} <= {check["name"] for check in result["checks"]}
    assert inside("doctor").stdout.splitlines()[0].startswith("ok      Python")


def test_command_without_a_library() -> None:
    done = run("doctor", SEGSOLVE_LIBEDGETPU="libnone.so.1")
    assert done.code == ExitCode.HARDWARE == EXIT_NOT_READY
    assert "missing libedgetpu        libnone.so.1, which drives Edge TPUs, is not installed" in done.stdout
    assert not done.stderr


def test_without_the_solver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(LIBRARY_VARIABLE, "libnone.so.1")
    done = subprocess.run(
        [sys.executable, "-m", "segsolve_runtime", "doctor"], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == EXIT_NOT_READY and "libnone.so.1" in done.stdout


def test_attached_devices(standin: StandIn) -> None:
    assert inside("devices", "--attached").stdout.splitlines() == [
        "usb:0    /sys/bus/usb/devices/1-2",
        "pci:0    /dev/apex_0",
        "usb:1    /sys/bus/usb/devices/2-1",
    ]
    result = document(inside("devices", "--attached", "--json").stdout)
    assert result["attached"][1] == {"name": "pci:0", "kind": "pci", "path": "/dev/apex_0"}
    standin.attach()
    done = inside("devices", "--attached")
    error(done, ExitCode.HARDWARE, "no Edge TPU is attached")
    assert has_hint(done)
    assert document(inside("devices", "--attached", "--json").stdout)["attached"] == []


def test_which_description_fits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("segsolve_runtime.backends.edgetpu.system.ROOT", tmp_path)
    error(inside("devices", "--guess"), ExitCode.HARDWARE, "choose a description by hand")
    for k in (1, 2):
        folder = tmp_path / f"sys/bus/usb/devices/1-{k}"
        folder.mkdir(parents=True)
        for name, text in {"speed": "480", "idVendor": "1a6e", "idProduct": "089a"}.items():
            (folder / name).write_text(f"{text}\n")
    done = inside("devices", "--guess")
    assert "2 Edge TPUs on USB: /sys/bus/usb/devices/1-1, /sys/bus/usb/devices/1-2" in done.stdout
    assert "edgetpu-usb (Coral USB Accelerator on a PC, USB 3) comes nearest" in done.stdout
    assert "480 Mbit/s" in done.stdout and "--device edgetpu-usb --tpus 2" in done.stdout
    (one,) = document(inside("devices", "--guess", "--json").stdout)["guesses"]
    assert (one["device"], len(one["paths"]), len(one["notes"])) == ("edgetpu-usb", 2, 2)
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev/apex_0").touch()
    assert "--pool edgetpu-usb:2,edgetpu-m2:1" in inside("devices", "--guess").stdout


def test_catalogue_as_json() -> None:
    names = {device["name"] for device in document(inside("devices", "--json").stdout)["devices"]}
    assert {"edgetpu-dev-board", "edgetpu-usb"} <= names


def test_run_on_edge_tpus(plan_folder: Path, standin: StandIn) -> None:
    done = inside("run", plan_folder, "--backend", "edgetpu", "--devices", "pci:0,usb:0,usb:1", "--count", "5")
    assert done.code == ExitCode.OK, done.stderr
    assert "5 inferences on edgetpu, measured on Edge TPUs" in done.stdout
    assert len(standin.used) == 3 * (1 + 5)  # each is warmed up once
    error(
        inside("run", plan_folder, "--backend", "edgetpu", "--devices", "gpu:0"),
        ExitCode.USAGE,
        "'gpu:0' is no Edge TPU",
    )
    done = inside("run", plan_folder, "--backend", "edgetpu", "--devices", "pci:7,usb:0,usb:1")
    error(done, ExitCode.HARDWARE, "pci:7 is not attached")
    assert has_hint(done)


def test_how_devices_are_attached(tmp_path: Path) -> None:
    devices = [AttachedDevice(kind="usb", index=k, path=f"/sys/bus/usb/devices/1-{k}") for k in range(2)]
    folder = tmp_path / "sys/bus/usb/devices/1-0"
    folder.mkdir(parents=True)
    for name, text in {"speed": "480", "idVendor": "1a6e", "idProduct": "089a"}.items():
        (folder / name).write_text(f"{text}\n")
    (tmp_path / "proc/device-tree").mkdir(parents=True)
    (tmp_path / "proc/device-tree/model").write_text("Raspberry Pi 4 Model B Rev 1.4\0")
    (tmp_path / "sys/class/apex/apex_0").mkdir(parents=True)
    (tmp_path / "sys/class/apex/apex_0/temp").write_text("84000")
    (tmp_path / "sys/class/apex/apex_0/trip_point0_temp").write_text("85000")
    devices.append(AttachedDevice(kind="pci", index=0, path="/dev/apex_0"))
    found = list(attached_findings(devices, tmp_path))
    text = "\n".join(lines(found))
    assert "attached with 480 Mbit/s" in text and "18d1:9302" in text
    assert "2 on the USB ports of a Raspberry Pi 4 Model B Rev 1.4, which give 1.2 A in all" in text
    assert "84.0 C" in text and "cool it" in text and "do not tell their temperature" in text
    assert [f.state for f in found].count(State.WARN) == 3 and not any(f.needed for f in found)
    assert [f.name for f in attached_findings([], tmp_path)] == []


def test_bundle_for_a_report(standin: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USER", "marieantoinette")
    monkeypatch.setenv("HOME", "/home/marieantoinette")
    assert without_names(f"/home/marieantoinette/x of {socket.gethostname()}") == "~/x of HOST"
    monkeypatch.setenv("HOME", "/root")
    assert without_names("/home/louis/plan of marieantoinette") == "/home/USER/plan of USER"
    done = inside("doctor", "--bundle", tmp_path / "report.zip")
    assert done.code == ExitCode.OK and "doctor.txt: what doctor found" in done.stderr
    with zipfile.ZipFile(tmp_path / "report.zip") as archive:
        assert archive.namelist() == ["doctor.txt", "doctor.json", "versions.txt", "devices.txt"]
        assert "ai-edge-litert" in archive.read("versions.txt").decode()
        assert "marieantoinette" not in archive.read("doctor.txt").decode()
    error(inside("doctor", "--bundle", tmp_path / "none/x.zip"), ExitCode.OUTPUT, "cannot be written")
