"""Options count before the environment, that before the file beside the model, that before the user's."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from segsolve.errors import ExitCode

from .tool import document, error, has_hint, inside


@pytest.fixture
def model(net: Path, tmp_path: Path) -> Path:
    (tmp_path / "models").mkdir()
    return Path(shutil.copy(net, tmp_path / "models"))


def asked(model: Path, *options: str, **environment: str) -> tuple[int, str]:
    done = inside("solve", model, "--json", *options, cwd=None, **environment)
    assert done.code == ExitCode.OK, done.stderr
    found = document(done.stdout)
    return found["tpus"], found["objective"]


def test_order_of_the_sources(model: Path, tmp_path: Path) -> None:
    users = tmp_path / "config"
    (users / "segsolve").mkdir(parents=True)
    (users / "segsolve" / "segsolve.toml").write_text('tpus = 5\nobjective = "latency"\n')
    config = {"XDG_CONFIG_HOME": str(users)}
    assert asked(model, **config) == (5, "latency")
    (model.parent / "segsolve.toml").write_text("tpus = 4\n[solve]\ntpus = 3\n")
    assert asked(model, **config) == (3, "latency")
    assert asked(model, SEGSOLVE_TPUS="2", **config) == (2, "latency")
    assert asked(model, "--tpus", "1", "--objective", "batch", SEGSOLVE_TPUS="2", **config) == (1, "batch")
    shown = inside("doctor", "--json", cwd=model.parent, SEGSOLVE_TPUS="2", **config)
    assert shown.code == ExitCode.HARDWARE
    settings = [
        (s["option"], s["value"], s["command"], Path(s["source"]).name) for s in document(shown.stdout)["settings"]
    ]
    assert settings == [
        ("tpus", 5, None, "segsolve.toml"),
        ("objective", "latency", None, "segsolve.toml"),
        ("tpus", 4, None, "segsolve.toml"),
        ("tpus", 3, "solve", "segsolve.toml"),
        ("tpus", "2", None, "$SEGSOLVE_TPUS"),
    ]
    assert "tpus of solve = 3, from segsolve.toml" in inside("doctor", cwd=model.parent, **config).stdout


def test_flags_lists_and_what_a_profile_says_itself(model: Path, dense: Path) -> None:
    folder = model.parent
    (folder / "segsolve.toml").write_text(
        'no-spill = true\ntpus = 3\ndevice = "edgetpu-usb"\n[solve]\npin = ["0=0", "1=0"]\n'
    )
    shutil.copy(dense, folder)
    question = document(inside("solve", model, "--json").stdout)
    assert question["stages"][0]["first_op"] == 0
    assert inside("solve", folder / dense.name, "--tpus", "1").code == ExitCode.NO_PLAN
    measured = inside("profile", model, "--backend", "litert", "--runs", "1", "-o", folder / "profile.json")
    assert measured.code == ExitCode.OK
    done = inside("solve", folder / "profile.json")
    assert done.code == ExitCode.OK, done.stderr


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("tpu = 3", ("tpu", "no option of any command")),
        ("[sovle]\ntpus = 3", ("[sovle]", "no command")),
        ("[devices]\ntpus = 3", ("tpus", "devices")),
        ("tpus =", ("TOML",)),
        ("tpus = {}", ("[tpus]", "no command")),
        ("tpus = 2026-11-28", ("tpus",)),
        ('tpus = "many"', ("tpus", "'many'", "integer")),
        ('compiler = "./evil"', ("compiler", "the user's own file")),
        ('output = "/etc"', ("output", "the user's own file")),
    ],
)
def test_faults_of_a_file_are_named(content: str, words: tuple[str, ...], model: Path) -> None:
    (model.parent / "segsolve.toml").write_text(content)
    done = inside("solve", model)
    error(done, ExitCode.USAGE, "segsolve.toml", *words)


def test_a_near_name_is_offered(model: Path) -> None:
    (model.parent / "segsolve.toml").write_text("max-latancy = 3")
    done = inside("solve", model)
    assert has_hint(done) and "did you mean max-latency?" in done.stderr


def test_a_fault_of_the_environment_is_named(model: Path) -> None:
    error(inside("solve", model, SEGSOLVE_TPUS="many"), ExitCode.USAGE, "$SEGSOLVE_TPUS", "many")


def test_what_a_plan_is_run_with_stands_beside_it(model: Path) -> None:
    plan = model.parent / "plan"
    assert inside("solve", model, "--tpus", "1", "-o", plan).code == ExitCode.OK
    (model.parent / "segsolve.toml").write_text('count = 3\n[run]\nbackend = "simulated"\n')
    found = json.loads(inside("run", plan, "--json").stdout)
    assert (found["backend"], found["count"]) == ("simulated", 3)
