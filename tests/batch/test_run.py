"""Batches in real processes: what they record, what they do again, what they survive."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
from collections import Counter
from dataclasses import asdict
from pathlib import Path

import pytest

from segsolve.batch.jobs import Options
from segsolve.batch.log import RESULTS, TIMINGS, read_records
from segsolve.batch.run import SUMMARY, News
from segsolve.cost.plan import score_cut
from segsolve.errors import UsageError
from segsolve.graph.read import read_graph
from segsolve.profile.analytic import AnalyticCosts
from segsolve.search.ask import answer, answer_of_strategy
from segsolve.search.strategies import HEURISTICS
from tests.batch.runs import batch, device, lines, run

PLANNERS = ("compiler", "uniform", "dp")


def test_records_are_what_the_planners_answer(models: Path, tmp_path: Path) -> None:
    summary = run(batch(models, tpus=(1, 4), planners=PLANNERS), tmp_path)
    assert summary.outcomes == {"plan": 18, "infeasible": 0, "no plan": 0, "failed": 0}
    for record in read_records(tmp_path):
        graph = read_graph(models / f"{record.model}.tflite")
        problem = AnalyticCosts(graph=graph, device=device()).problem(tpus=record.tpus)
        result = answer_of_strategy(problem, record.planner)
        assert result.plan is not None and result.score is not None
        costs = result.score.pipelines[0]
        assert (record.status, record.objective_ns, record.bound_ns) == (
            str(result.status),
            result.objective_ns,
            result.bound_ns,
        )
        assert (record.cuts, record.latency_ns) == (result.plan.cuts, costs.latency_ns)
        assert record.stage_ns == tuple(stage.time_ns for stage in costs.stages)
        assert record.one_tpu_ns == score_cut(problem, ()).period_ns
        assert record.model_sha256 == graph.sha256


def test_no_rule_betters_the_best_pipeline_where_the_host_limits(models: Path, tmp_path: Path) -> None:
    run(batch(models, tpus=(4,), planners=(*HEURISTICS, "dp")), tmp_path)
    found: dict[str, dict[str, int | None]] = {}
    for record in read_records(tmp_path):
        found.setdefault(record.model, {})[record.planner] = record.period_ns
    assert all(periods["dp"] == min(ns for ns in periods.values() if ns) for periods in found.values())
    assert any(periods["dp"] != periods["greedy"] for periods in found.values()), "the host should limit somewhere"


def test_the_best_layout_is_what_solve_answers(models: Path, tmp_path: Path) -> None:
    run(batch(models, tpus=(1, 4), planners=("cpsat", "layouts")), tmp_path)
    whole = [record for record in read_records(tmp_path) if record.planner == "layouts"]
    assert len(whole) == 6
    for record in whole:
        graph = read_graph(models / f"{record.model}.tflite")
        found = answer(AnalyticCosts(graph=graph, device=device()).problem(tpus=record.tpus))
        assert found.plan is not None
        assert found.score is not None
        assert (record.status, record.objective_ns, record.bound_ns, record.proof) == (
            str(found.status),
            found.objective_ns,
            found.bound_ns,
            found.proof,
        )
        assert (record.layout, record.tpus_used) == (found.plan.layout, found.plan.tpus)
        assert record.throughput_fps == found.score.throughput_fps
        stages = [stage.time_ns for pipeline in found.score.pipelines for stage in pipeline.stages]
        assert list(record.stage_ns) == stages
        replicas = [stage.replicas for pipeline in found.plan.pipelines for stage in pipeline.stages]
        assert list(record.stage_replicas or [1] * len(stages)) == replicas


def test_a_folder_from_before_layouts_were_recorded_becomes_one_of_today(models: Path, tmp_path: Path) -> None:
    wanted = batch(models, planners=PLANNERS)
    run(wanted, tmp_path / "fresh")
    run(wanted, tmp_path / "old")
    new = {"layout", "tpus_used", "stage_replicas"}
    old = [{k: v for k, v in line.items() if k not in new} for line in lines(tmp_path / "old")]
    (tmp_path / "old" / RESULTS).write_text("".join(json.dumps(line, separators=(",", ":")) + "\n" for line in old))
    heard: list[News] = []
    run(wanted, tmp_path / "old", heard.append)
    assert [(news.done, news.before) for news in heard] == [(18, 18)]
    assert (tmp_path / "old" / RESULTS).read_bytes() == (tmp_path / "fresh" / RESULTS).read_bytes()


def test_a_second_run_does_nothing_and_changes_nothing(models: Path, tmp_path: Path) -> None:
    wanted = batch(models, planners=PLANNERS)
    first = run(wanted, tmp_path)
    before = {name: (tmp_path / name).read_bytes() for name in (RESULTS, SUMMARY, TIMINGS)}
    heard: list[News] = []
    assert run(wanted, tmp_path, heard.append) == first
    assert {name: (tmp_path / name).read_bytes() for name in before} == before
    assert [(news.done, news.before) for news in heard] == [(18, 18)]
    assert json.loads(before[SUMMARY]) == json.loads(json.dumps(asdict(first)))


def test_only_what_is_new_is_done(models: Path, tmp_path: Path) -> None:
    run(batch(models, tpus=(2,), planners=PLANNERS), tmp_path)
    assert run(batch(models, tpus=(2, 3), planners=PLANNERS), tmp_path).jobs == 18
    seeded = batch(models, tpus=(2, 3), planners=PLANNERS, options=Options(seed=7))
    assert run(seeded, tmp_path).jobs == 18  # its own, although the folder keeps all
    times_done = Counter(timing["key"] for timing in lines(tmp_path, TIMINGS))
    assert len(times_done) == len(lines(tmp_path)) == 36
    assert set(times_done.values()) == {1}


def test_a_changed_model_is_new_and_changed_back_it_is_not(models: Path, tmp_path: Path) -> None:
    model, out = tmp_path / "net.tflite", tmp_path / "out"
    for name in ("residual", "synthetic-dense-100", "residual"):
        model.write_bytes((models / f"{name}.tflite").read_bytes())
        run(batch(model, tpus=(2,), planners=("dp",)), out)
        (line,) = lines(out)
        assert line["model_sha256"] == hashlib.sha256(model.read_bytes()).hexdigest()
    assert len(lines(out, TIMINGS)) == 2


def test_a_failure_makes_room_when_its_cause_is_gone(models: Path, tmp_path: Path) -> None:
    model, out = tmp_path / "net.tflite", tmp_path / "out"
    wanted = batch(model, tpus=(2,), planners=("dp",))
    assert run(wanted, out).outcomes["failed"] == 1
    model.write_bytes((models / "residual.tflite").read_bytes())
    assert run(wanted, out).outcomes["failed"] == 0
    assert [line["outcome"] for line in lines(out)] == ["plan"]


def test_failures_are_kept_with_their_reason_and_the_rest_goes_on(models: Path, tmp_path: Path) -> None:
    folder = tmp_path / "some"
    folder.mkdir()
    content = (models / "residual.tflite").read_bytes()
    (folder / "good.tflite").write_bytes(content)
    (folder / "cut.tflite").write_bytes(content[:3000])
    (folder / "text.tflite").write_text("this is no model")
    summary = run(batch(folder, folder / "gone.tflite", tpus=(2,), planners=PLANNERS), tmp_path / "out")
    assert summary.outcomes == {"plan": 3, "infeasible": 0, "no plan": 0, "failed": 9}
    told = {failure.model: (failure.kind, failure.message, failure.jobs) for failure in summary.failures}
    assert told["cut"] == ("bad_model", "cut.tflite is damaged or truncated", 3)
    assert told["text"][:2] == ("bad_model", "text.tflite is not a .tflite file: it lacks the identifier TFL3")
    assert told["gone"][0] == "bad_model"
    assert told["gone"][1].endswith("gone.tflite does not exist")


def test_failures_are_done_again_on_demand_only(models: Path, tmp_path: Path) -> None:
    wanted = batch(tmp_path / "late.tflite", models / "residual.tflite", tpus=(2,), planners=("dp",))
    heard: list[News] = []
    run(wanted, tmp_path / "out")
    run(wanted, tmp_path / "out", heard.append)
    assert heard[-1].before == 2
    run(wanted, tmp_path / "out", heard.append, retry_failed=True)
    assert (heard[-1].before, heard[-1].failed) == (1, 1)
    assert len(lines(tmp_path / "out")) == 2


def test_infeasible_is_no_failure(models: Path, tmp_path: Path) -> None:
    memory = device().with_memory(device().reserved_bytes + 4096)
    wanted = batch(models / "synthetic-dense-100.tflite", tpus=(2,), options=Options(no_spill=True))
    wanted = type(wanted)(**{f: getattr(wanted, f) for f in wanted.__slots__} | {"devices": (memory,)})
    summary = run(wanted, tmp_path)
    assert summary.outcomes == {"plan": 0, "infeasible": 1, "no plan": 1, "failed": 0}
    by_planner = {line["planner"]: line for line in lines(tmp_path)}
    assert by_planner["dp"]["proof"] == "exact probe: no plan reaches the end of the chain"
    assert "cannot hold the weights" in by_planner["compiler"]["note"]


def test_a_killed_worker_costs_nothing(models: Path, tmp_path: Path) -> None:
    wanted = batch(models, tpus=range(1, 7), planners=PLANNERS)
    run(wanted, tmp_path / "undisturbed")
    killed: list[int | None] = []

    def kill_one(news: News) -> None:
        if news.done in (10, 25):
            victim = multiprocessing.active_children()[0]
            killed.append(victim.pid)
            victim.kill()

    run(wanted, tmp_path / "disturbed", kill_one)
    assert len(killed) == 2
    for name in (RESULTS, SUMMARY):
        assert (tmp_path / "disturbed" / name).read_bytes() == (tmp_path / "undisturbed" / name).read_bytes()


def test_sources(models: Path, tmp_path: Path) -> None:
    (models.parent / "list.txt").write_text(
        f"# a comment\n\n{models.name}/residual.tflite\nsynthetic-dense-50\n{models.name}/\n"
    )
    run(batch(models.parent / "list.txt", "synthetic-dense-60", tpus=(2,), planners=("dp",)), tmp_path)
    names = ["residual", "synthetic-conv-16", "synthetic-dense-100", "synthetic-dense-50", "synthetic-dense-60"]
    assert sorted(line["model"] for line in lines(tmp_path)) == names
    assert len(list(tmp_path.glob("models/zoo-*-seed0/*.tflite"))) == 2


def test_a_half_built_network_is_built_again(tmp_path: Path) -> None:
    wanted = batch("synthetic-dense-50", tpus=(2,), planners=("dp",))
    run(wanted, tmp_path)
    (model,) = tmp_path.glob("models/*/*.tflite")
    content = model.read_bytes()
    model.rename(model.with_name(".synthetic-dense-50.tflite.segsolve-partial"))
    run(wanted, tmp_path)
    assert [path.name for path in model.parent.iterdir()] == [model.name]
    assert model.read_bytes() == content


@pytest.mark.parametrize(
    ("models", "reason"),
    [
        ("no-such-network", "no network"),
        ("missing.txt", "cannot be read"),
        ("empty", "no .tflite files"),
        ("nested.txt", "names another list"),
    ],
)
def test_names_that_stand_for_nothing(tmp_path: Path, models: str, reason: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "nested.txt").write_text("nested.txt\n")
    name = str(tmp_path / models) if models != "no-such-network" else models
    with pytest.raises(UsageError, match=reason):
        run(batch(name), tmp_path / "out")


def test_an_unknown_planner() -> None:
    with pytest.raises(UsageError, match="no planner 'magic'"):
        batch("zoo", planners=("magic",))


def test_a_folder_hides_the_network_of_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "resnet50").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=r"no \.tflite files") as caught:
        run(batch("resnet50"), tmp_path / "out")
    assert "a folder goes before a network of the same name" in caught.value.hint
