"""Plan folders: whole or not at all, and never at the cost of somebody else's files."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from segsolve.errors import OutputError
from segsolve.graph.read import LoadedModel, read_model
from segsolve.plan import folder as build
from segsolve.plan.folder import check_writable, write_plan
from segsolve.profile.analytic import AnalyticCosts
from segsolve.search.ask import answer
from segsolve.segments.writer import Segment
from segsolve.solvers.base import Status
from segsolve_runtime.contract.changes import WORK
from segsolve_runtime.contract.plan import PLAN_FILE, load_plan, plan_schema
from tests.models import residual_net

from .networks import NETWORKS
from .plans import DEVICE, cut


@pytest.fixture
def loaded(tmp_path: Path) -> LoadedModel:
    return residual_net().load(tmp_path)


def snapshot(folder: Path) -> dict[str, bytes | None]:
    return {str(p.relative_to(folder)): p.read_bytes() if p.is_file() else None for p in sorted(folder.rglob("*"))}


def test_a_plan_folder_holds_the_plan_and_its_segments(loaded: LoadedModel, tmp_path: Path) -> None:
    folder = cut(loaded, tmp_path / "new" / "plan", (3, 8))
    files = [f"segments/net_segment_{k}_of_3.tflite" for k in range(3)]
    assert set(snapshot(tmp_path / "new" / "plan")) == {PLAN_FILE, "segments", *files}
    assert [stage.file for stage in folder.plan.all_stages] == files
    assert [(s.first_op, s.last_op) for s in folder.plan.all_stages] == [(0, 2), (3, 7), (8, 10)]
    assert folder.plan.inputs == ["input_0", "input_1"]
    assert folder.plan.outputs == ["fully_connected_10", "relu_1"]
    spec = folder.plan.tensor("relu_1")
    assert (spec.dtype, spec.shape, spec.zero_point) == ("int8", [1, 4, 4, 8], 0)
    assert folder.plan.model.sha256 == loaded.graph.sha256


@pytest.mark.parametrize("make", NETWORKS, ids=lambda make: make.__name__)
def test_every_plan_satisfies_the_json_schema(make: Any, tmp_path: Path) -> None:
    loaded = make().load(tmp_path)
    cut(loaded, tmp_path / "plan", loaded.graph.cuts)
    document = json.loads((tmp_path / "plan" / PLAN_FILE).read_text(encoding="utf-8"))
    jsonschema.validate(document, plan_schema())


def test_an_older_plan_is_replaced_with_all_its_segments(loaded: LoadedModel, tmp_path: Path) -> None:
    cut(loaded, tmp_path / "plan", (3, 8))
    (tmp_path / "plan" / "segments" / "net_segment_0_of_3_edgetpu.tflite").write_bytes(b"compiled from the older one")
    cut(loaded, tmp_path / "plan", (5,))
    cut(loaded, tmp_path / "fresh", (5,))
    older, fresh = snapshot(tmp_path / "plan"), snapshot(tmp_path / "fresh")
    assert older.keys() == fresh.keys()
    assert older | {PLAN_FILE: b""} == fresh | {PLAN_FILE: b""}


def test_files_of_others_are_kept(loaded: LoadedModel, tmp_path: Path) -> None:
    plan = tmp_path / "plan"
    plan.mkdir()
    (plan / "notes.txt").write_text("mine")
    for cuts in ((3,), (4,)):
        cut(loaded, plan, cuts)
        assert (plan / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize(
    "foreign",
    [{PLAN_FILE: "{}"}, {PLAN_FILE: "segsolve-plan is not my format"}, {"segments/a.txt": ""}, {"segments": ""}],
)
def test_a_folder_with_something_else_under_these_names_is_refused(
    loaded: LoadedModel, tmp_path: Path, foreign: dict[str, str]
) -> None:
    plan = tmp_path / "plan"
    for name, text in foreign.items():
        (plan / name).parent.mkdir(parents=True, exist_ok=True)
        (plan / name).write_text(text)
    before = snapshot(plan)
    for attempt in (lambda: cut(loaded, plan, (3,)), lambda: check_writable(plan)):
        with pytest.raises(OutputError, match="not a segsolve plan"):
            attempt()
        assert snapshot(plan) == before


def test_a_folder_called_as_the_plan_is_refused(loaded: LoadedModel, tmp_path: Path) -> None:
    (tmp_path / "plan" / PLAN_FILE).mkdir(parents=True)
    with pytest.raises(OutputError, match="not a segsolve plan"):
        cut(loaded, tmp_path / "plan", (3,))


def test_a_strange_file_among_older_segments_is_not_deleted(loaded: LoadedModel, tmp_path: Path) -> None:
    cut(loaded, tmp_path / "plan", (3,))
    (tmp_path / "plan" / "segments" / "results.csv").write_text("mine")
    before = snapshot(tmp_path / "plan")
    with pytest.raises(OutputError, match="not a segsolve plan"):
        cut(loaded, tmp_path / "plan", (4,))
    assert snapshot(tmp_path / "plan") == before


@pytest.mark.parametrize("path", ["file", "file/below"])
def test_a_path_at_or_below_a_file_is_refused(loaded: LoadedModel, tmp_path: Path, path: str) -> None:
    (tmp_path / "file").write_text("mine")
    for attempt in (lambda: cut(loaded, tmp_path / path, (3,)), lambda: check_writable(tmp_path / path)):
        with pytest.raises(OutputError, match="cannot be written"):
            attempt()
    assert (tmp_path / "file").read_text() == "mine"


def test_asking_whether_a_folder_is_writable_leaves_nothing(loaded: LoadedModel, tmp_path: Path) -> None:
    check_writable(tmp_path / "a" / "b")
    assert not (tmp_path / "a").exists()
    cut(loaded, tmp_path / "plan", (3,))
    before = snapshot(tmp_path / "plan")
    check_writable(tmp_path / "plan")
    assert snapshot(tmp_path / "plan") == before


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(28, "No space left on device")])
def test_an_interrupted_write_leaves_the_older_plan(
    loaded: LoadedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    cut(loaded, tmp_path / "plan", (3, 8))
    before = snapshot(tmp_path / "plan")
    calls = 0

    def interrupted(model: LoadedModel, segment: Segment) -> bytes:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise error
        return b"half a plan"

    monkeypatch.setattr(build, "segment_bytes", interrupted)
    for folder in ("plan", "new/plan"):
        calls = 0
        with pytest.raises((KeyboardInterrupt, OutputError)):
            cut(loaded, tmp_path / folder, (5,))
        assert calls == 2
    assert snapshot(tmp_path / "plan") == before
    assert not (tmp_path / "new").exists()
    load_plan(tmp_path / "plan")


@pytest.mark.parametrize("fatal", range(1, 6))
def test_an_interruption_while_files_are_moved_leaves_the_older_plan_or_the_new_one(
    loaded: LoadedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fatal: int
) -> None:
    cut(loaded, tmp_path / "plan", (3, 8))
    before = load_plan(tmp_path / "plan").content_sha256
    replace_path, calls = Path.replace, 0

    def interrupted(source: Path, target: Path) -> Path:
        nonlocal calls
        calls += 1
        if calls == fatal:
            raise KeyboardInterrupt
        return replace_path(source, target)

    monkeypatch.setattr(Path, "replace", interrupted)
    with suppress(KeyboardInterrupt):
        cut(loaded, tmp_path / "plan", (5,))
    assert calls >= min(fatal, 4)
    monkeypatch.undo()
    left = load_plan(tmp_path / "plan")
    assert (left.content_sha256 == before) == (fatal == 1)  # the first rename decides
    assert not (tmp_path / "plan" / WORK).exists()
    assert len(cut(loaded, tmp_path / "plan", (5,)).plan.all_stages) == 2


@pytest.mark.parametrize("stem", ["a:b", "c\\d", "e f", "grün", "x\udcff", ".hidden", "-o"])
def test_segments_have_names_that_a_plan_may_contain(tmp_path: Path, stem: str) -> None:
    path = residual_net().write(tmp_path)
    odd = path.rename(tmp_path / f"{stem}.tflite")
    folder = cut(read_model(odd), tmp_path / "plan", (3,))
    assert all(path.is_file() for path in folder.segment_paths())
    assert len(folder.plan.all_stages) == 2


def test_a_result_without_a_plan_is_not_written(loaded: LoadedModel, tmp_path: Path) -> None:
    problem = AnalyticCosts(graph=loaded.graph, device=DEVICE).problem(tpus=2, no_spill=True)
    empty = answer(replace(problem, capacity_bytes=0))
    assert empty.status is Status.INFEASIBLE
    with pytest.raises(ValueError, match="no plan"):
        write_plan(tmp_path / "plan", loaded=loaded, device=DEVICE, problem=problem, answer=empty)
    assert not (tmp_path / "plan").exists()


def test_the_same_plan_is_written_in_the_same_bytes(loaded: LoadedModel, tmp_path: Path) -> None:
    for name in ("one", "two"):
        cut(loaded, tmp_path / name, (3, 8))
    assert snapshot(tmp_path / "one") == snapshot(tmp_path / "two")
