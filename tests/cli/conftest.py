from __future__ import annotations

from pathlib import Path

import pytest

from generators.documents import device_toml
from segsolve.errors import ExitCode
from segsolve.zoo.files import write_network

from ..compiler.conftest import standin_compiler
from ..models import Net, residual_net
from .tool import run

__all__ = ["standin_compiler"]


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with net.tflite (11 operations, 2 inputs, 2 outputs) and one.tflite (1 operation)."""
    folder = tmp_path_factory.mktemp("models")
    residual_net().write(folder)
    one = Net()
    one.write(folder, one.conv(one.input()), name="one")
    return folder


@pytest.fixture(scope="session")
def net(models: Path) -> Path:
    return models / "net.tflite"


@pytest.fixture(scope="session")
def roomy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A device whose host costs nothing, so that it is not what limits a small network."""
    path = tmp_path_factory.mktemp("devices") / "roomy.toml"
    path.write_text(device_toml("edgetpu-usb", {"host.serial": 0.0, "host.frame": 0.0}), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def mobilenet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_network("mobilenet", tmp_path_factory.mktemp("zoo"))


@pytest.fixture(scope="session")
def dense(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network whose weights do not fit two TPUs."""
    return write_network("synthetic-dense-2048", tmp_path_factory.mktemp("zoo"))


@pytest.fixture(scope="session")
def plan(net: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A plan of two stages for `net`; tests that change it work on a copy."""
    folder = tmp_path_factory.mktemp("plans") / "plan"
    done = run("solve", net, "--tpus", "2", "--planner", "uniform", "--no-verify", "-o", folder)
    assert done.code == ExitCode.OK, done.stderr
    return folder
