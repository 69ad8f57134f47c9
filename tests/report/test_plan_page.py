from __future__ import annotations

from pathlib import Path

import pytest

from segsolve.report.html import plan_html
from segsolve.report.plan_source import plan_view

from .browser import DESKTOP, PHONE, Browser
from .samples import EVIL, LAYERS, Sample, make_sample

ENTER, TAB, RIGHT, DOWN, END = "\ue007", "\ue004", "\ue014", "\ue015", "\ue010"
WIDTHS = "return [...document.querySelectorAll('#ops rect.op')].map(r => Number(r.getAttribute('width')))"


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_renders_without_overflow(browser: Browser, plan_page: Path, size: tuple[int, int], theme: str) -> None:
    browser.open(plan_page, size=size, theme=theme)
    assert browser.texts("h1")[0].startswith("evil")
    assert browser.overflow() <= 0
    for element in browser.driver.find_elements("css selector", "details:not(.later) > summary"):
        element.click()
    assert browser.overflow() <= 0


def test_is_small_and_asks_for_nothing(plan_page: Path) -> None:
    text = plan_page.read_text(encoding="utf-8")
    assert len(text) < 300_000
    assert "http:" not in text.replace("http://www.w3.org/2000/svg", "")
    assert "https:" not in text


def test_names_stay_text(browser: Browser, plan_page: Path) -> None:
    browser.open(plan_page)
    assert browser.run("return document.images.length + document.querySelectorAll('script').length") == 1
    browser.hover("#ops rect.op")
    assert EVIL in browser.find("#detail").text
    assert any(EVIL in text for text in browser.texts(".tensor"))
    assert browser.run("return document.images.length") == 0


def test_pointing_shows_an_operation(browser: Browser, plan_page: Path) -> None:
    browser.open(plan_page)
    browser.hover(f"#ops rect.op[data-i='{LAYERS - 2}']")
    detail = browser.find("#detail").text
    assert f"Operation {LAYERS - 2}:" in detail
    assert "CONV_2D" in detail
    assert "Computing" in detail


def test_arrow_keys_walk_the_operations(browser: Browser, plan_page: Path) -> None:
    browser.open(plan_page)
    browser.run("document.querySelector('#ops rect.op').focus()")
    browser.keys(RIGHT, RIGHT)
    assert "Operation 2:" in browser.find("#detail").text
    assert "Operation 2," in browser.run("return document.activeElement.getAttribute('aria-label')")
    browser.keys(DOWN)
    assert "TPU 1 in this plan" in browser.find("#detail").text.replace(" (streams)", "")
    browser.keys(END)
    assert f"Operation {LAYERS - 1}:" in browser.find("#detail").text


def test_one_operation_is_in_the_tab_order(browser: Browser, plan_page: Path) -> None:
    browser.open(plan_page)
    assert browser.run("return document.querySelectorAll('#ops [tabindex=\"0\"]').length") == 1


def test_width_shows_time_or_weights(browser: Browser, plan_page: Path) -> None:
    browser.open(plan_page)
    before = browser.run(WIDTHS)
    browser.find("input[name=width][value=weights]").click()
    after = browser.run(WIDTHS)
    assert before != after
    assert sum(after) == pytest.approx(1000, abs=1)
    browser.find("input[name=width][value=time]").click()
    assert browser.run(WIDTHS) == pytest.approx(before, abs=0.01)


def test_another_strategy_can_be_compared_with(browser: Browser, plan_page: Path) -> None:
    browser.open(plan_page)
    assert browser.find(".strip [data-other=compiler]").is_displayed()
    assert not browser.find(".strip [data-other=uniform]").is_displayed()
    browser.find("input[name=other][value=uniform]").click()
    assert not browser.find(".strip [data-other=compiler]").is_displayed()
    assert browser.find(".strip [data-other=uniform]").is_displayed()
    browser.find("input[name=other][value='*']").click()
    assert browser.find(".strip [data-other=compiler]").is_displayed()


