"""Whatever a user does wrong ends with the documented code and one sentence that names it, never with a traceback."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from segsolve.errors import ExitCode

from ..models import Net
from .tool import SCRIPT, Done, document, error, has_hint, inside, run


def _float() -> bytes:
    net = Net()
    return net.content(net.conv(net.input(kind="FLOAT32")))


def _compiled() -> bytes:
    net = Net()
    x = net.input()
    net.graph.outputs = [net.op("CUSTOM", [x], net.shape(x))]
    net.model.operatorCodes[0].customCode = b"edgetpu-custom-op"
    return net.content()


def _whole() -> bytes:
    net = Net()
    return net.content(net.conv(net.input()))


BAD_MODELS: dict[str, Callable[[], bytes | None]] = {
    "missing": lambda: None,
    "empty": lambda: b"",
    "truncated": lambda: _whole()[:-300],
    "header only": lambda: _whole()[:12],
    "random": lambda: bytes(i * 89 % 251 for i in range(3000)),
    "random behind the identifier": lambda: b"\x1c\0\0\0TFL3" + bytes(i * 89 % 251 for i in range(3000)),
    "text": lambda: b"hello\n",
    "float": _float,
    "compiled": _compiled,
}


@pytest.mark.parametrize("kind", BAD_MODELS)
def test_bad_model(kind: str, tmp_path: Path) -> None:
    content = BAD_MODELS[kind]()
    if content is not None:
        (tmp_path / "bad.tflite").write_bytes(content)
    done = inside("inspect", "bad.tflite", cwd=tmp_path)
    error(done, ExitCode.BAD_MODEL, "bad")
    assert has_hint(done) and not done.stdout


def test_model_that_is_a_folder(tmp_path: Path) -> None:
    error(inside("compare", tmp_path, "--tpus", "2"), ExitCode.BAD_MODEL, str(tmp_path))


BAD_OPTIONS = [
    ("solve MODEL --tpus 0", "--tpus"),
    ("solve MODEL --tpus -3", "--tpus"),
    ("solve MODEL --tpus two", "invalid value for '--tpus': it is not a valid integer"),
    ("solve MODEL --tpus 2 --time-limit long", "invalid value for '--time-limit': it is not a valid number"),
    ("solve MODEL --tpus 99999999999999999999", "--tpus"),
    ("solve MODEL", "--tpus"),
    ("compare MODEL --tpus 0", "--tpus"),
    ("solve MODEL --tpus 2 --workers 0", "--workers"),
    ("compare MODEL --tpus 2 --workers 99999999999", "--workers"),
    ("solve MODEL --tpus 2 --seed -1", "--seed"),
    ("solve MODEL --tpus 2 --seed 99999999999999999999", "--seed"),
    ("solve MODEL --tpus 2 --time-limit nan", "--time-limit"),
    ("compare MODEL --tpus 2 --time-limit -1", "--time-limit"),
    ("compare MODEL --tpus 2 --batch 0", "--batch"),
    ("compare MODEL --tpus 2 --json --csv", "--csv"),
    ("compare MODEL --tpus 2..99999999999", "--tpus is 99999999999"),
    ("compare MODEL --tpus 3..2", "3..2"),
    ("compare MODEL --tpus 2,,3", "2,,3"),
    ("solve MODEL --tpus 2 --tpu-memory lots", "lots"),
    ("solve MODEL --tpus 2 --tpu-memory=-5", "-5"),
    ("solve MODEL --tpus 2 --tpu-memory 0", "--tpu-memory"),
    ("solve MODEL --tpus 2 --tpu-memory 6", "--tpu-memory is 6, without a unit"),
    ("solve MODEL --pool edgetpu-m2:1 --tpu-memory edgetpu-m2=7.5", "--tpu-memory is 7.5, without a unit"),
    ("inspect MODEL --tpu-memory 99999999999999999999MiB", "--tpu-memory"),
    ("solve MODEL --tpus 2 --planner magic", "magic"),
    ("solve MODEL --tpus 2 --objective beauty", "--objective"),
    ("solve MODEL --tpus 2 --verbose", "--verbose"),
    ("solve MODEL other --tpus 2", "other"),
    ("solve --tpus 2", "MODEL.tflite"),
    ("inspect MODEL --tpu-memory", "--tpu-memory"),
    ("zoo build alexnet2000", "alexnet2000"),
    ("zoo build mobilenet --seed -1", "--seed"),
    ("destroy", "destroy"),
    ("run PLAN --count 0", "--count"),
    ("run PLAN --threads 0", "--threads"),
    ("run PLAN --queue-size 0", "--queue-size"),
    ("run PLAN --seed -1", "--seed"),
    ("verify PLAN MODEL --inputs 0", "--inputs"),
    ("verify PLAN MODEL --seed -1", "--seed"),
]


@pytest.mark.parametrize(("command", "word"), BAD_OPTIONS, ids=[command for command, _ in BAD_OPTIONS])
def test_bad_option(command: str, word: str, net: Path, plan: Path) -> None:
    done = inside(*command.replace("MODEL", str(net)).replace("PLAN", str(plan)).split())
    error(done, ExitCode.USAGE, word)
    assert has_hint(done) and not done.stdout


@pytest.mark.parametrize("command", ["destroy", "solve MODEL", "solve MODEL --tpus 0"])
def test_process_says_the_same(command: str, net: Path) -> None:
    args = command.replace("MODEL", str(net)).split()
    assert run(*args) == inside(*args)


def test_unknown_backend(plan: Path) -> None:
    done = inside("run", plan, "--backend", "quantum")
    sentence = error(done, ExitCode.USAGE, "quantum")
    assert "simulated" in sentence and not done.stdout


@pytest.mark.parametrize("command", [(), ("zoo",)])
def test_no_arguments_show_the_help(command: tuple[str, ...]) -> None:
    done = run(*command)
    assert (done.code, done.stdout) == (ExitCode.USAGE, "")
    assert done.stderr.startswith("Usage: segsolve") and "Commands:" in done.stderr


def test_unknown_device(net: Path) -> None:
    done = inside("solve", net, "--tpus", "2", "--device", "edgetpu-quantum")
    error(done, ExitCode.BAD_DEVICE, "edgetpu-quantum")
    assert "edgetpu-dev-board" in done.stderr and not done.stdout


BROKEN_TOML = {
    "missing": None,
    "not TOML": b"name = \n",
    "not text": b"\xff\xfe",
    "incomplete": b'name = "mine"\n',
    "wrong type": b'name = "mine"\ntitle = "Mine"\nmemory = "lots"\n',
}


@pytest.mark.parametrize("kind", BROKEN_TOML)
def test_broken_device_description(kind: str, net: Path, tmp_path: Path) -> None:
    content = BROKEN_TOML[kind]
    if content is not None:
        (tmp_path / "mine.toml").write_bytes(content)
    done = inside("inspect", net, "--device", tmp_path / "mine.toml")
    error(done, ExitCode.BAD_DEVICE, "mine.toml")
    assert not done.stdout


def test_output_below_a_file(net: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("precious")
    done = inside("solve", net, "--tpus", "2", "-o", tmp_path / "file" / "plan")
    error(done, ExitCode.OUTPUT, str(tmp_path / "file"))
    assert has_hint(done) and not done.stdout
    assert (tmp_path / "file").read_text() == "precious"


def test_zoo_output_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("precious")
    done = inside("zoo", "build", "synthetic-dense-2048", "-o", tmp_path / "file")
    error(done, ExitCode.OUTPUT, str(tmp_path / "file"))
    assert (tmp_path / "file").read_text() == "precious"


@pytest.mark.parametrize("name", ["plan.json", "segments/mine.tflite"])
def test_foreign_files_under_a_plans_names_are_left_alone(name: str, net: Path, tmp_path: Path) -> None:
    foreign = tmp_path / name
    foreign.parent.mkdir(exist_ok=True)
    foreign.write_text("precious")
    done = inside("solve", net, "--tpus", "2", "-o", tmp_path)
    error(done, ExitCode.OUTPUT, str(tmp_path))
    assert has_hint(done) and not done.stdout
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == [foreign]
    assert foreign.read_text() == "precious"


def test_other_foreign_files_do_not_matter(net: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("precious")
    done = inside("solve", net, "--tpus", "2", "--planner", "uniform", "--no-verify", "-o", tmp_path)
    assert done.code == ExitCode.OK
    assert (tmp_path / "notes.txt").read_text() == "precious"
    assert {p.name for p in tmp_path.iterdir()} == {"notes.txt", "plan.json", "segments"}


def _first_segment(plan: Path) -> Path:
    return min((plan / "segments").iterdir())


def _alter_segment(plan: Path) -> None:
    segment = _first_segment(plan)
    content = bytearray(segment.read_bytes())
    content[-1] ^= 1
    segment.write_bytes(bytes(content))


def _edit(plan: Path, old: str, new: str) -> None:
    file = plan / "plan.json"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))


TAMPERED: dict[str, Callable[[Path], object]] = {
    "segment altered": _alter_segment,
    "segment truncated": lambda plan: _first_segment(plan).write_bytes(b""),
    "segment missing": lambda plan: _first_segment(plan).unlink(),
    "number altered": lambda plan: _edit(plan, '"seed": 0', '"seed": 1'),
    "leaves the folder": lambda plan: _edit(plan, '"file": "segments/', '"file": "../segments/'),
    "absolute path": lambda plan: _edit(plan, '"file": "segments/', '"file": "/segments/'),
    "other version": lambda plan: _edit(plan, '"version": 2', '"version": 1'),
    "not JSON": lambda plan: (plan / "plan.json").write_text("{"),
    "a list": lambda plan: (plan / "plan.json").write_text("[]"),
    "no plan.json": lambda plan: (plan / "plan.json").unlink(),
}


@pytest.mark.parametrize("kind", TAMPERED)
def test_tampered_plan(kind: str, plan: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(plan, copy)
    TAMPERED[kind](copy)
    done = inside("run", copy, "--backend", "simulated", "--count", "1")
    error(done, ExitCode.BAD_PLAN, "copy")
    assert not done.stdout


def test_verify_also_refuses_a_tampered_plan(plan: Path, net: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(plan, copy)
    _alter_segment(copy)
    error(inside("verify", copy, net), ExitCode.BAD_PLAN, "copy")


@pytest.mark.parametrize(
    "command",
    ["verify PLAN ONE --json", "report PLAN --model ONE -o OUT", "run PLAN --model ONE --profile-out OUT"],
)
def test_plan_of_another_model(command: str, plan: Path, models: Path, tmp_path: Path) -> None:
    names = {"PLAN": plan, "ONE": models / "one.tflite", "OUT": tmp_path / "out"}
    done = inside(*(names.get(word, word) for word in command.split()))
    error(done, ExitCode.BAD_MODEL, "one.tflite is not the model that the plan was made from")
    assert has_hint(done) and not done.stdout


@pytest.mark.parametrize(
    ("command", "option"),
    [
        ("solve MODEL -o EMPTY", "-o"),
        ("solve MODEL --output EMPTY", "--output"),
        ("solve MODEL --output=", "--output"),
        ("zoo build mobilenet -o EMPTY", "-o"),
        ("batch MODEL -o EMPTY", "-o"),
        ("report PLAN -o EMPTY", "-o"),
        ("tune MODEL --profile-out EMPTY", "--profile-out"),
        ("run PLAN --trace EMPTY", "--trace"),
        ("inspect EMPTY", "an argument"),
        ("export OUT EMPTY", "an argument"),
    ],
)
def test_an_empty_path_is_refused(command: str, option: str, net: Path, plan: Path, tmp_path: Path) -> None:
    """As `-o "$OUT"` gives it where OUT is not set; it is not the current folder."""
    names = {"MODEL": str(net), "PLAN": str(plan), "EMPTY": "", "OUT": str(tmp_path)}
    done = inside(*(names.get(word, word) for word in command.split()), cwd=tmp_path)
    error(done, ExitCode.USAGE, f"{option} is empty")
    assert has_hint(done) and not done.stdout and not list(tmp_path.iterdir())


def _infeasible(done: Done) -> None:
    error(done, ExitCode.NO_PLAN, "no plan", "2 TPUs")
    assert has_hint(done)


def test_no_spill_that_is_infeasible(dense: Path) -> None:
    done = inside("solve", dense, "--tpus", "2", "--no-spill", "--json")
    _infeasible(done)
    result = document(done.stdout)
    assert (result["status"], result["objective_ns"], result["gap"], result["stages"]) == ("infeasible", None, None, [])
    assert "no plan keeps the constraints" in result["proof"]


def test_no_spill_that_is_infeasible_writes_nothing(dense: Path, tmp_path: Path) -> None:
    done = inside("solve", dense, "--tpus", "2", "--no-spill", "-o", tmp_path / "plan")
    _infeasible(done)
    assert not done.stdout and not (tmp_path / "plan" / "plan.json").exists()


@pytest.mark.parametrize("option", ["--timeline", "--trace", "--profile-out"])
def test_what_a_run_leaves_is_known_to_be_writable_before_it_starts(option: str, plan: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = inside("run", plan, "--backend", "simulated", "--count", "5", option, tmp_path / "file" / "x.json")
    error(done, ExitCode.OUTPUT, "x.json")
    assert "running" not in done.stderr and not done.stdout


def test_profile_of_a_run_without_the_model_is_refused_before_it_starts(plan: Path, tmp_path: Path) -> None:
    elsewhere = shutil.copytree(plan, tmp_path / "far" / "away")  # from there, the model is not where it was
    done = inside("run", elsewhere, "--backend", "simulated", "--count", "5", "--profile-out", tmp_path / "x.json")
    error(done, ExitCode.USAGE, "net.tflite")
    assert "running" not in done.stderr and not (tmp_path / "x.json").exists()


def test_progress_without_a_plan_shows_no_absurd_bound(net: Path) -> None:
    done = inside("solve", net, "--tpus", "2", "--no-spill", "--tpu-memory", "1B")
    _infeasible(done)
    assert "no plan yet" in done.stderr and "bound" not in done.stderr


def test_comparison_without_any_plan(dense: Path) -> None:
    done = inside("compare", dense, "--tpus", "2", "--no-spill", "--json")
    _infeasible(done)
    strategies = document(done.stdout)["strategies"]
    assert {s["status"] for s in strategies} <= {"unknown", "infeasible"}
    assert strategies[-1]["status"] == "infeasible"


def test_planner_that_gives_up(mobilenet: Path) -> None:
    done = inside("solve", mobilenet, "--tpus", "12", "--planner", "brute", "--json")
    error(done, ExitCode.NO_PLAN, "brute")
    assert has_hint(done)
    assert document(done.stdout)["status"] == "unknown"


def test_full_disk_on_stdout(net: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    script = 'import subprocess, sys; sys.exit(subprocess.call(sys.argv[1:], stdout=open("/dev/full", "w")))'
    for option in ("--ops", "--json"):
        done = _python(script, net, option)
        error(done, ExitCode.OUTPUT, "standard output")


def _python(script: str, net: Path, option: str) -> Done:
    done = subprocess.run(
        [sys.executable, "-c", script, SCRIPT, "inspect", net, option],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    return Done(code=done.returncode, stdout=done.stdout, stderr=done.stderr)


def test_error_does_not_depend_on_json(tmp_path: Path) -> None:
    for option in ((), ("--json",)):
        done = inside("solve", tmp_path / "none.tflite", "--tpus", "2", *option)
        error(done, ExitCode.BAD_MODEL, "none.tflite")
        assert not done.stdout


def test_json_of_a_plan_is_readable_by_others(plan: Path) -> None:
    assert json.loads((plan / "plan.json").read_text())["format"] == "segsolve-plan"
