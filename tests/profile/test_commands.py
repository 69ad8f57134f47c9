"""`segsolve profile`, `segsolve tune`, and profiles as devices of the other commands."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from generators.documents import by_hand, write
from segsolve.errors import ExitCode
from segsolve.profile.load import load_profile
from segsolve_runtime.contract.plan import load_plan
from tests.cli.tool import document, error, has_hint, inside
from tests.models import residual_net

FEW = ("--runs", "3", "--warm-up", "0")


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return residual_net().write(tmp_path_factory.mktemp("net"))


@pytest.fixture(scope="module")
def measured(net: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("profiles") / "new" / "profile.json"
    done = inside("profile", net, "-o", path, "--segments", "0-4, 5-10", *FEW)
    assert done.code == ExitCode.OK, done.stderr
    assert "the whole model, measured" in done.stdout
    assert f"wrote {path}" in done.stderr
    return path


def test_a_measured_profile_is_a_device(net: Path, measured: Path, tmp_path: Path) -> None:
    solved = inside("solve", net, "--device", measured, "--tpus", "2", "-o", tmp_path / "plan", "--json")
    assert solved.code == ExitCode.OK, solved.stderr
    stages = document(solved.stdout)["stages"]
    for stage in stages:
        terms = ("overhead_ns", "compute_ns", "stream_ns", "input_ns", "output_ns", "correction_ns")
        assert stage["time_ns"] == sum(stage[term] for term in terms)
    assert load_plan(tmp_path / "plan").plan.device.name == "litert-cpu"
    for command in (("inspect", net), ("compare", net, "--tpus", "2"), ("compare", measured, "--tpus", "2")):
        device = ("--device", measured) if net in command else ()
        done = inside(*command, *device)
        assert done.code == ExitCode.OK, done.stderr
        assert "litert-cpu" in done.stdout


def test_profile_as_json(net: Path, tmp_path: Path) -> None:
    done = inside("profile", net, "-o", tmp_path / "p.json", *FEW, "--json")
    found = document(done.stdout)
    assert found["layers"] == 11
    assert found["whole_ns"] > 0
    assert found["layers_ns"] > 0


def test_a_profile_by_hand_is_solved_without_a_model(tmp_path: Path) -> None:
    path = write(tmp_path, by_hand(device={"name": "mine", "memory_bytes": 250}), "hand.json")
    done = inside("solve", path, "--tpus", "2", "--layout", "pipeline", "--cuts", "chain", "--json")
    found = document(done.stdout)
    assert (found["cuts"], found["objective_ns"], found["status"]) == ([2], 75, "optimal")
    assert "hand on mine" in inside("solve", path, "--tpus", "6", "--layout", "pipeline").stdout
    assert inside("compare", path, "--tpus", "3").code == ExitCode.OK
    strict = inside("solve", path, "--tpus", "2", "--tpu-memory", "150B", "--no-spill")
    error(strict, ExitCode.NO_PLAN, "no plan on 2 TPUs")


def test_a_profile_has_the_device_in_it(tmp_path: Path) -> None:
    path = write(tmp_path, by_hand())
    error(inside("solve", path, "--tpus", "2", "--device", "edgetpu-usb"), ExitCode.USAGE, "has the device in it")


def test_bad_profiles_end_with_the_code_of_bad_devices(net: Path, tmp_path: Path) -> None:
    backward = by_hand()
    backward["edges"][0] = {"from": "b", "to": "a", "bytes": 1, "time_ns": 1}
    for command in (("solve", net, "--device"), ("solve",)):
        for wrong, words in ((backward, "goes from 'b' back to 'a'"), (by_hand(version=7), "version 7"), ("x", "JSON")):
            done = inside(*command, write(tmp_path, wrong), "--tpus", "2")
            error(done, ExitCode.BAD_DEVICE, words)
            assert has_hint(done)
        error(inside(*command, tmp_path / "none.json", "--tpus", "2"), ExitCode.BAD_DEVICE, "cannot be read")
    other = inside("solve", net, "--device", write(tmp_path, by_hand()), "--tpus", "2")
    error(other, ExitCode.BAD_DEVICE, "has 4 layers, but net has 11 operations")
    error(inside("tune", net, "--profile", tmp_path / "profile.json", "--tpus", "2"), ExitCode.BAD_DEVICE, "4 layers")


def test_tune_writes_a_verified_plan_and_what_it_measured(net: Path, tmp_path: Path) -> None:
    plan, tuned = tmp_path / "plan", tmp_path / "tuned.json"
    done = inside("tune", net, "--tpus", "2", *FEW, "-o", plan, "--profile-out", tuned)
    assert done.code == ExitCode.OK, done.stderr
    assert "round" in done.stdout
    assert "verified: " in done.stderr
    written = load_plan(plan).plan
    times = {(s.first_op, s.last_op): s.time_ns for s in load_profile(tuned).segments}
    for stage in written.all_stages:
        assert stage.prediction.time_ns == times[stage.first_op, stage.last_op]
    assert inside("solve", net, "--device", tuned, "--tpus", "2").code == ExitCode.OK
    assert inside("run", plan, "--count", "3").code == ExitCode.OK


def test_tune_from_a_profile_as_json(net: Path, measured: Path) -> None:
    done = inside("tune", net, "--tpus", "3", "--profile", measured, *FEW, "--iterations", "2", "--json")
    assert done.code == ExitCode.OK, done.stderr
    found = document(done.stdout)
    assert len(found["iterations"]) <= 2
    assert found["possible_stages"] == 66
    assert found["bottleneck_ns"] == min(i["best_ns"] for i in found["iterations"])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--runs", "0"), "--runs is 0"),
        (("--warm-up", "-1"), "--warm-up is -1"),
        (("--backend", "abacus"), "nothing can be measured on 'abacus'"),
        (("--segments", "4"), "--segments is '4'"),
        (("--segments", "5-4"), "--segments is '5-4'"),
        (("--segments", "0-11"), "0-11 is not a range"),
    ],
)
def test_options_that_make_no_sense(net: Path, tmp_path: Path, options: tuple[str, ...], words: str) -> None:
    error(inside("profile", net, "-o", tmp_path / "p.json", *options), ExitCode.USAGE, words)
    assert not list(tmp_path.iterdir())


def test_an_output_that_cannot_be_written(net: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    error(inside("profile", net, "-o", tmp_path / "file" / "p.json", *FEW), ExitCode.OUTPUT, "cannot be written")
    error(inside("tune", net, "--tpus", "0"), ExitCode.USAGE, "--tpus is 0")
    error(inside("tune", net, "--tpus", "2", "--tolerance", "0.9"), ExitCode.USAGE, "--tolerance is 0.9")
    assert json.loads((tmp_path / "file").read_text() or "{}") == {}
