"""The summary's figures, against those computed by hand."""

from __future__ import annotations

from rich.console import Console

from segsolve.batch.summary import Extreme, Failure, Summary, summarise
from segsolve.report.batch import duration, summary_table
from tests.batch.runs import record

# cpsat against compiler on 2 TPUs: 200/100, 90/100, 400/100; a fourth model has no plan by compiler.
RECORDS = [
    *(record("a", "cpsat", 100), record("a", "compiler", 200), record("a", "balanced", 100)),
    *(record("b", "cpsat", 100), record("b", "compiler", 90)),
    *(record("c", "cpsat", 100), record("c", "compiler", 400)),
    *(record("d", "cpsat", 100), record("d", "compiler", None)),
    *(record("a", "cpsat", 50, tpus=3), record("a", "compiler", 60, tpus=3)),
]
SUMMARY = summarise(RECORDS)


def text(summary: Summary) -> str:
    console = Console(width=100, no_color=True)
    with console.capture() as captured:
        console.print(summary_table(summary))
    return captured.get()


def test_speed_ups_by_hand() -> None:
    first, second, third = SUMMARY.versus
    assert (first.tpus, first.baseline, first.models) == (2, "compiler", 3)
    assert first.geometric_mean == 1.930979  # (2 * 0.9 * 4) ** (1 / 3)
    assert first.best == Extreme(model="c", speedup=4.0)
    assert first.worst == Extreme(model="b", speedup=0.9)
    assert first.losses == ("b",)
    assert (second.baseline, second.models, second.geometric_mean, second.losses) == ("balanced", 1, 1.0, ())
    assert (third.tpus, third.geometric_mean) == (3, 1.2)


def test_the_best_layout_is_held_against_the_compiler_and_the_best_pipeline() -> None:
    records = [record("a", "layouts", 50), record("a", "cpsat", 100), record("a", "compiler", 200)]
    found = {(row.reference, row.baseline): row.geometric_mean for row in summarise(records).versus}
    assert found == {("cpsat", "compiler"): 2.0, ("layouts", "compiler"): 4.0, ("layouts", "cpsat"): 2.0}


def test_counts_and_failures() -> None:
    assert SUMMARY.jobs == 11
    assert SUMMARY.outcomes == {"plan": 10, "infeasible": 0, "no plan": 0, "failed": 1}
    assert SUMMARY.failures == (Failure(model="d", kind="worker", message="it died", jobs=1),)


def test_a_reason_is_told_once() -> None:
    summary = summarise([record("a", planner, None) for planner in ("dp", "cpsat", "compiler")])
    assert [failure.jobs for failure in summary.failures] == [3]


def test_the_order_of_records_does_not_matter_to_the_figures() -> None:
    assert set(summarise(RECORDS[::-1]).versus) == set(SUMMARY.versus)


def test_the_table_fits_and_tells_it() -> None:
    shown = text(SUMMARY)
    assert all(len(line) <= 100 for line in shown.splitlines())
    for told in ("1.93x", "4.00x c", "0.90x b", "1: b", "d (1 job), worker: it died", "11 jobs: 10 plan, 1 failed."):
        assert told in shown


def test_a_batch_without_pairs_has_no_table() -> None:
    assert text(summarise([record("a", "dp", 5)])).strip() == "1 job: 1 plan."


def test_durations() -> None:
    assert [duration(s) for s in (0.4, 89, 120, 7200)] == ["0 s", "89 s", "2 min", "2.0 h"]
