from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import pytest

from segsolve.errors import DeviceError, ModelError, OutputError, UsageError
from segsolve.plan.model import Pipeline as SolverPipeline
from segsolve.plan.model import Plan, pipeline_of
from segsolve.report import gantt
from segsolve.report.bars import TIME_WIDTH, scale_of
from segsolve.report.explain import explain
from segsolve.report.html import plan_html
from segsolve.report.model_explorer import node_data
from segsolve.report.plan_source import plan_view
from segsolve.report.strip import WIDTH, make_strip
from segsolve.report.svg import plan_svg
from segsolve.report.write import report_text, write_text
from segsolve_runtime.contract.plan import load_plan
from segsolve_runtime.errors import PlanError
from segsolve_runtime.observe.measurement import load_measurement

from ..models import Net
from ..segments.networks import branches
from ..segments.plans import write
from .samples import EVIL, LAYERS, Sample, make_sample, measure, sample_batch


def explanation(folder: Path) -> str:
    return " ".join(f"{p.topic}: {p.text}" for p in explain(plan_view(folder)))


def test_the_model_is_found_beside_the_plan_and_here(
    sample: Sample, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert plan_view(sample.folder).details is not None
    moved = make_sample(tmp_path)
    here = tmp_path / "here"
    here.mkdir()
    moved.model.rename(here / moved.model.name)
    assert plan_view(moved.folder).details is None
    monkeypatch.chdir(here)
    assert plan_view(moved.folder).details is not None


def test_a_file_of_the_same_name_is_not_the_model(tmp_path: Path) -> None:
    sample = make_sample(tmp_path)
    sample.model.write_bytes(b"x" * sample.model.stat().st_size)
    assert "found neither" in plan_view(sample.folder).missing


def test_another_model_is_refused(sample: Sample, tmp_path: Path) -> None:
    net = Net()
    other = net.write(tmp_path, net.conv(net.input()))
    with pytest.raises(ModelError, match="not the model"):
        plan_view(sample.folder, model=other)


def test_an_unknown_device_is_refused(sample: Sample) -> None:
    with pytest.raises(DeviceError):
        plan_view(sample.folder, device="abacus")


def test_a_device_that_predicts_otherwise_is_not_mixed_in(sample: Sample) -> None:
    view = plan_view(sample.folder, device="edgetpu-pcie")
    assert view.details is None
    assert "does not predict" in view.missing


def test_the_explanation_names_what_a_stranger_wants_to_know(sample: Sample) -> None:
    view = plan_view(sample.folder)
    text = explanation(sample.folder)
    slow = view.strategy.slowest
    assert "The vendor's compiler gives every TPU about the same amount of weights" in text
    assert f"TPU {slow.number} (operations {slow.first} to {slow.end - 1}) is the slowest" in text
    assert "stream from the host at every inference" in text
    assert "Confirmed by " in text


@pytest.mark.parametrize("correction_ns", [-100_000, 100_000])
def test_a_measured_stage_has_bars_as_long_as_its_time(sample: Sample, correction_ns: int) -> None:
    plan = plan_view(sample.folder).strategy
    score = replace(plan.stages[0].score, correction_ns=correction_ns)
    measured = replace(plan, stages=(replace(plan.stages[0], score=score), *plan.stages[1:]))
    scale = scale_of(measured, [])
    (row, *_) = scale.bars("", measured).rows
    assert sum(part.width for part in row.times) == pytest.approx(TIME_WIDTH * score.time_ns / scale.time_ns, abs=0.5)


def test_the_page_says_why_layers_stream(sample: Sample) -> None:
    """The same for the plan and for the vendor's cut, as the terminal has it."""
    view = plan_view(sample.folder)
    assert view.details is not None
    page = plan_html(view).replace("&lt;", "<").replace("&gt;", ">")
    vendor = view.details.other("compiler")
    assert vendor is not None
    for strategy in (view.strategy, vendor):
        stages = [stage for stage in strategy.stages if stage.spilled_ops]
        assert stages
        for stage in stages:
            assert [p.op for p in view.details.spilled(stage)]
            assert {p.op for p in view.details.spilled(stage)} == set(stage.spilled_ops)
            first, *_ = view.details.why_spilled(stage)
            assert "does not fit: " in first
            assert "left; it is streamed at every inference and costs" in first
            assert f"<li>L{first[1:]}.</li>" in page
    assert "room left, KiB" in page


def test_a_plan_that_is_not_proven_says_so(tmp_path: Path) -> None:
    text = explanation(make_sample(tmp_path, planner="compiler").folder)
    assert "The plan is not proven optimal" in text
    assert "cuts this network at the same places" in text


def test_room_for_everything_streams_nothing(tmp_path: Path) -> None:
    text = explanation(make_sample(tmp_path, room=1_000_000).folder)
    assert "What streams: Nothing" in text


def test_a_plan_under_which_nothing_may_stream_is_held_against_such_plans(tmp_path: Path) -> None:
    view = plan_view(make_sample(tmp_path, tpus=8, room=60_000, no_spill=True).folder)
    assert view.details is not None
    assert all(not s.score.offchip_bytes for s in view.details.others)


def test_one_stage_has_a_report(tmp_path: Path) -> None:
    sample = make_sample(tmp_path, tpus=1)
    assert plan_view(sample.folder).details is not None
    assert "TPU 0" in explanation(sample.folder)
    ET.fromstring(plan_svg(plan_view(sample.folder)))


def test_the_strip_covers_all_operations_without_gaps(sample: Sample) -> None:
    details = plan_view(sample.folder).details
    assert details is not None
    strip = make_strip(details)
    for edges in (strip.time_edges, strip.weight_edges):
        assert edges[0] == 0
        assert edges[-1] == pytest.approx(WIDTH)
        assert list(edges) == sorted(set(edges))
    lane = strip.lane(plan_view(sample.folder).strategy)
    assert sum(box.width for box in lane.stages) == pytest.approx(WIDTH)


def test_the_drawing_is_well_formed_and_keeps_names_as_text(sample: Sample) -> None:
    root = ET.fromstring(plan_svg(plan_view(sample.folder)))
    space = "{http://www.w3.org/2000/svg}"
    assert root.tag == f"{space}svg"
    assert not list(root.iter(f"{space}img"))
    assert any(EVIL in (title.text or "") for title in root.iter(f"{space}title"))
    assert len([r for r in root.iter(f"{space}rect") if r.get("data-i")]) == LAYERS


def test_model_explorer_gets_every_operator_by_its_id(sample: Sample) -> None:
    view = plan_view(sample.folder)
    results = node_data(view)["results"]
    assert list(results) == [str(i) for i in range(LAYERS)]
    spilled = [i for stage in view.strategy.stages for i in stage.score.spilled_ops]
    assert spilled
    assert {i for i, r in results.items() if "stream" in r["value"]} == {str(i) for i in spilled}
    assert len({r["bgColor"] for r in results.values()}) == 3
    assert json.loads(report_text(sample.folder, "model-explorer", model=None, device=None, measured=None)[0])


def test_drawings_need_the_model(tmp_path: Path) -> None:
    sample = make_sample(tmp_path)
    sample.model.unlink()
    for wanted in ("svg", "model-explorer"):
        with pytest.raises(UsageError, match="needs the model"):
            report_text(sample.folder, wanted, model=None, device=None, measured=None)


def test_a_batch_has_a_page_only(tmp_path: Path) -> None:
    folder = sample_batch(tmp_path / "zoo")
    assert report_text(folder, "html", model=None, device=None, measured=None)[0].startswith("<!doctype html>")
    with pytest.raises(UsageError, match="is a batch"):
        report_text(folder, "svg", model=None, device=None, measured=None)


def test_a_folder_without_anything_is_no_plan(tmp_path: Path) -> None:
    with pytest.raises(PlanError):
        report_text(tmp_path, "html", model=None, device=None, measured=None)


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot be written"):
        write_text(tmp_path, "text")


def test_the_same_plan_gives_the_same_page(sample: Sample) -> None:
    first, second = (report_text(sample.folder, "html", model=None, device=None, measured=None) for _ in range(2))
    assert first == second


def test_a_measurement_is_read_back(sample: Sample) -> None:
    m = load_measurement(sample.folder / "measured.json", load_plan(sample.folder).plan)
    assert m.times == "virtual"
    assert m.count == 30
    assert len(m.timeline) == 30 * 3


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        ({"operations": [[[[0, 1]]]]}, "another plan"),
        ({"format": "else"}, "not a measurement"),
        ({"stages": []}, "damaged"),
        ({"machine": "\ud800"}, "not a measurement"),
        (
            {"timeline": [{"pipeline": 0, "stage": 9, "replica": 0, "inference": 0, "start_ns": 0, "end_ns": 1}]},
            "damaged",
        ),
    ],
)
def test_a_measurement_that_does_not_fit_is_refused(tmp_path: Path, change: dict[str, object], wrong: str) -> None:
    sample = make_sample(tmp_path)
    path = measure(sample)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(PlanError, match=wrong):
        plan_view(sample.folder)


