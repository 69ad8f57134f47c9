from __future__ import annotations

from pathlib import Path

import pytest

from segsolve.report.batch_html import batch_html
from segsolve.report.batch_view import batch_view

from .browser import DESKTOP, PHONE, Browser
from .samples import EVIL, record, write_batch

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
    assert "Optimum (cpsat)" in panel
    assert "+30.0 %" in panel
    plans = len(browser.texts(".detail tbody tr"))
    bars = "return [...document.querySelectorAll('.detail .mini')].map(m => m.children.length)"
    assert browser.run(bars) == [3] * plans, "every plan shows the time of each of its TPUs"


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
        record("alpha", 2, "cpsat", 300, key="c", device="edgetpu-usb"),
    ]
    view = batch_view(write_batch(tmp_path / "out", *records))
    assert [(b.device, b.rules) for b in view.boards] == [
        ("edgetpu-pcie", "8 MiB on chip"),
        ("edgetpu-pcie", "8 MiB on chip, nothing may stream"),
        ("edgetpu-usb", "8 MiB on chip"),
    ]


def test_the_best_plan_wins_whoever_found_it(tmp_path: Path) -> None:
    view = batch_view(write_batch(tmp_path / "o", record("a", 2, "cpsat", 100), record("a", 2, "compiler", 90)))
    (cell,) = view.boards[0].networks[0].cells
    assert cell.best is not None
    assert cell.best.planner == "compiler"
