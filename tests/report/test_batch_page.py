from __future__ import annotations

from pathlib import Path

import pytest

from segsolve.report.batch_html import batch_html
from segsolve.report.batch_view import batch_view

from .browser import DESKTOP, PHONE, Browser
from .samples import DEVICE, EVIL, record, write_batch

ENTER, RIGHT, DOWN = "\ue007", "\ue014", "\ue015"


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_renders_without_overflow(browser: Browser, batch_page: Path, size: tuple[int, int], theme: str) -> None:
    browser.open(batch_page, size=size, theme=theme)
    assert browser.overflow() <= 0
    assert browser.texts("table.heat tbody th") == [EVIL, "alpha"]


def test_names_stay_text(browser: Browser, batch_page: Path) -> None:
    browser.open(batch_page)
    assert browser.run("return document.images.length + document.querySelectorAll('script').length") == 1
    assert EVIL in browser.find("#failures + .scroll").text


def test_the_metric_can_be_chosen(browser: Browser, batch_page: Path) -> None:
    browser.open(batch_page)
    assert browser.texts("table.heat tbody tr:nth-child(2) td") == ["1.00x", "1.30x", "1.30x", "1.19x"]
    browser.find("select option[value=over-balanced]").click()
    assert browser.texts("table.heat tbody tr:nth-child(2) td") == ["+10.0 %"] * 4
    assert browser.texts("table.heat tfoot td") == ["+10.0 %"] * 4
    browser.find("select option[value=gap]").click()
    assert browser.texts("table.heat tbody tr:nth-child(2) td") == ["0 %"] * 4


@pytest.mark.parametrize("way", ["click", "keyboard"])
def test_networks_can_be_sorted(browser: Browser, batch_page: Path, way: str) -> None:
    browser.open(batch_page)
    button = browser.find("table.heat thead th:nth-child(3) button")
    if way == "click":
        button.click()
    else:
        browser.run("arguments[0].focus()", button)
        browser.keys(ENTER)
    assert browser.texts("table.heat tbody th") == ["alpha", EVIL]


def test_a_cell_shows_the_plans_behind_it(browser: Browser, batch_page: Path) -> None:
    browser.open(batch_page)
    browser.hover("table.heat tbody tr:nth-child(2) td:nth-child(4)")
    panel = browser.find(".detail").text
    assert "alpha on 3 TPUs" in panel
    assert "Optimum of one pipeline (cpsat)" in panel
    assert "+30.0 %" in panel
    plans = len(browser.texts(".detail tbody tr"))
    bars = "return [...document.querySelectorAll('.detail .mini')].map(m => m.children.length)"
    assert browser.run(bars) == [3] * plans, "every plan shows the time of each of its TPUs"


def test_a_phone_shows_figures_beside_names(browser: Browser, batch_page: Path) -> None:
    browser.open(batch_page, size=PHONE)
    browser.run("document.querySelector('.heat td[data-i]').click()")
    for table in (".heat", ".detail table", ".tall table"):
        right = browser.run(
            "return [...document.querySelectorAll(arguments[0] + ' tbody tr')].map("
            "row => row.cells[2].getBoundingClientRect().right)",
            table,
        )
        assert right and max(right) <= PHONE[0], table
    mean = browser.find("#versus ~ .scroll tbody td:nth-child(4)")
    assert mean.text.endswith("x") and mean.rect["x"] + mean.rect["width"] <= PHONE[0]


def test_captions_stay_within_a_phone(browser: Browser, batch_page: Path) -> None:
    browser.open(batch_page, size=PHONE)
    widths = browser.run("return [...document.querySelectorAll('caption')].map(c => c.getBoundingClientRect().right)")
    assert widths and max(widths) <= PHONE[0]


def test_arrow_keys_walk_the_cells(browser: Browser, batch_page: Path) -> None:
    browser.open(batch_page)
    browser.run("document.querySelector('table.heat td').focus()")
    browser.keys(RIGHT, DOWN)
    assert "alpha on 2 TPUs" in browser.find(".detail").text
    browser.keys(RIGHT, RIGHT, RIGHT)  # the mean is not a cell
    assert "alpha on 3 TPUs" in browser.find(".detail").text


