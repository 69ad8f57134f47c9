"""A key stands for everything that decides a result, and for nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest

from segsolve.batch import jobs as module
from segsolve.batch.jobs import Model, Options, Versions, expand
from segsolve.errors import UsageError
from segsolve.values import parse_counts, parse_names
from tests.batch.runs import device

MODEL = Model(name="net", path="net.tflite", sha256="1234")


def key(model: Model = MODEL, tpus: int = 2, planner: str = "dp", memory: int = 8_000_000, **options: object) -> str:
    chosen = device().with_memory(memory)
    (job,) = expand([model], [chosen], [tpus], [planner], Options(**options))  # type: ignore[arg-type]
    return job.key


@pytest.mark.parametrize(
    "other",
    [
        {"model": replace(MODEL, sha256="5678")},
        {"tpus": 3},
        {"planner": "cpsat"},
        {"memory": 4_000_000},
        {"no_spill": True},
        {"time_limit_s": 1.0},
        {"seed": 1},
        {"workers": 2},
        {"objective": "latency"},
    ],
)
def test_what_decides_a_result_decides_the_key(other: dict[str, object]) -> None:
    assert key(**other) != key()  # type: ignore[arg-type]


def test_other_versions_are_other_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    before = key()
    monkeypatch.setattr(module, "installed", lambda: Versions(segsolve="99", ortools="9.14"))
    assert key() != before


def test_a_device_is_its_figures_not_its_name() -> None:
    slower = replace(device(), stream_ns_per_byte=device().stream_ns_per_byte * 2)
    first, second = expand([MODEL], [device(), slower], [2], ["dp"], Options())
    assert first.key != second.key


def test_the_same_content_under_another_name_is_the_same_job() -> None:
    copy = Model(name="copy", path="elsewhere/copy.tflite", sha256=MODEL.sha256)
    assert [job.model.name for job in expand([MODEL, copy], [device()], [2], ["dp"], Options())] == ["net"]


def test_files_that_cannot_be_read_are_told_apart_by_their_paths() -> None:
    gone = [Model(name="net", path=path, sha256=None) for path in ("a/net.tflite", "b/net.tflite")]
    assert len(expand(gone, [device()], [2], ["dp"], Options())) == 2


def test_jobs_on_a_model_stay_together() -> None:
    models = [MODEL, replace(MODEL, name="other", sha256="5678")]
    order = [(j.model.name, j.tpus, j.planner) for j in expand(models, [device()], [2, 3], ["dp", "cpsat"], Options())]
    assert order[:3] == [("net", 2, "dp"), ("net", 2, "cpsat"), ("net", 3, "dp")]
    assert [name for name, *_ in order] == ["net"] * 4 + ["other"] * 4


@pytest.mark.parametrize(
    ("text", "counts"),
    [("4", (4,)), ("2..5", (2, 3, 4, 5)), ("8,2,4", (2, 4, 8)), ("2..3, 3..4", (2, 3, 4)), ("3..3", (3,))],
)
def test_counts(text: str, counts: tuple[int, ...]) -> None:
    assert parse_counts("--tpus", text) == counts


@pytest.mark.parametrize("text", ["", "0", "0..2", "5..2", "2..", "..2", "2.5", "-1", "two", "2,,3", "1..99999", "²"])
def test_what_is_no_count(text: str) -> None:
    with pytest.raises(UsageError, match="--tpus"):
        parse_counts("--tpus", text)


def test_names() -> None:
    assert parse_names("--planners", "dp, cpsat,dp", ()) == ("dp", "cpsat")
    assert parse_names("--planners", "all", ("dp", "brute")) == ("dp", "brute")
    with pytest.raises(UsageError, match="names nothing"):
        parse_names("--planners", " ,", ("dp",))
