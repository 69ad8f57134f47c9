"""The same command twice gives the same plan, byte for byte but for the time that it took."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from segsolve.errors import ExitCode

from .tool import document, run

TPUS = "4"


def _solve(model: Path, folder: Path) -> tuple[dict[str, bytes], dict[str, Any], list[dict[str, Any]]]:
    done = run("solve", model, "--tpus", TPUS, "--seed", "7", "--workers", "2", "--no-verify", "--json", "-o", folder)
    assert done.code == ExitCode.OK, done.stderr
    segments = {p.name: p.read_bytes() for p in (folder / "segments").iterdir()}
    plan = json.loads((folder / "plan.json").read_text())
    del plan["digest"], plan["certificate_sha256"], plan["solution"]["wall_s"]
    for confirmation in plan["solution"]["confirmed_by"]:
        del confirmation["seconds"]
    return segments, plan, document(done.stdout)["pipelines"]


def test_same_seed_same_files(mobilenet: Path, tmp_path: Path) -> None:
    first, second = _solve(mobilenet, tmp_path / "a"), _solve(mobilenet, tmp_path / "b")
    assert first == second
    assert {stage["file"] for p in first[1]["pipelines"] for stage in p["stages"]} == {
        f"segments/{n}" for n in first[0]
    }
    assert len(first[2]) == len(first[1]["pipelines"])


def test_solving_again_replaces_the_plan(net: Path, tmp_path: Path) -> None:
    folder = tmp_path / "plan"
    for tpus in ("3", "2"):
        done = run("solve", net, "--tpus", tpus, "--planner", "uniform", "--no-verify", "-o", folder)
        assert done.code == ExitCode.OK, done.stderr
    assert len(list((folder / "segments").iterdir())) == 2
    assert run("run", folder, "--backend", "simulated", "--count", "2").code == ExitCode.OK


def test_zoo_is_the_same_from_build_to_build(tmp_path: Path) -> None:
    for folder, seed in (("a", "3"), ("b", "3"), ("c", "4")):
        done = run("zoo", "build", "synthetic-dense-2048", "--seed", seed, "-o", tmp_path / folder)
        assert Path(done.stdout.strip()) == tmp_path / folder / "synthetic-dense-2048.tflite"
    a, b, c = (next((tmp_path / folder).iterdir()).read_bytes() for folder in "abc")
    assert a == b != c
