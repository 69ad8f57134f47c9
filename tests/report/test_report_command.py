from __future__ import annotations

import json
from pathlib import Path

from segsolve.errors import ExitCode

from ..cli.tool import error, inside
from .samples import Sample, make_sample, sample_batch


def test_a_page_is_written_and_named(sample: Sample, tmp_path: Path) -> None:
    page = tmp_path / "new" / "plan.html"
    done = inside("report", sample.folder, "-o", page)
    assert (done.code, done.stdout) == (0, "")
    assert done.stderr == f"wrote {page}\n"
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    sample = make_sample(tmp_path)
    sample.model.unlink()
    done = inside("report", sample.folder, "-o", tmp_path / "plan.html")
    assert done.code == 0
    assert "note: the report is without the network's operations" in done.stderr


def test_a_batch_has_a_page(tmp_path: Path) -> None:
    done = inside("report", sample_batch(tmp_path / "zoo"), "-o", tmp_path / "zoo.html")
    assert done.code == 0
    assert "All best plans" in (tmp_path / "zoo.html").read_text(encoding="utf-8")


def test_mistakes_end_as_documented(sample: Sample, tmp_path: Path) -> None:
    page = tmp_path / "plan.html"
    error(inside("report", tmp_path, "-o", page), ExitCode.BAD_PLAN, "plan.json")
    error(inside("report", sample.folder, "-o", tmp_path), ExitCode.OUTPUT, "cannot be written")
    error(inside("report", sample.folder, "-o", page, "--model", tmp_path / "none"), ExitCode.BAD_MODEL, "none")
    error(inside("report", sample.folder, "-o", page, "--device", "abacus"), ExitCode.BAD_DEVICE, "abacus")
    error(inside("report", sample.folder, "-o", page, "--measured", page), ExitCode.BAD_PLAN, "cannot be read")


def test_a_run_leaves_a_timeline_for_the_report(tmp_path: Path) -> None:
    sample = make_sample(tmp_path)
    file = sample.folder / "measured.json"
    done = inside("run", sample.folder, "--backend", "simulated", "--count", "5", "--timeline", file)
    assert done.code == 0
    assert len(json.loads(file.read_text())["timeline"]) == 5 * 3
    assert inside("report", sample.folder, "-o", tmp_path / "plan.html").code == 0
    assert "virtual clock" in (tmp_path / "plan.html").read_text(encoding="utf-8")
