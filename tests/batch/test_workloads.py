"""Workloads on pools: what a file of them says, what is recorded, and what is shown."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from segsolve.batch.log import read_records
from segsolve.errors import ExitCode, UsageError
from segsolve.library.workloads import Workloads, read_workloads
from segsolve.solvers.base import Limits

from ..cli.tool import error, inside
from .runs import lines, run

LIST = """
pools = ["card2"]
[[workload]]
name = "both"
models = ["synthetic-conv-16.tflite", "synthetic-dense-100.tflite"]
rates = {synthetic-conv-16 = 30, synthetic-dense-100 = 1.5}
[[workload]]
name = "apart"
models = ["synthetic-conv-16.tflite", "synthetic-dense-100.tflite"]
pools = ["edgetpu-m2:1"]
sharing = "never"
max-latency = "20ms"
[[workload]]
name = "broken"
models = ["missing.tflite"]
pools = ["card2"]
"""


@pytest.fixture
def workloads(models: Path) -> Path:
    path = models / "workloads.toml"
    path.write_text(LIST)
    return path


def test_every_workload_is_recorded_once_with_what_is_proven(workloads: Path, tmp_path: Path) -> None:
    batch = Workloads(workloads=read_workloads(workloads, (), {}), limits=Limits(time_limit_s=60.0))
    summary = run(batch, tmp_path)
    content = (tmp_path / "results.jsonl").read_bytes()
    records = {(record.model, record.device): record for record in read_records(tmp_path)}
    rows = {(row.workload, row.pool): row for row in summary.pools}
    assert set(rows) == set(records)
    assert {place: row.outcome for place, row in rows.items()} == {
        ("both", "edgetpu-card:2"): "plan",
        ("apart", "edgetpu-m2:1"): "infeasible",
        ("broken", "edgetpu-card:2"): "failed",
    }
    best, record = rows["both", "edgetpu-card:2"], records["both", "edgetpu-card:2"]
    assert record.weights == (20, 1)
    assert best.is_optimal == (record.bound_ns == record.objective_ns == record.period_ns)
    assert best.gap is not None
    assert 0 <= best.gap <= 1
    assert best.over_simple is not None
    assert best.over_simple >= 1
    assert record.throughput_fps is not None
    assert best.over_wanted == pytest.approx(record.throughput_fps / 1.5)
    assert [failure.kind for failure in summary.failures] == ["bad_model"]

    assert run(batch, tmp_path) == summary
    assert (tmp_path / "results.jsonl").read_bytes() == content
    other = Workloads(workloads=batch.workloads, limits=Limits(time_limit_s=60.0, seed=1))
    assert {job.key for job in other.jobs(tmp_path, 1, lambda *_: None)}.isdisjoint(
        line["key"] for line in lines(tmp_path)
    )


def test_the_command_shows_exports_and_reports_them(workloads: Path, tmp_path: Path) -> None:
    workloads.with_suffix(".json").write_text(
        json.dumps({"workload": [{"models": ["synthetic-conv-16.tflite", "synthetic-dense-100.tflite"]}]})
    )
    done = inside(
        "batch", workloads.with_suffix(".json"), "--pools", "card2", "-o", tmp_path / "out", "--processes", "1"
    )
    assert done.code == ExitCode.OK, done.stderr
    assert "synthetic-conv-16+synthetic-dense-100  edgetpu-card:2" in done.stdout
    assert inside("export", tmp_path / "out", tmp_path / "rows.csv").code == ExitCode.OK
    assert "edgetpu-card:2" in (tmp_path / "rows.csv").read_text()
    assert inside("report", tmp_path / "out", "-o", tmp_path / "page.html").code == ExitCode.OK
    page = (tmp_path / "page.html").read_text()
    assert "Workloads on pools" in page
    assert "The optimum against the others" not in page


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("pools = []", "lists no workloads"),
        ("[[workload]]\nmodels = []", "models"),
        ('[[workload]]\nmodels = ["a"]\nrates = 3', "rates"),
        ('[[workload]]\nmodels = ["a"]\nweights = {a = 0}', "weights.a"),
        ('[[workload]]\nmodels = ["a"]\nno_spill = "yes"', "no-spill"),
        ('[[workload]]\nmodels = ["a"]', "a has no pools"),
        ('pools = "card2"\n[[workload]]\nmodels = ["a"]', "pools"),
        ('[[workload]]\nmodel = "a"', "model"),
        ("[[workload", "lists no workloads"),
    ],
)
def test_what_a_file_of_workloads_lacks_is_said(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "list.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=words):
        read_workloads(path, (), {})


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("--tpus", "3"), "--tpus exclude each other"),
        (("synthetic-conv-16",), "there are models beside it"),
        (("--pools", "card0"), "number of edgetpu-card"),
        (("--rate", "nobody=3"), "'nobody', which is no model here"),
        (("--objective", "pareto"), "not solved for pareto"),
    ],
)
def test_what_makes_no_sense_is_said_before_a_job_begins(
    workloads: Path, tmp_path: Path, more: tuple[str, ...], words: str
) -> None:
    workloads.write_text(LIST.replace("rates =", "#"))
    error(inside("batch", workloads, *more, "-o", tmp_path / "out"), ExitCode.USAGE, words)
    assert not (tmp_path / "out" / "results.jsonl").exists()
