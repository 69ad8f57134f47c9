"""Reports of plans of several pipelines, replicated stages, and stages cut between branches."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pytest

from segsolve.report import gantt
from segsolve.report.bars import scale_of
from segsolve.report.explain import explain
from segsolve.report.html import plan_html
from segsolve.report.model_explorer import node_data
from segsolve.report.plan_source import plan_view
from segsolve.report.strip import WIDTH, make_strip
from segsolve.report.svg import plan_svg

from .browser import DESKTOP, PHONE, Browser
from .samples import Sample, make_layout, measure

Made = list[list[tuple[Sequence[int], int]]]
WHOLE = range(10)
TRUNK, LEFT, REST = (0, 1, 2), (3, 5, 7), (4, 6, 8, 9)
COPIES: Made = [[(WHOLE, 1)]] * 3
BRANCHES: Made = [[(TRUNK, 3), (LEFT, 1), (REST, 2)]]
MIXED: Made = [[(range(4), 2), (range(4, 10), 1)], [(WHOLE, 1)], [(WHOLE, 1)]]
LAYOUTS = {"copies": COPIES, "branches": BRANCHES, "mixed": MIXED}


@pytest.fixture(params=LAYOUTS)
def layout(request: pytest.FixtureRequest, tmp_path: Path) -> Sample:
    return make_layout(tmp_path, *LAYOUTS[request.param])


def explanation(sample: Sample) -> str:
    return " ".join(f"{p.topic}: {p.text}" for p in explain(plan_view(sample.folder)))


def test_the_costs_are_those_of_the_file(layout: Sample) -> None:
    view = plan_view(layout.folder)
    solution = view.plan.solution
    assert view.missing == ""
    assert view.details is not None
    assert view.strategy.period_ns == solution.objective_ns
    assert view.strategy.throughput_fps == pytest.approx(solution.throughput_fps)
    assert view.strategy.score.latency_ns == solution.latency_ns
    assert view.details.other("optimum") is not None


def test_pipelines_that_are_alike_are_shown_once(tmp_path: Path) -> None:
    plan = plan_view(make_layout(tmp_path, *MIXED).folder).strategy
    assert plan.order == (0, 1, 1)
    assert [(p.letter, p.copies, p.tpus) for p in plan.pipelines] == [("A", 1, 3), ("B", 2, 1)]
    assert [plan.tag(stage) for stage in plan.stages] == ["A0", "A1", "B0"]
    assert [plan.tpus(stage) for stage in plan.stages] == [(0, 1), (2,), (3, 4)]


def test_every_pipeline_covers_the_strip(layout: Sample) -> None:
    view = plan_view(layout.folder)
    assert view.details is not None
    for lane in make_strip(view.details).lanes(view.strategy):
        assert sum(box.width for box in lane.stages) == pytest.approx(WIDTH)
        assert [box.first for box in lane.stages[1:]] == [box.end for box in lane.stages[:-1]]
        assert sum(box.has_time for box in lane.stages) == len(lane.pipeline.stages)


def test_the_timeline_has_a_row_per_tpu(layout: Sample) -> None:
    plan = plan_view(layout.folder).strategy
    (drawn,) = gantt.predicted([plan], 40)
    assert {bar.row for bar in drawn.bars} == set(range(drawn.rows)) == set(range(len(plan.devices)))
    for row in range(drawn.rows):
        bars = sorted(bar.x for bar in drawn.bars if bar.row == row)
        widths = [bar.width for bar in drawn.bars if bar.row == row]
        assert all(b - a >= widths[0] - 0.2 for a, b in pairwise(bars))


def test_a_measurement_goes_to_the_same_rows(layout: Sample) -> None:
    measure(layout)
    view = plan_view(layout.folder)
    assert view.measurement is not None
    (predicted,) = gantt.predicted([view.strategy], 12)
    found = gantt.measured(view.measurement, view.strategy, 12)
    assert {(b.row, b.name) for b in found.bars} == {(b.row, b.name) for b in predicted.bars}


def test_copies_are_explained(tmp_path: Path) -> None:
    text = explanation(make_layout(tmp_path, *COPIES))
    assert "Three copies of the whole model serve the stream of inferences, one TPU each" in text
    assert "fit one TPU, so that no cut is needed" in text
    assert "3 TPUs are 3.0 times as fast" in text


def test_copies_that_stream_are_explained(tmp_path: Path) -> None:
    text = explanation(make_layout(tmp_path, *COPIES, room=20_000))
    assert "stream at every inference, which costs less here" in text


def test_branches_and_turns_are_explained(tmp_path: Path) -> None:
    text = explanation(make_layout(tmp_path, *BRANCHES))
    assert "One pipeline of 3 stages on 6 TPUs." in text
    assert "Stage 0 runs on TPUs 0–2, which take inferences in turn" in text
    assert "The network is cut between its branches" in text
    assert "any cuts of its graph" in text


def test_different_pipelines_are_explained(tmp_path: Path) -> None:
    text = explanation(make_layout(tmp_path, *MIXED))
    assert "Three pipelines, of which two are different" in text
    assert "is the slowest of pipeline A" in text
    assert "Every TPU of pipeline B runs the whole network" in text


def test_model_explorer_names_every_pipeline(tmp_path: Path) -> None:
    data = node_data(plan_view(make_layout(tmp_path, *MIXED).folder))
    assert data["name"] == "TPU (branches, 3 pipelines on 5 TPUs)"
    assert data["results"]["0"]["value"] == "Stage A0 (TPUs 0–1), stage B0 (TPUs 3–4)"
    assert len(data["results"]) == len(WHOLE)


def test_the_drawing_is_well_formed(layout: Sample) -> None:
    root = ET.fromstring(plan_svg(plan_view(layout.folder)))
    operations = [int(i) for r in root.iter() if (i := r.get("data-i"))]
    assert operations == list(WHOLE)


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_the_page_renders(browser: Browser, layout: Sample, size: tuple[int, int], tmp_path: Path) -> None:
    measure(layout)
    page = tmp_path / "plan.html"
    page.write_text(plan_html(plan_view(layout.folder)), encoding="utf-8")
    browser.open(page, size=size)
    assert browser.overflow() <= 0
    view = plan_view(layout.folder)
    assert view.plan.solution.layout in browser.find(".cards").text
    assert len(browser.texts("svg.bars .row")) >= len(view.strategy.stages)
    browser.find("input[name=width][value=weights]").click()
    browser.find("input[name=other][value='*']").click()


def test_pointing_names_the_stage_of_every_pipeline(browser: Browser, tmp_path: Path) -> None:
    page = tmp_path / "plan.html"
    page.write_text(plan_html(plan_view(make_layout(tmp_path, *MIXED).folder)), encoding="utf-8")
    browser.open(page)
    browser.hover("#ops rect.op[data-i='5']")
    detail = browser.find("#detail").text
    assert "stage A1 (TPU 2) in this plan; stage B0 (TPUs 3–4) in this plan" in detail
    assert "TPU" in detail.split("in Vendor's compiler")[0]


def test_keys_walk_stages_that_interleave(browser: Browser, tmp_path: Path) -> None:
    page = tmp_path / "plan.html"
    page.write_text(plan_html(plan_view(make_layout(tmp_path, *BRANCHES).folder)), encoding="utf-8")
    browser.open(page)
    browser.run("document.querySelector('#ops rect.op').focus()")
    browser.keys("\ue015", "\ue015")  # down, down
    assert "Operation 4:" in browser.find("#detail").text
    assert "stage 2" in browser.find("#detail").text


def test_the_bar_of_a_bottleneck_ends_at_the_time_per_inference(layout: Sample) -> None:
    strategy = plan_view(layout.folder).strategy
    bars = scale_of(strategy, []).bars("", strategy)
    for row, stage in zip(bars.rows, strategy.stages, strict=True):
        end = max(part.x + part.width for part in row.times)
        assert end <= bars.limit + 0.3
        if strategy.limits(stage):
            assert end == pytest.approx(bars.limit, abs=0.3)