def test_a_missing_measurement_is_an_error_only_when_named(sample: Sample, tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="cannot be read"):
        plan_view(sample.folder, measured=tmp_path / "none.json")


def test_the_timelines_share_an_axis(sample: Sample) -> None:
    view = plan_view(sample.folder)
    vendor = view.details.other("compiler") if view.details else None
    assert vendor is not None
    ours, theirs = gantt.predicted([view.strategy, vendor], 6)
    assert ours.span_ns == theirs.span_ns
    assert ours.end_ns <= theirs.end_ns == theirs.span_ns
    assert ours.end_ns == view.strategy.score.batch_ns(6)
    assert max(b.x + b.width for b in theirs.bars) == pytest.approx(gantt.WIDTH, abs=0.2)


@pytest.mark.parametrize("stages", [1, 8, 16, 40])
def test_a_timeline_never_has_too_many_bars(stages: int) -> None:
    assert 5 <= gantt.shown_inferences(stages) <= 18


def test_a_view_without_details_explains_what_the_plan_knows(sample: Sample) -> None:
    view = replace(plan_view(sample.folder), details=None, missing="no model")
    topics = [p.topic for p in explain(view)]
    assert topics == ["The bottleneck", "What streams", "Proof"]


def test_pipelines_replicas_and_stages_of_several_ranges_have_a_report(tmp_path: Path) -> None:
    loaded = branches().load(tmp_path)
    n = len(loaded.graph.ops)
    dag = pipeline_of([[0, 2, 4], [1, 3], [*range(5, n)]])
    doubled = SolverPipeline(stages=(dag.stages[0], replace(dag.stages[1], replicas=2), dag.stages[2]))
    sample = Sample(folder=tmp_path / "plan", model=tmp_path / "net.tflite")
    write(loaded, sample.folder, Plan(pipelines=(doubled, pipeline_of([range(n)]))))
    measure(sample)
    view = plan_view(sample.folder, model=sample.model)
    assert view.missing == ""
    plan = view.strategy
    assert [plan.tag(stage) for stage in plan.stages] == ["A0", "A1", "A2", "B0"]
    assert (plan.stages[0].ranges, len(plan.devices)) == (((0, 0), (2, 2), (4, 4)), 5)
    ends = {end for tensors in (*view.takes, *view.gives) for handed in tensors for end in handed.ends}
    assert ends == {-1, 0, 1, 2}  # nothing goes from one pipeline to the other
    texts = [paragraph.text for paragraph in explain(view)]
    assert "Two different pipelines serve the stream of inferences side by side" in texts[0]
    assert "Stage A1 runs on two TPUs, which take inferences in turn" in texts[0]
    assert view.measurement is not None
    predicted, measured = gantt.predicted([plan], 12)[0], gantt.measured(view.measurement, plan, 12)
    assert predicted.rows == measured.rows == 5
    assert predicted.bars == measured.bars
    page = plan_html(view)
    assert "4[1,2,1]+1" in page
    assert "TPUs 1–2" in page
