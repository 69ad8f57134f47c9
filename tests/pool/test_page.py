"""The report of a pool's plan, in a real browser."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from segsolve.errors import ExitCode
from segsolve.pool.read import plan_of
from segsolve.report.pool.drawing import TIME_WIDTH, rows, steady
from segsolve.report.pool.view import pool_view
from segsolve_runtime.contract.pool import load_pool

from ..cli.tool import error, inside
from ..report.browser import DESKTOP, Browser
from ..report.conftest import browser, chromium
from .conftest import MODELS

__all__ = ["browser", "chromium"]

PHONE = (390, 844)


@pytest.fixture(scope="module")
def page(shared: Path, networks: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("pages") / "pool.html"
    done = inside("report", shared, "--model", networks[0].parent, "-o", found)
    assert (done.code, done.stderr) == (ExitCode.OK, f"wrote {found}\n")
    return found


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_renders_without_overflow(browser: Browser, page: Path, size: tuple[int, int], theme: str) -> None:
    browser.open(page, size=size, theme=theme)
    assert browser.texts("h1")[0].startswith(", ".join(MODELS))
    assert browser.overflow() <= 0


def test_shows_models_devices_ways_and_the_bound(browser: Browser, page: Path, shared: Path) -> None:
    browser.open(page)
    pool = load_pool(shared).pool
    headings = browser.texts("h2")
    assert headings[:3] == ["Why this plan", "The models and their rates", "TPU by TPU"]
    assert browser.texts("#ways ~ div tbody th") == [
        "this plan",
        "wholewhole models, TPUs of their own",
        "placedwhole models, some co-compiled",
        "allall on every TPU, co-compiled",
        "swapall on every TPU, swapped",
        "dedicatedpipelines, TPUs of their own",
    ]
    badges = browser.texts("#models ~ div tbody .badge")
    assert badges == ["A", "B", "C"]
    residents = [r.model for device in pool.devices for r in device.residents]
    assert [text.split()[1].rstrip(",") for text in browser.texts("#devices ~ div td:nth-child(2)")] == residents
    assert "left open" in browser.find(".cards").text or "proven" in browser.find(".cards").text


def test_pointing_at_an_inference_follows_it(browser: Browser, page: Path) -> None:
    browser.open(page)
    name = browser.find("svg.gantt [data-n]").get_attribute("data-n")
    browser.hover(f"svg.gantt [data-n='{name}'] rect")
    faint = browser.run(
        "return [...document.querySelectorAll('.gantt [data-n]')].map(b => [b.dataset.n, b.style.opacity])"
    )
    assert all((opacity == "1") == (n == name) for n, opacity in faint)


def test_without_the_models_the_page_says_so(shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = shutil.copytree(shared, tmp_path / "elsewhere" / "plan")
    monkeypatch.chdir(tmp_path)
    done = inside("report", copy, "-o", tmp_path / "pool.html")
    assert done.code == ExitCode.OK
    assert "note: the report is without simple uses of the pool" in done.stderr
    text = (tmp_path / "pool.html").read_text(encoding="utf-8")
    assert "Not in this report" in text
    assert "Other ways" not in text


def test_other_formats_are_for_one_model(shared: Path, tmp_path: Path) -> None:
    done = inside("report", shared, "-o", tmp_path / "pool.svg", "--format", "svg")
    error(done, ExitCode.USAGE, "no report as svg")


def test_loads_and_weights_are_those_of_the_plan(shared: Path) -> None:
    folder = load_pool(shared)
    view = pool_view(folder)
    assert [len(residents) for residents in plan_of(folder).residents] == [len(d.residents) for d in view.devices]
    for device, row in zip(view.devices, rows(view), strict=False):
        assert 0 <= device.file.load_ns - sum(r.load_ns for r in device.residents) <= len(device.residents)
        assert sum(piece.width for piece in row.times) == pytest.approx(
            TIME_WIDTH * device.file.load_ns / view.period_ns, abs=0.1 * len(row.times) + 0.1
        )
        assert device.onchip_bytes <= device.room_bytes <= device.memory_bytes
    assert view.limits
    assert {bar.row for bar in steady(view).bars} == {d.number for d in view.devices if d.residents}
