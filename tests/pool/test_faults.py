"""Runs of a pool in which devices are lost or inferences fail; the faulty backend wraps LiteRT."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import segsolve
from benchmarks.faulty import FaultPlan
from segsolve.errors import ExitCode, UsageError
from segsolve.solvers.base import Limits
from segsolve_runtime.contract.pool import load_pool

from ..cli.test_run_watch import faults
from ..cli.tool import error, inside
from .conftest import MODELS, assert_same

__all__ = ["faults"]

COUNT = "6"


@pytest.fixture(scope="module")
def whole(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The outputs of a run without faults."""
    folder = tmp_path_factory.mktemp("whole")
    assert inside("run", shared, "--count", COUNT, "-o", folder).code == ExitCode.OK
    return folder


def test_a_lost_device_replans_the_pool(
    shared: Path, networks: list[Path], whole: Path, faults: dict[int, FaultPlan], tmp_path: Path
) -> None:
    faults[0] = FaultPlan(lost_from=3)
    done = inside(
        "run", shared, "--count", COUNT, "--json", "--backend", "faulty", "--on-fault", "replan",
        "--model", networks[0].parent, "-o", tmp_path / "out",
    )  # fmt: skip
    assert done.code == ExitCode.OK, done.stderr
    folder = load_pool(shared)
    first = next(d.name for d in folder.pool.devices if any(r.model == MODELS[0] and r.stage == 0 for r in d.residents))
    assert f"lost {first}: {MODELS[0]}: " in done.stderr
    assert "solved again for 1 device: " in done.stderr
    document = json.loads(done.stdout)
    (before,) = document["before"]
    assert [device["name"] for device in document["devices"]] != [device["name"] for device in before["devices"]]
    for name in MODELS:
        counts = [next(m["count"] for m in leg["models"] if m["name"] == name) for leg in (before, document)]
        assert sum(counts) == int(COUNT) * folder.pool.model(name).weight
    assert_same(tmp_path / "out", whole)


def test_without_the_models_a_run_that_may_replan_does_not_begin(
    shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = shutil.copytree(shared, tmp_path / "far" / "away" / "plan")
    monkeypatch.chdir(tmp_path)
    done = inside("run", elsewhere, "--on-fault", "replan", "--count", "3")
    error(done, ExitCode.USAGE, "is neither beside the plan nor here")


def test_an_inference_that_fails_is_tried_again(
    shared: Path, whole: Path, faults: dict[int, FaultPlan], tmp_path: Path
) -> None:
    faults[0] = FaultPlan(raises=frozenset({2}))
    done = inside("run", shared, "--count", COUNT, "--backend", "faulty", "--on-fault", "retry", "-o", tmp_path / "out")
    assert done.code == ExitCode.OK, done.stderr
    assert_same(tmp_path / "out", whole)


def test_an_inference_that_fails_is_skipped_and_named(
    shared: Path, whole: Path, faults: dict[int, FaultPlan], tmp_path: Path
) -> None:
    faults[0] = FaultPlan(raises=frozenset({2}))
    done = inside("run", shared, "--count", COUNT, "--backend", "faulty", "--on-fault", "skip", "-o", tmp_path / "out")
    assert done.code == ExitCode.PARTIAL
    assert "random[1]: mobilenet: stage 0" in done.stderr
    with np.load(tmp_path / "out" / f"{MODELS[0]}.npz") as out, np.load(whole / f"{MODELS[0]}.npz") as all_of_them:
        name = next(key for key in out.files if out[key].ndim and len(out[key]) == len(all_of_them[key]) - 1)
        assert np.array_equal(out[name], np.delete(all_of_them[name], 1, axis=0))


def test_with_skip_a_lost_device_ends_what_needs_it_and_nothing_else(
    shared: Path, whole: Path, faults: dict[int, FaultPlan], tmp_path: Path
) -> None:
    faults[0] = FaultPlan(lost_from=3)
    done = inside("run", shared, "--count", COUNT, "--backend", "faulty", "--on-fault", "skip", "-o", tmp_path / "out")
    error(done, ExitCode.PARTIAL, "failed, and of mobilenet there are no more results")
    assert "\nmobilenet ended before its frames did: mobilenet: stage 0" in done.stderr
    for name in MODELS[1:]:
        with np.load(tmp_path / "out" / f"{name}.npz") as one, np.load(whole / f"{name}.npz") as other:
            assert all(np.array_equal(one[key], other[key]) for key in other.files)
    with np.load(tmp_path / "out" / f"{MODELS[0]}.npz") as one:
        assert max(len(one[key]) for key in one.files if one[key].ndim) == 2  # its first call was to warm up


def test_without_a_policy_the_first_fault_ends_the_run(
    shared: Path, faults: dict[int, FaultPlan], tmp_path: Path
) -> None:
    faults[0] = FaultPlan(raises=frozenset({2}))
    done = inside("run", shared, "--count", COUNT, "--backend", "faulty", "-o", tmp_path / "out")
    error(done, ExitCode.RUN_FAILED, "mobilenet: stage 0", "failed on inference 1")
    assert f"wrote the results of each model until then to {tmp_path / 'out'}" in done.stderr


def test_the_library_replans_too(shared: Path, networks: list[Path], tmp_path: Path) -> None:
    lost = load_pool(shared).pool.devices[1].name
    solved = segsolve.replan(
        shared, lost=[lost], model=networks[0].parent, into=tmp_path / "plan", limits=Limits(time_limit_s=5)
    )
    made = load_pool(tmp_path / "plan").pool
    assert [device.name for device in made.devices] == [load_pool(shared).pool.devices[0].name]
    assert made.period_ns == solved.to_dict()["period_ns"]
    with pytest.raises(UsageError, match="no device 'usb:7'"):
        segsolve.replan(shared, lost=["usb:7"])
    with pytest.raises(UsageError, match="no device of the pool is left"):
        everything = [device.name for device in load_pool(shared).pool.devices]
        segsolve.replan(shared, lost=everything, model=networks[0].parent)