def test_a_batch_of_failures_has_a_report(browser: Browser, tmp_path: Path) -> None:
    folder = write_batch(tmp_path / "out", record("broken", 2, "cpsat", None, error_kind="x", error_message="y"))
    page = tmp_path / "batch.html"
    page.write_text(batch_html(batch_view(folder)), encoding="utf-8")
    browser.open(page)
    assert "No job has a plan." in browser.find("main").text


def test_devices_and_rules_are_kept_apart(tmp_path: Path) -> None:
    records = [
        record("alpha", 2, "cpsat", 100),
        record("alpha", 2, "cpsat", 200, key="b", no_spill=True),
        record("alpha", 2, "cpsat", 300, key="c", device="edgetpu-pcie"),
    ]
    view = batch_view(write_batch(tmp_path / "out", *records))
    assert [(b.device, b.rules) for b in view.boards] == [
        ("edgetpu-pcie", "8 MiB on chip"),
        (DEVICE, "8 MiB on chip"),
        (DEVICE, "8 MiB on chip, nothing may stream"),
    ]


def test_questions_are_kept_apart_and_told(browser: Browser, tmp_path: Path) -> None:
    asked = {"objective": "devices", "constraints": {"min_fps": 30.0}}
    records = [
        record("a", 4, "layouts", 100, layout="2", tpus_used=2, key="x", **asked),
        record("a", 4, "cpsat", 100, layout="3", tpus_used=3, key="y", **asked),
        record("a", 4, "layouts", 80, layout="4", tpus_used=4),
    ]
    folder = write_batch(tmp_path / "out", *records)
    view = batch_view(folder)
    fewest = next(board for board in view.boards if "fewest" in board.rules)
    assert fewest.rules.endswith("asked for the fewest TPUs, at least 30 inferences per second")
    values = {metric.key: metric.values[0][0] for metric in fewest.metrics}
    assert (values["value"], values["pipeline"]) == (2.0, 1.5)
    page = tmp_path / "batch.html"
    page.write_text(batch_html(view), encoding="utf-8")
    browser.open(page)
    assert "TPUs that are needed" in browser.texts("table.heat caption")
    assert "the fewest TPUs, at least 30 inferences per second" in browser.find("#versus ~ .scroll").text


def test_a_layout_is_judged_by_its_own_bound_and_strategies_by_the_best_of_their_kind(tmp_path: Path) -> None:
    whole = record("a", 2, "layouts", 80, layout="2x1", tpus_used=2, bound_ns=75, status="feasible")
    pipelines = record("a", 2, "cpsat", 100), record("a", 2, "balanced", 110)
    view = batch_view(write_batch(tmp_path / "o", whole, *pipelines))
    (cell,) = view.boards[0].networks[0].cells
    assert cell.best is not None
    assert (cell.best.layout, cell.best.tpus_used, cell.is_optimal) == ("2x1", 2, False)
    values = {metric.key: metric.values[0][0] for metric in view.boards[0].metrics}
    assert (values["pipeline"], values["over-balanced"], values["gap"]) == (1.25, 1.1, 80 / 75)
    assert "over-layouts" not in values


def test_the_page_shows_the_layout_and_the_time_of_each_tpu(browser: Browser, tmp_path: Path) -> None:
    plan = {"layout": "4[3,1]", "tpus_used": 4, "stage_ns": (3_000_000, 900_000), "stage_replicas": (3, 1)}
    best = record("a", 4, "layouts", 1_000_000, status="optimal", **plan)
    folder = write_batch(tmp_path / "out", best, record("a", 4, "cpsat", 1_500_000))
    page = tmp_path / "batch.html"
    page.write_text(batch_html(batch_view(folder)), encoding="utf-8")
    browser.open(page)
    browser.hover("table.heat tbody tr td")
    assert "Best layout: 4[3,1]" in browser.find(".detail").text
    assert browser.run("return document.querySelector('.detail tbody tr:last-child .mini').children.length") == 4
    assert "4[3,1]" in browser.find("#all + .scroll").text


def test_the_best_plan_wins_whoever_found_it(tmp_path: Path) -> None:
    view = batch_view(write_batch(tmp_path / "o", record("a", 2, "cpsat", 100), record("a", 2, "compiler", 90)))
    (cell,) = view.boards[0].networks[0].cells
    assert cell.best is not None
    assert cell.best.planner == "compiler"
