"""The wheel and the sdist: what is in them, that both work, and that their words are those that an index takes."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Sequence
from email import message_from_bytes
from pathlib import Path

import pytest
from packaging.metadata import Metadata
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    _python(["-m", "hatchling", "build", "-d", str(folder)], ROOT)
    return folder


@pytest.fixture(scope="module")
def sdist(built: Path) -> Path:
    """The unpacked sdist."""
    (archive,) = built.glob("*.tar.gz")
    with tarfile.open(archive) as packed:
        packed.extractall(built, filter="data")
    (folder,) = (path for path in built.iterdir() if path.is_dir())
    return folder


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    (archive,) = built.glob("*.whl")
    return archive


def _python(arguments: Sequence[str], cwd: Path, *paths: Path) -> str:
    known = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment = {**known, "PYTHONPATH": os.pathsep.join(map(str, paths))} if paths else known
    command = [sys.executable, *arguments]
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_wheel_has_all_data_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names if ".dist-info/" not in name}
    assert tops == {"segsolve", "segsolve_runtime"}
    tracked = [
        path.relative_to(ROOT / part).as_posix()
        for part in ("solver", "runtime")
        for path in (ROOT / part).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.parent not in (ROOT / "solver", ROOT / "runtime")
    ]
    assert set(tracked) <= set(names)
    assert not [name for name in names if name.endswith((".tflite", ".pyc"))]


def test_its_words_are_valid_and_true(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as packed:
        content = packed.read(next(name for name in packed.namelist() if name.endswith(".dist-info/METADATA")))
    metadata = Metadata.from_email(content, validate=True)
    assert message_from_bytes(content)["Description-Content-Type"] == "text/markdown"
    assert metadata.classifiers and metadata.requires_python == SpecifierSet(PROJECT["requires-python"])
    versions = [
        c.rpartition(" ")[2] for c in metadata.classifiers if c.startswith("Programming Language :: Python :: 3.")
    ]
    assert versions and all(metadata.requires_python.contains(version) for version in versions)
    assert set(metadata.provides_extra or ()) == set(PROJECT["optional-dependencies"])


def test_the_wheel_works_by_itself(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(tmp_path / "site")
    code = "import segsolve, sys; assert segsolve.__file__.startswith(sys.argv[1]), segsolve.__file__; "
    run = "from segsolve.cli.main import run; sys.argv = ['segsolve', 'devices']; run()"
    assert "edgetpu-m2" in _python(["-c", code + run, str(tmp_path / "site")], tmp_path, tmp_path / "site")


def test_tests_run_from_the_sdist(sdist: Path) -> None:
    parts = (sdist / "solver", sdist / "runtime", sdist)
    code = "import segsolve, segsolve_runtime; print(segsolve.__file__, segsolve_runtime.__file__)"
    assert _python(["-c", code], sdist, *parts).count(str(sdist)) == 2
    some = [
        "tests/test_plan.py",
        "tests/test_evaluate.py",
        "tests/graph/test_read.py",
        "tests/zoo/test_zoo_catalogue.py",
    ]
    _python(["-m", "pytest", "-q", "-p", "no:cacheprovider", *some], sdist, *parts)


def test_the_dockerfile_is_linted() -> None:
    tool = Path(sys.executable).with_name("hadolint")
    if not tool.exists():
        pytest.skip("hadolint is not installed")
    done = subprocess.run(
        [tool, "--no-color", ROOT / "Dockerfile"], capture_output=True, text=True, check=False, timeout=600
    )
    assert (done.returncode, done.stdout) == (0, "")
