from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from segsolve.report.batch_html import batch_html
from segsolve.report.batch_view import batch_view
from segsolve.report.html import plan_html
from segsolve.report.plan_source import plan_view

from .browser import Browser, open_browser, why_not
from .samples import Sample, make_sample, measure, sample_batch


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    """A proven plan on three devices, with the model beside it and a measurement in it."""
    made = make_sample(tmp_path_factory.mktemp("sample"))
    measure(made)
    return made


@pytest.fixture(scope="session")
def plan_page(sample: Sample, tmp_path_factory: pytest.TempPathFactory) -> Path:
    page = tmp_path_factory.mktemp("pages") / "plan.html"
    page.write_text(plan_html(plan_view(sample.folder)), encoding="utf-8")
    return page


@pytest.fixture(scope="session")
def batch_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("batch")
    page = folder / "batch.html"
    page.write_text(batch_html(batch_view(sample_batch(folder / "zoo"))), encoding="utf-8")
    return page


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if reason := why_not():
        pytest.skip(reason)
    with open_browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture
def browser(chromium: Browser) -> Iterator[Browser]:
    """The browser; after the test, its page must have said nothing and asked nobody for anything."""
    yield chromium
    assert chromium.problems() == []
