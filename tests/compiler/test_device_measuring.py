"""`profile` and `tune` on Edge TPUs, through the stand-ins for libedgetpu and the compiler; and by way of a bundle."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

from segsolve.cli.schema import file_schema
from segsolve.errors import ExitCode
from segsolve_runtime.command import main as light
from segsolve_runtime.measure.bundle import TIMES_FILE, load_bundle, load_times

from ..cli.tool import document, error, inside
from ..models import Net
from ..standins.edgetpu import StandIn

FAST = ("--runs", "3", "--warm-up", "1")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    net = Net()
    x = net.input((1, 8, 8, 16))
    for _ in range(5):
        x = net.relu(net.conv(x, 16))
    return net.write(tmp_path, net.dense(x, 10), name="model")


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of the models that the stand-in compiler was called for; and a cache of this test's own."""
    monkeypatch.setenv("STANDIN_COMPILER_CALLS", str(tmp_path / "calls"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "calls"


def compiled(calls: Path) -> int:
    return len(calls.read_text().splitlines()) if calls.exists() else 0


def test_tune_on_an_edge_tpu(model: Path, standin: StandIn, standin_compiler: Path, calls: Path) -> None:
    plan, profile = model.parent / "plan", model.parent / "tuned.json"
    options = ("--tpus", "3", "--backend", "edgetpu", "--compiler", standin_compiler, *FAST)
    done = inside("tune", model, *options, "-o", plan, "--profile-out", profile, "--json")
    assert done.code == ExitCode.OK, done.stderr
    found = document(done.stdout)
    assert found["stopped_by"] in ("the plan stands", "iteration limit")
    assert found["measurements"] == len(found["measured"]) >= 1
    assert compiled(calls) >= found["measurements"]
    assert set(standin.used) == {"/sys/bus/usb/devices/1-2"}  # one device measures for many
    written = json.loads(profile.read_text())
    assert {(s["first_op"], s["last_op"]) for s in written["segments"]} == {
        (s["first_op"], s["last_op"]) for s in found["measured"]
    }
    assert written["environment"]["backend"] == "edgetpu"
    assert written["environment"]["versions"]["edgetpu_compiler"] == "16.0.384591198"
    assert inside("solve", model, "--device", profile, "--tpus", "3").code == ExitCode.OK
    before = compiled(calls)
    done = inside("tune", model, *options)
    assert done.code == ExitCode.OK
    assert before == compiled(calls) or "were kept from before" in done.stderr


def test_what_was_compiled_is_kept(model: Path, standin: StandIn, standin_compiler: Path, calls: Path) -> None:
    options = ("--backend", "edgetpu", "--compiler", standin_compiler, "--segments", "0-3,4-10", *FAST)
    one, two = model.parent / "one.json", model.parent / "two.json"
    assert inside("profile", model, "-o", one, *options).code == ExitCode.OK
    assert compiled(calls) == 2
    done = inside("profile", model, "-o", two, *options)
    assert compiled(calls) == 2 and "0 compilations, 2 measurements" in done.stderr
    for kept in (model.parent / "cache").rglob("*.tflite"):
        kept.write_bytes(b"damaged")
    assert inside("profile", model, "-o", two, *options, "--no-cache").code == ExitCode.OK
    assert compiled(calls) == 4
    assert inside("profile", model, "-o", two, *options).code == ExitCode.OK
    assert compiled(calls) == 6


def test_a_profile_by_way_of_a_bundle(
    model: Path, standin: StandIn, standin_compiler: Path, calls: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle, profile = model.parent / "bundle", model.parent / "p.json"
    done = inside("profile", model, "--export", bundle, "--compiler", standin_compiler, "--tpus", "3", *FAST)
    assert done.code == ExitCode.OK, done.stderr
    error(inside("profile", model, "--import", bundle, "-o", profile), ExitCode.BAD_PLAN, "there is no")
    assert light(["measure", str(bundle), "--device", "usb:1"]) == 0
    assert "operations 0-" in capsys.readouterr().out
    known, times = load_bundle(bundle), load_times(bundle)
    assert len(times.times) == len(known.segments) and {t.device for t in times.times} == {"usb:1"}
    assert set(standin.used) == {"/sys/bus/usb/devices/2-1"}
    done = inside("profile", model, "--import", bundle, "-o", profile)
    assert done.code == ExitCode.OK, done.stderr
    found = {(s["first_op"], s["last_op"]): s["time_ns"] for s in json.loads(profile.read_text())["segments"]}
    by_digest = {t.sha256: t.median_ns for t in times.times}
    assert found == {(s.ops[0], s.ops[-1]): by_digest[s.sha256] for s in known.segments}
    assert inside("solve", model, "--device", profile, "--tpus", "3").code == ExitCode.OK


def test_bundles_that_cannot_be_used(
    model: Path, standin: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    bundle = tmp_path / "bundle"
    done = inside("profile", model, "--export", bundle, *FAST)
    assert done.code == ExitCode.OK and "has no compiled files" in done.stderr
    assert light(["measure", str(bundle)]) == 6
    assert "is not compiled" in capsys.readouterr().err
    assert light(["measure", str(bundle), "--backend", "litert"]) == 0
    for kind in ("bundle", "times"):
        jsonschema.validate(json.loads((bundle / f"{kind}.json").read_text()), file_schema(kind))
    assert inside("profile", model, "--import", bundle, "-o", tmp_path / "p.json").code == ExitCode.OK
    (bundle / TIMES_FILE).write_text("{")
    error(inside("profile", model, "--import", bundle, "-o", tmp_path / "p.json"), ExitCode.BAD_PLAN, "is not JSON")
    segment = next(bundle.glob("*_to_*.tflite"))
    segment.write_bytes(segment.read_bytes() + b"x")
    assert light(["measure", str(bundle), "--backend", "litert"]) == 6
    assert "was altered" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("profile",), "a profile is written with --output"),
        (("profile", "-o", "x.json", "--devices", "usb:0"), "--devices says nothing on litert"),
        (("profile", "--export", "a", "--import", "b"), "two steps"),
        (("profile", "-o", "x.json", "--backend", "gpu"), "nothing can be measured on 'gpu'"),
        (("tune", "--tpus", "2", "--compiler", "x"), "--compiler says nothing on litert"),
    ],
)
def test_options_that_make_no_sense(arguments: tuple[str, ...], words: str, model: Path) -> None:
    error(inside(arguments[0], model, *arguments[1:]), ExitCode.USAGE, words)


def test_without_a_device(model: Path, standin: StandIn) -> None:
    standin.attach()
    done = inside("profile", model, "-o", model.parent / "p.json", "--backend", "edgetpu")
    error(done, ExitCode.HARDWARE, "no Edge TPU is attached")


def test_the_light_tool_says_what_is_wrong(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from segsolve_runtime.command import run; run()", "measure", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        env=dict(os.environ),
        timeout=120,
    )
    assert done.returncode == 6 and done.stderr.startswith("error: there is no ")