@pytest.mark.parametrize("way", ["click", "keyboard"])
def test_strategies_can_be_sorted(browser: Browser, plan_page: Path, way: str) -> None:
    browser.open(plan_page)
    button = browser.find("#strategies-table thead th:nth-child(3) button")

    def press() -> list[float]:
        if way == "click":
            button.click()
        else:
            browser.run("arguments[0].focus()", button)
            browser.keys(ENTER)
        return [float(t.replace(",", "")) for t in browser.texts("#strategies-table tbody td:nth-child(3)")]

    ascending = press()
    assert ascending == sorted(ascending)
    assert len(set(ascending)) > 1
    heading = browser.find("#strategies-table thead th:nth-child(3)")
    assert heading.get_attribute("aria-sort") == "ascending"
    descending = press()
    assert descending == sorted(descending, reverse=True)
    assert heading.get_attribute("aria-sort") == "descending"


def test_theme_can_be_chosen(browser: Browser, plan_page: Path) -> None:
    browser.open(plan_page)
    colour = "return getComputedStyle(document.body).backgroundColor"
    light = browser.run(colour)
    browser.find("#theme").click()
    dark = browser.run(colour)
    assert dark != light
    browser.open(plan_page)
    assert browser.run(colour) == dark  # remembered
    browser.find("#theme").click()
    assert browser.run(colour) == light


def test_paper_is_white_and_shows_every_strategy(browser: Browser, plan_page: Path) -> None:
    browser.open(plan_page, theme="dark")
    features = [{"name": "prefers-color-scheme", "value": "dark"}]
    browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print", "features": features})
    assert browser.run("return getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert browser.find(".strip [data-other=uniform]").is_displayed()
    assert not browser.find("#theme").is_displayed()


def test_the_first_tab_stop_skips_to_the_report(browser: Browser, plan_page: Path) -> None:
    browser.open(plan_page)
    browser.keys(TAB)
    assert browser.run("return document.activeElement.getAttribute('href')") == "#main"


def test_everything_interactive_has_a_name(browser: Browser, plan_page: Path) -> None:
    browser.open(plan_page)
    script = """return [...document.querySelectorAll('a, button, [tabindex], input, svg[role=img]')].filter(
        e => !(e.getAttribute('aria-label') || e.textContent.trim() || e.labels?.length)).map(e => e.outerHTML)"""
    assert browser.run(script) == []


def test_predicted_and_measured_timelines_are_drawn(browser: Browser, plan_page: Path) -> None:
    browser.open(plan_page)
    titles = browser.texts("svg.gantt .heading")
    assert [t.split(":")[0] for t in titles] == [
        "This plan (cpsat), predicted",
        "Vendor's compiler, predicted",
        "Measured on the simulated backend's virtual clock",
    ]


def test_without_the_model_the_page_says_what_is_missing(browser: Browser, tmp_path: Path) -> None:
    sample = make_sample(tmp_path)
    sample.model.unlink()
    page = tmp_path / "plan.html"
    page.write_text(plan_html(plan_view(sample.folder)), encoding="utf-8")
    browser.open(page, size=PHONE)
    assert "--model evil.tflite" in browser.find(".notice").text
    assert browser.overflow() <= 0
    assert not browser.driver.find_elements("css selector", "#ops")
    assert len(browser.texts("svg.bars .row")) == 3


def test_many_stages_fit(browser: Browser, tmp_path: Path) -> None:
    sample = make_sample(tmp_path, tpus=LAYERS, planner="uniform", room=40_000)
    page = tmp_path / "plan.html"
    page.write_text(plan_html(plan_view(sample.folder)), encoding="utf-8")
    browser.open(page, size=PHONE)
    assert browser.overflow() <= 0
    assert "the host that feeds them drives" in browser.driver.page_source  # a stage per layer is too many for it


def test_the_page_can_be_read_without_scripts(plan_page: Path, sample: Sample) -> None:
    text = plan_page.read_text(encoding="utf-8")
    before_script = text[: text.index("<script>")]
    assert "Why this plan" in before_script
    assert before_script.count('class="op" data-i') == LAYERS


def test_a_long_tensor_name_shows_its_end(browser: Browser, plan_page: Path) -> None:
    browser.open(plan_page)
    boxes = """return [...document.querySelectorAll('.tensor b')].map(b => {
        const name = b.firstChild.getBoundingClientRect(), box = b.getBoundingClientRect();
        return [name.left - box.left, name.right - box.right]; })"""
    found = browser.run(boxes)
    assert any(left < -1 for left, _ in found), "no name is too long for its box"
    assert all(abs(right) <= 1 for left, right in found if left < -1)
