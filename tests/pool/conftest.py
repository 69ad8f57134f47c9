from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from segsolve.errors import ExitCode
from segsolve.zoo.files import write_network

from ..cli.tool import run
from ..compiler.conftest import standin_compiler

__all__ = ["standin_compiler"]

MODELS = ("mobilenet", "mobilenetv2", "squeezenet1.0")
POOL = "edgetpu-m2:1,edgetpu-usb:1"


@pytest.fixture(scope="session")
def networks(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("zoo")
    return [write_network(name, folder) for name in MODELS]


@pytest.fixture(scope="session")
def shared(networks: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three models on two unequal TPUs, which they must share."""
    folder = tmp_path_factory.mktemp("pools") / "plan"
    weights = "mobilenet=2,mobilenetv2=1,squeezenet1.0=3"
    done = run("solve", *networks, "--pool", POOL, "--weights", weights, "--time-limit", "300", "-o", folder)
    assert done.code == ExitCode.OK, done.stderr
    assert "Residents of a TPU must be compiled together" in done.stdout
    assert done.stderr.count("verified") == 3
    return folder


def assert_same(one: Path, other: Path) -> None:
    """Check that two folders hold the same results of each model."""
    for name in MODELS:
        with np.load(one / f"{name}.npz") as a, np.load(other / f"{name}.npz") as b:
            assert a.files == b.files
            assert all(np.array_equal(a[key], b[key]) for key in a.files)
