"""The light install: the runtime alone in an environment of its own, as on a machine that has the devices."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAVY = ("segsolve", "ortools", "scipy", "typer", "rich", "jinja2")


@pytest.fixture(scope="module")
def light(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel of the runtime and what that asks for, taken from this environment."""
    folder = tmp_path_factory.mktemp("light")
    source = folder / "runtime"
    shutil.copytree(ROOT / "runtime", source, ignore=shutil.ignore_patterns("__pycache__"))
    venv.create(folder / "venv", with_pip=True)
    done = subprocess.run(
        [str(folder / "venv/bin/pip"), "install", "--quiet", str(source)],
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    if done.returncode and "No matching distribution" in done.stderr:
        pytest.skip("no package index at hand")
    assert done.returncode == 0, done.stderr
    return folder / "venv/bin"


def called(command: Path, *arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    known = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "SEGSOLVE_LIBEDGETPU")}
    return subprocess.run(
        [str(command), *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env={**known, **environment},
        timeout=120,
    )


def test_it_has_nothing_of_the_solver(light: Path) -> None:
    code = "import importlib.util as u, sys; print([n for n in sys.argv[1:] if u.find_spec(n)])"
    done = called(light / "python", "-c", code, *HEAVY)
    assert done.stdout.strip() == "[]", done.stderr


def test_each_command(light: Path, tmp_path: Path) -> None:
    from generators.runtime_plans import write_folder

    from ..runtime import tiny_model

    folder = write_folder(tmp_path / "plan", tiny_model.plan(), tiny_model.sketches())
    tool = light / "segsolve-run"
    done = called(tool, "run", folder, "--backend", "litert", "--count", "5", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["count"] == 5
    done = called(tool, "bench", folder, folder, "--backend", "litert", "--rounds", "2", "--count", "5", "--json")
    assert done.returncode == 0, done.stderr
    for command in ("doctor", "devices", "measure"):
        assert called(tool, command, "--help").returncode == 0
    done = called(tool, "doctor", SEGSOLVE_LIBEDGETPU="libnone.so.1")
    assert done.returncode == 12 and "libnone.so.1" in done.stdout
    done = called(tool, "devices", SEGSOLVE_LIBEDGETPU="libnone.so.1")
    assert done.returncode == 12 and done.stderr.startswith("error: libnone.so.1")
    done = called(tool, "run", tmp_path / "none")
    assert done.returncode == 6 and done.stderr.startswith("error: ")
    assert called(tool, "run", folder, "--count", "0").returncode == 2


def test_the_command_is_also_in_the_whole_install() -> None:
    done = called(Path(sys.executable).with_name("segsolve-run"), "--version")
    assert done.stdout.startswith("segsolve-run 0.")
