"""Stages that the plan leaves to the host's CPU: named and drawn as such wherever a plan is shown."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.console import Console

from segsolve.report.explain import explain
from segsolve.report.html import plan_html
from segsolve.report.model_explorer import node_data
from segsolve.report.plan_source import plan_view
from segsolve.report.run import run_table
from segsolve.report.svg import plan_svg
from segsolve_runtime.frames import random_frames
from segsolve_runtime.pipeline import Pipeline

from .browser import DESKTOP, PHONE, Browser
from .samples import Sample, make_layout


@pytest.fixture
def mixed(tmp_path: Path) -> Sample:
    """Stages on TPU 0, on the CPU, on TPUs 1 and 2, and on TPU 3; layers stream on all TPUs but the last."""
    stages = [((0, 1, 2), 1), ((3, 5, 7), 1), ((4, 6, 8), 2), ((9,), 1)]
    return make_layout(tmp_path, stages, room=3_000, on_cpu=(1,))


def test_only_tpus_are_numbered(mixed: Sample) -> None:
    plan = plan_view(mixed.folder).strategy
    assert [plan.runs_on(stage) for stage in plan.stages] == ["TPU 0", "CPU", "TPUs 1–2", "TPU 3"]
    assert [plan.full_name(stage) for stage in plan.stages][:2] == ["stage 0 (TPU 0)", "CPU stage 1"]
    assert plan.row_names == ("0", "CPU", "1", "2", "3")
    assert plan.hardware == "4 TPUs and the CPU"
    assert plan.pipelines[0].tpus == len(plan.devices) == 4


def test_nothing_spills_on_the_cpu(mixed: Sample) -> None:
    plan = plan_view(mixed.folder).strategy
    assert [bool(stage.spilled_ops) for stage in plan.stages] == [True, False, True, False]


def test_sentences_say_what_the_cpu_does(mixed: Sample) -> None:
    text = " ".join(paragraph.text for paragraph in explain(plan_view(mixed.folder)))
    assert "CPU stage 1 uses no TPU: its 3 operations run on the host." in text


def test_drawings_mark_it(mixed: Sample) -> None:
    view = plan_view(mixed.folder)
    svg, page = plan_svg(view), plan_html(view)
    assert "4 x edgetpu-pcie and the host&#39;s CPU" in svg.replace("'", "&#39;")
    for drawn in (svg, page):
        assert "CPU stage 1: operations 3, 5, 7" in drawn
        assert "runs on the host's CPU" in drawn
        assert 'class="checked"' in drawn
    assert '<td class="left">CPU</td>' in page
    assert ">CPU</text>" in page  # the row of the timeline


def test_the_overlay_names_it(mixed: Sample) -> None:
    data = node_data(plan_view(mixed.folder))
    assert data["name"] == "TPU (branches, 1 pipeline on 4 TPUs and the CPU)"
    assert "CPU stage 1" in {node["value"] for node in data["results"].values()}


def test_the_table_of_a_run_names_it(mixed: Sample) -> None:
    with Pipeline.load(mixed.folder, backend="simulated") as pipeline:
        list(pipeline.map(random_frames(pipeline.plan, 5, 0)))
        table = run_table(pipeline.plan, pipeline.metrics(), "simulated")
    console = Console(width=120, record=True)
    console.print(table)
    text = console.export_text()
    assert "3-3,5-5,7-7 CPU" in text
    assert "predicted for 4 x edgetpu-pcie and the CPU." in text


@pytest.mark.parametrize("size", [DESKTOP, PHONE])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_it_renders(browser: Browser, mixed: Sample, tmp_path: Path, size: tuple[int, int], theme: str) -> None:
    page = tmp_path / "plan.html"
    page.write_text(plan_html(plan_view(mixed.folder)), encoding="utf-8")
    browser.open(page, size=size, theme=theme)
    assert browser.overflow() <= 0
    assert browser.problems() == []
    assert "Stage 0 (TPU 0): its activations leave 2.6 KiB for weights." in browser.texts(".spills p")
    assert browser.texts(".spills li")[0].startswith("Layer conv_2d_")
