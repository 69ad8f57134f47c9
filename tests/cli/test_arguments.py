"""Arguments of the functions as people write them in a notebook: numbers without units, one in place of a list."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import segsolve
from segsolve.errors import UsageError


@pytest.mark.parametrize(
    ("given", "same"),
    [
        ({"max_latency": 60}, {"max_latency": "60ms"}),
        ({"cut_before": 2}, {"cut_before": ["2"]}),
        ({"cut_before": "2"}, {"cut_before": [2]}),
        ({"keep_together": "1,2"}, {"keep_together": [(1, 2)]}),
        ({"pin": "2=1"}, {"pin": [(2, 1)]}),
        ({"tpu_memory": 6_000_000}, {"tpu_memory": "6MB"}),
    ],
)
def test_what_means_the_same(given: dict[str, Any], same: dict[str, Any], net: Path) -> None:
    one, other = (segsolve.solve(net, tpus=2, cuts="chain", **each) for each in (given, same))
    assert one.plan == other.plan and one.found.question == other.found.question


@pytest.mark.parametrize(
    "given",
    [
        {"tpus": "2"},
        {"tpus": 2.5},
        {"tpus": True},
        {"min_fps": "30"},
        {"max_stages": "2"},
        {"pin": (2, 1)},
        {"keep_together": (1, 2)},
        {"cut_before": 1.5},
        {"batch": 2.5, "objective": "batch"},
        {"batch": 0, "objective": "batch"},
        {"max_stages": 1.5},
        {"host_cores": 1.5},
        {"tpu_memory": 6},
        {"max_latency": [1]},
    ],
)
def test_what_makes_no_sense_is_named(given: dict[str, Any], net: Path) -> None:
    arguments = {"tpus": 2, **given}
    with pytest.raises(UsageError, match=next(iter(given)).replace("_", "[-_]")):
        segsolve.solve(net, **arguments)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"time_limit_s": -1}, "--time-limit is -1"),
        ({"time_limit_s": float("nan")}, "--time-limit is nan"),
        ({"time_limit_s": True}, "--time-limit is True"),
        ({"workers": 0}, "--workers is 0"),
        ({"workers": 2.5}, "--workers is 2.5"),
        ({"seed": -1}, "--seed is -1"),
    ],
)
def test_limits_that_make_no_sense_are_named_where_they_are_made(given: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        segsolve.Limits(**given)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"weights": {"net": 0}}, "the weight of net is 0"),
        ({"weights": {"net": 1.5}}, "the weight of net is 1.5"),
        ({"rates": {"net": "1e999999999"}}, "the rate of net"),
        ({"rates": {"net": "1e300"}}, "the rate of net"),
        ({"rates": {"net": 1e-9}}, "the rate of net"),
        ({"rates": {"net": True}}, "the rate of net"),
    ],
)
def test_weights_and_rates_that_make_no_sense_are_named(given: dict[str, Any], words: str, net: Path) -> None:
    with pytest.raises(UsageError, match=words):
        segsolve.solve(net, pool="edgetpu-m2:2", **given)


def test_numbers_of_tpus_are_written_as_on_the_command_line(net: Path) -> None:
    rows = segsolve.compare(net, tpus="1..2,4")
    assert [row["tpus"] for row in rows if row["planner"] == "greedy"] == [1, 2, 4]
    assert {row["confirmed_by"] for row in rows if row["planner"] == "greedy"} == {"evaluator"}
    assert len({(row["tpus"], row["planner"], row["layout"]) for row in rows}) == len(rows)


def test_a_notebook_finds_the_functions_by_name() -> None:
    assert {"solve", "compare", "Limits"} <= set(dir(segsolve))


def test_an_answer_is_shown_in_a_line(net: Path) -> None:
    shown = repr(segsolve.solve(net, tpus=2))
    assert shown.startswith("<Answer optimal: ") and len(shown) < 200


def test_an_answer_on_a_pool_is_shown_in_a_line_and_in_tables(net: Path) -> None:
    solved = segsolve.solve(net, pool="edgetpu-m2:1,edgetpu-usb:1")
    assert isinstance(solved, segsolve.SolvedPool)
    assert (
        repr(solved).startswith(f"<SolvedPool optimal: {net.stem} on edgetpu-m2:1,edgetpu-usb:1")
        and len(repr(solved)) < 200
    )
    shown = solved._repr_html_()
    assert shown.count("<table>") == 2 and "<td>edgetpu-usb:0</td>" in shown and f"<td>{net.stem}</td>" in shown


@pytest.mark.parametrize(
    "call",
    [
        lambda net: segsolve.compare(net, tpus=[]),
        lambda net: segsolve.replan(net.parent, tpus=0),
        lambda net: segsolve.solve([], pool="edgetpu-m2:2"),
        lambda net: segsolve.compare([net, net], pool="edgetpu-m2:2"),
        segsolve.compare,
    ],
)
def test_nothing_asked_for_is_named(call: Callable[[Path], object], net: Path) -> None:
    with pytest.raises(UsageError):
        call(net)
