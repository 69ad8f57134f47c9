"""A pool on the stand-in's Edge TPUs: residents share a device, on USB in one process of its own."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from segsolve.errors import ExitCode
from segsolve_runtime.backends.isolated.runner import IsolatedRunner
from segsolve_runtime.contract.frames import random_frames
from segsolve_runtime.contract.pool import load_pool
from segsolve_runtime.pool import Pool

from ..cli.tool import inside
from ..compiler.test_replan import installed
from ..standins.edgetpu import StandIn
from .conftest import assert_same

__all__ = ["installed"]

PCI, USB = "/dev/apex_0", "/sys/bus/usb/devices/1-2"
COUNT = "5"


@pytest.fixture
def compiled(shared: Path, installed: None, standin: StandIn, tmp_path: Path) -> Path:
    """The pool's plan, compiled, with an M.2 and a USB device attached."""
    standin.attach(f"pci={PCI}", f"usb={USB}")
    copy = shutil.copytree(shared, tmp_path / "plan")
    assert inside("build", copy, "--compile", "--json").code == ExitCode.OK
    return copy


@pytest.fixture
def whole(compiled: Path, tmp_path: Path) -> Path:
    assert inside("run", compiled, "--count", COUNT, "-o", tmp_path / "whole").code == ExitCode.OK
    return tmp_path / "whole"


def test_residents_share_devices_in_one_process_each(
    compiled: Path, whole: Path, standin: StandIn, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    done = inside("run", compiled, "--backend", "edgetpu", "--devices", "pci:0,usb:0", "--count", COUNT, "-o", out)
    assert done.code == ExitCode.OK, done.stderr
    assert_same(out, whole)
    assert set(standin.used) == {PCI, USB}
    assert not standin.is_open(PCI)
    assert not standin.is_open(USB)


@pytest.mark.parametrize("isolate", ["auto", "all"])
def test_a_device_that_is_shared_has_one_process(compiled: Path, isolate: str) -> None:
    device = load_pool(compiled).pool.devices[1]
    assert len(device.residents) > 1
    with Pool.load(compiled, backend="edgetpu", devices=["pci:0", "usb:0"], isolate=isolate) as pool:  # type: ignore[arg-type]
        runners = [
            (pool.homes(name)[place], runner)
            for name, pipeline in pool.pipelines.items()
            for place, runner in pipeline._setting.runners.items()
        ]
        pids = {runner.pid for name, runner in runners if name == device.name and isinstance(runner, IsolatedRunner)}
        assert len(pids) == 1
        others = [isinstance(runner, IsolatedRunner) for name, runner in runners if name != device.name]
        assert set(others) == {isolate == "all"}
        pool.warm_up()
        pool.run(
            {name: random_frames(pipeline.plan, 2, 0) for name, pipeline in pool.pipelines.items()},
            lambda model, result: None,
        )


def test_a_lost_stick_replans_the_pool(
    compiled: Path, networks: list[Path], whole: Path, standin: StandIn, tmp_path: Path
) -> None:
    standin.fault(USB, "vanish 12")
    done = inside(
        "run", compiled, "--backend", "edgetpu", "--devices", "pci:0,usb:0", "--count", COUNT, "--on-fault", "replan",
        "--model", networks[0].parent, "-o", tmp_path / "out",
    )  # fmt: skip
    assert done.code == ExitCode.OK, done.stderr
    assert "lost edgetpu-usb:0: " in done.stderr
    assert "solved again for 1 device: " in done.stderr
    assert_same(tmp_path / "out", whole)
    assert standin.used[-1] == PCI  # where at least the frame is done again that was lost
