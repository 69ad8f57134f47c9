"""`segsolve run --backend edgetpu --on-fault replan`: a device is unplugged, and another plan goes on with the rest."""

from __future__ import annotations

import gc
from pathlib import Path

import numpy as np
import pytest

from segsolve.errors import ExitCode
from segsolve_runtime.contract.arrays import Array

from ..cli.tool import error, has_hint, inside
from ..models import Net
from ..standins.edgetpu import StandIn

DEVICES = [f"/sys/bus/usb/devices/1-{k}" for k in range(3)]


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    """A plan of three stages beside its model, not compiled."""
    net = Net()
    x = net.input((1, 8, 8, 16))
    for _ in range(6):
        x = net.relu(net.conv(x, 16))
    path = net.write(tmp_path, net.dense(x, 10), name="model")
    done = inside("solve", path, "--tpus", "3", "--planner", "uniform", "--no-verify", "-o", tmp_path / "plan")
    assert done.code == ExitCode.OK, done.stderr
    return tmp_path / "plan"


@pytest.fixture
def installed(standin_compiler: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the stand-in compiler on the path under the name of the real one."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "edgetpu_compiler").symlink_to(standin_compiler)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")


def _results(path: Path) -> dict[str, Array]:
    with np.load(path) as found:
        return {name: found[name] for name in found.files if name not in ("input_files", "output_quantisation")}


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("named", [False, True])
def test_the_rest_goes_on(named: bool, plan: Path, standin: StandIn, tmp_path: Path) -> None:
    standin.attach(*(f"usb={path}" for path in DEVICES))
    assert inside("build", plan, "--compile", "--no-verify", "--rounds", "1").code == ExitCode.OK
    assert inside("run", plan, "--count", "40", "-o", tmp_path / "whole.npz").code == ExitCode.OK

    standin.fault(DEVICES[1], "vanish 20")
    options = ["--count", "40", "--on-fault", "replan", *(["--devices", "usb:0,usb:1,usb:2"] if named else [])]
    done = inside("run", plan, "--backend", "edgetpu", "-o", tmp_path / "tpus.npz", *options)
    assert done.code == ExitCode.OK, done.stderr
    assert "is lost" in done.stderr and "solved again for 2 devices" in done.stderr
    expected, found = _results(tmp_path / "whole.npz"), _results(tmp_path / "tpus.npz")
    assert all(np.array_equal(found[name], expected[name]) for name in expected)
    assert set(standin.used[-10:]) <= {DEVICES[0], DEVICES[2]}
    gc.collect()  # the error of the lost device held its interpreter
    assert not any(standin.is_open(path) for path in DEVICES)


def test_without_a_compiler_it_is_told_at_once(
    plan: Path, standin: StandIn, tmp_path: Path, standin_compiler: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiler = str(standin_compiler)
    assert inside("build", plan, "--compile", "--compiler", compiler, "--no-verify", "--rounds", "1").code == 0
    monkeypatch.setenv("PATH", str(tmp_path))
    done = inside("run", plan, "--backend", "edgetpu", "--on-fault", "replan", "--count", "5")
    error(done, ExitCode.HARDWARE, "edgetpu_compiler is not installed")
    assert has_hint(done)
