"""Stages that the plan leaves to the host's CPU: named and drawn as such wherever a plan is shown."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.console import Console

from segsolve.cost.plan import score_plan
from segsolve.device.model import load_device
from segsolve.graph.read import read_graph
from segsolve.plan.folder import write_plan
from segsolve.plan.model import plan_of
from segsolve.profile.analytic import AnalyticCosts
from segsolve.question import Question
from segsolve.report.answer import answer_table
from segsolve.report.explain import explain
from segsolve.report.html import plan_html
from segsolve.report.model_explorer import node_data
from segsolve.report.plan_source import plan_view
from segsolve.report.run import run_table
from segsolve.report.svg import plan_svg
from segsolve.search.answer import Answer
from segsolve.search.chain.confirmed import solve
from segsolve.search.single import certified
from segsolve.solvers.base import Status
from segsolve_runtime.contract.frames import random_frames
from segsolve_runtime.pipeline import Pipeline

from ..device.test_operations import swish_net
from .browser import DESKTOP, PHONE, Browser
from .samples import DEVICE, Sample, make_layout


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
    assert f"4 x {DEVICE} and the host&#39;s CPU" in svg.replace("'", "&#39;")
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
    assert "3,5,7 CPU" in text
    assert f"predicted for 4 x {DEVICE} and the CPU." in text


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


def test_operations_that_no_tpu_takes_are_told_and_drawn(tmp_path: Path) -> None:
    """They are no stage of their own: the stage of a TPU waits for them."""
    net = swish_net()
    loaded = net.load(tmp_path, *net.graph.outputs, name="swish")
    device = load_device("edgetpu-pcie")
    costs = AnalyticCosts(graph=loaded.graph, device=device)
    problem = costs.problem(tpus=2)
    found = certified(problem, solve(problem, planner="uniform"))
    write_plan(tmp_path / "plan", loaded=loaded, device=device, problem=problem, answer=found)
    view = plan_view(tmp_path / "plan", model=loaded.path)
    text = next(p.text for p in explain(view) if p.topic == "On the host's CPU")
    assert text.startswith("Operations 2 to 4 run on the host's CPU, in the stage of TPU 1, ")
    assert "HARD_SWISH is not among the operations that an Edge TPU takes." in text
    assert plan_svg(view).count('class="checked"') == 3
    assert "crossed ones run on the host's CPU" in plan_html(view)


def test_the_table_of_a_plan_names_it(mixed: Sample) -> None:
    view = plan_view(mixed.folder)
    graph = read_graph(mixed.model)
    device = load_device("edgetpu-pcie")
    problem = AnalyticCosts(graph=graph, device=device).problem(tpus=4)
    plan = plan_of(view.plan)
    score = score_plan(problem, plan)
    value = 1 / score.rate
    answer = Answer(
        question=Question(),
        planner="dp",
        status=Status.FEASIBLE,
        plan=plan,
        score=score,
        value=value,
        bound=value,
        cuts="dag",
        found_by="hand",
    )
    console = Console(width=120, record=True)
    console.print(answer_table(problem, answer, "edgetpu-pcie"))
    rows = [line.split() for line in console.export_text().splitlines()]
    assert [row[2] for row in rows if row and row[0] in "0123"] == ["TPU", "CPU", "TPU", "TPU"]
