"""Paths that the system refuses, a name that is too long and links that go round, wherever a command takes a path."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from segsolve.errors import ExitCode
from segsolve_runtime.contract.digest import digest

from .tool import error, inside

_LONG = "x" * 300
_READS = [
    "inspect {}",
    "solve {} --tpus 2",
    "solve net.tflite --tpus 2 --device {}",
    "solve net.tflite --pool {}",
    "compare {} --tpus 2",
    "batch {} -o out",
    "export {} out.csv",
    "build {} --check-coral",
    "build plan --compile --compiler {}",
    "run {}",
    "run plan --input {}",
    "run plan --input {}.npz",
    "run plan {}.png",
    "run plan --top 1 --labels {}",
    "serve {}",
    "serve plan --port 0 --token-file {}",
    "bench {}",
    "verify {}",
    "verify plan {}",
    "check {}",
    "profile {} -o out.json",
    "profile net.tflite --import {} -o out.json",
    "tune net.tflite --tpus 2 --profile {}",
    "report {} -o out.html",
    "report plan --model {} -o out.html",
    "report plan --measured {} -o out.html",
    "diff {} plan",
    "diff plan {}",
    "devices {}.toml",
]
_WRITES = [
    "solve net.tflite --tpus 2 --no-verify -o {}",
    "batch net.tflite --tpus 1 --planners dp --processes 1 -o {}",
    "run plan --count 1 --output {}.npz",
    "run plan --count 1 --output {}.jsonl",
    "run plan --count 1 --timeline {}",
    "run plan --count 1 --trace {}",
    "bench plan --count 1 --rounds 2 --csv {}",
    "profile net.tflite --runs 1 --warm-up 0 -o {}",
    "profile net.tflite --export {}",
    "report plan -o {}",
    "doctor --bundle {}.zip",
    "zoo build synthetic-dense-20 -o {}",
]


@pytest.fixture
def here(net: Path, plan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "net.tflite").symlink_to(net)
    (tmp_path / "plan").symlink_to(plan)
    for end in ("", ".npz", ".png", ".jsonl", ".zip", ".toml"):
        (tmp_path / f"round{end}").symlink_to(f"round{end}")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("path", [_LONG, "round"])
@pytest.mark.parametrize("line", [*_READS, *_WRITES])
def test_the_system_refuses_a_path(line: str, path: str) -> None:
    done = inside(*line.format(path).split())
    assert done.code != ExitCode.INTERNAL, done.stderr
    if path == _LONG or line in _READS:  # what is written takes the place of a link that leads nowhere
        error(done, ExitCode(done.code), path[:40])


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("path", ["file/x", "folder", "file"])
@pytest.mark.parametrize("line", [*_READS, *_WRITES])
def test_a_file_where_a_folder_is_expected_and_the_other_way_round(line: str, path: str, here: Path) -> None:
    (here / "folder").mkdir()
    (here / "file").write_text("x x", encoding="utf-8")  # no token: with one, `serve` would begin
    done = inside(*line.format(path).split())
    assert done.code != ExitCode.INTERNAL, done.stderr
    if path == "file/x":
        error(done, ExitCode(done.code))
    assert "File exists" not in done.stderr


def test_a_file_of_a_plan_is_no_plan(plan: Path) -> None:
    segment = next(plan.rglob("*.tflite"))
    for command in (("check",), ("run",), ("report", "-o", "none.html")):
        done = inside(command[0], segment, *command[1:])
        error(done, ExitCode.BAD_PLAN, f"{segment.name} is a file, and a plan is a folder: name {plan}")


def test_a_model_that_a_plan_records_under_a_name_that_is_too_long_is_not_found(here: Path, plan: Path) -> None:
    (here / "mine" / "segments").mkdir(parents=True)
    for path in plan.rglob("*.tflite"):
        (here / "mine" / "segments" / path.name).symlink_to(path)
    document = json.loads((plan / "plan.json").read_text(encoding="utf-8"))
    document["model"] |= {"name": _LONG, "path": f"../{_LONG}"}
    document["solution"]["objective"] = "strange"
    del document["digest"]
    (here / "mine" / "plan.json").write_text(json.dumps(document | {"digest": digest(document)}), encoding="utf-8")
    done = inside("report", "mine", "-o", "out.html")
    assert done.code in (ExitCode.OK, ExitCode.BAD_PLAN), done.stderr


def test_a_pool_file_that_is_none_is_not_waited_for(here: Path) -> None:
    os.mkfifo(here / "pipe.toml")
    error(inside("solve", "net.tflite", "--pool", "pipe.toml"), ExitCode.BAD_DEVICE, "not a regular file")
    (here / "deep.toml").write_text(f"kind = {'[' * 5000}", encoding="utf-8")
    error(inside("solve", "net.tflite", "--pool", "deep.toml"), ExitCode.BAD_DEVICE, "deep.toml is not TOML")


def test_a_user_whom_the_system_does_not_know(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container that runs under any number: there is no home then."""
    import pwd

    def unknown(number: int) -> None:
        raise KeyError(number)

    for name in ("HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    for line in ("solve net.tflite --tpus 2", "check plan", "doctor --bundle bundle.zip"):
        assert inside(*line.split()).code in (ExitCode.OK, ExitCode.HARDWARE, ExitCode.NO_CERTIFICATE)
