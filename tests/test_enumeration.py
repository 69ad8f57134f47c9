"""The oracle that tries every plan, and what holds answers against it, where what is true can be seen by eye."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from benchmarks import enumeration
from benchmarks.enumeration import Wrong, judged
from generators.asked import Asked
from generators.cases import Case, random_case
from generators.command import Done, inside
from generators.documents import by_hand, placement
from generators.enumeration import Point, Truth, pipelines, truth
from generators.problems import chain, op_cost, transfer
from segsolve.problem import MeasuredStage, Problem, SharedLink

BIG = {"weight_bytes": 90, "streamed_bytes": 90}  # two of these do not fit the 100 bytes of a TPU
APART = chain(op_cost(20, **BIG), op_cost(10, **BIG), ns=0, tpus=3, no_spill=True)
"""Two operations that need a TPU each, the first of them twice the work."""
BRANCHES = replace(
    chain(op_cost(10), op_cost(30), op_cost(11), op_cost(1), ns=0, tpus=2),
    transfers=(transfer(0, 2, ns=0), transfer(1, 3, ns=0), transfer(2, 3, ns=0)),
)
"""Operation 1 beside 0 and 2, then 3."""


def value(problem: Problem, **asked: Any) -> Fraction | None:
    return truth(problem, Asked(**asked)).value


def test_two_tpus_take_turns_at_the_slow_stage() -> None:
    assert value(APART) == 10
    assert value(APART, layout="pipeline") == 20
    assert value(replace(APART, tpus=1)) is None


def test_shares_are_rounded_up_and_nothing_takes_less_than_a_ns() -> None:
    assert value(chain(op_cost(7), ns=0)) == Fraction(7, 2)  # two copies
    assert value(chain(op_cost(7, **BIG), op_cost(0, **BIG), ns=0, tpus=3, no_spill=True)) == 4
    assert value(chain(op_cost(0), ns=0, tpus=1)) == 1


def test_a_batch_takes_what_the_schedule_says() -> None:
    """Both inferences begin at once, and wait for each other at the second stage: 20 + 10 + 10."""
    assert value(APART, objective="batch", batch=2) == 40
    assert value(APART, objective="batch", batch=2, layout="pipeline") == 50
    assert value(chain(op_cost(0), ns=0, tpus=1), objective="batch") == 0


def test_cuts_of_the_graph_are_more_than_those_of_the_order() -> None:
    assert value(BRANCHES, layout="pipeline", cuts="chain") == 40
    assert value(BRANCHES, layout="pipeline", cuts="dag") == 30
    assert value(BRANCHES, layout="pipeline") == 30


def test_a_link_carries_one_inference_at_a_time() -> None:
    """Each inference moves two bytes, which take 200 ns; the copies could do one per 50 ns."""
    linked = replace(chain(op_cost(100), ns=0, tpus=2), link=SharedLink(ns_per_mib=100 * 2**20))
    assert value(linked) == 200
    assert value(linked, objective="latency") == 100
    assert value(linked, objective="devices", min_fps=5e6) == 1
    assert value(linked, objective="devices", min_fps=5.1e6) is None
    # A pipeline can begin at once, and again an interval later.
    assert value(linked, objective="batch", batch=2) == 100
    assert value(replace(linked, tpus=1), objective="batch", batch=2) == 300


def test_cores_take_what_they_can_run() -> None:
    mixed = chain(op_cost(10, cpu_ns=15), op_cost(20, cpu_ns=50), ns=0, tpus=1, cpus=1)
    assert value(mixed, layout="pipeline") == 20
    assert value(replace(mixed, cpus=0), layout="pipeline") == 30
    only = replace(mixed, ops=(mixed.ops[0], replace(mixed.ops[1], on_accelerator=False)))
    assert value(only, layout="pipeline") == 50
    assert value(replace(only, cpus=0), layout="pipeline") is None


def test_a_measured_stage_takes_the_measured_time() -> None:
    measured = replace(APART, no_spill=False, tpus=1, measured=(MeasuredStage(first=0, end=2, time_ns=3),))
    assert value(measured) == 3
    assert value(replace(measured, no_spill=True)) is None


@pytest.mark.parametrize(
    ("asked", "wanted"),
    [
        ({"max_stages": 1}, 52),
        ({"max_latency_ns": 51}, None),
        ({"keep_together": ((0, 1),)}, 40),
        ({"no_cut_before": (1,)}, 40),
        ({"pins": ((1, 0),)}, 30),
        ({"pins": ((0, 1),)}, 30),
        ({"pins": ((2, 0), (1, 0))}, 51),
        ({"cut_before": (2,)}, 40),
        ({"min_fps": 1e9 / 31}, 30),
        ({"min_fps": 1e9 / 29}, None),
    ],
)
def test_constraints_are_kept(asked: dict[str, Any], wanted: int | None) -> None:
    assert value(BRANCHES, layout="pipeline", **asked) == wanted


def test_a_trade_off_has_all_that_nothing_betters() -> None:
    found = truth(replace(APART, tpus=4), Asked(objective="pareto"))
    assert found == Truth(Fraction(10), frozenset({Point(2, 30, Fraction(1, 20)), Point(3, 30, Fraction(1, 10))}))


def test_every_pipeline_is_tried_once() -> None:
    """One stage on up to three TPUs, or two on 1+1, 1+2 or 2+1."""
    free = replace(APART, no_spill=False)
    tried = sorted(tuple(stage.replicas for stage in one.stages) for one in pipelines(free, Asked(cuts="chain")))
    assert tried == [(1,), (1, 1), (1, 2), (2,), (2, 1), (3,)]


CASE = Case(kind="profile", content=by_hand(), tpus=2, asked=Asked())
PIPELINE = replace(CASE, asked=Asked(layout="pipeline"))
PARETO = replace(CASE, asked=Asked(objective="pareto"))


def lie(monkeypatch: pytest.MonkeyPatch, change: Callable[[dict[str, Any]], None]) -> None:
    """Let the command line say something else than it found."""

    def answered(*args: str | Path) -> Done:
        done = inside(*args)
        said = json.loads(done.stdout)
        change(said)
        return replace(done, stdout=json.dumps(said))

    monkeypatch.setattr(enumeration, "inside", answered)


@pytest.mark.parametrize(
    ("case", "change", "kind"),
    [
        (CASE, {"objective_ns": 1}, "objective_ns is not the plan's"),
        (CASE, {"bound_ns": 51}, "the bound is wrong"),
        (CASE, {"bound_ns": 1}, "optimal with a gap"),
        (CASE, {"throughput_fps": 1.0}, "throughput_fps is not the plan's"),
        (CASE, {"batch_ns": 1}, "batch_ns is not the plan's"),
        (CASE, {"pipelines": []}, "exit code and plan differ"),
        (CASE, {"found_by": "highs"}, "a solver is named that did not run"),
        (CASE, {"confirmed_by": []}, "nothing confirms the answer"),
        (PARETO, {"points": []}, "a front is not complete"),
    ],
)
def test_a_lie_is_found(
    case: Case, change: dict[str, Any], kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert judged(case, tmp_path) == "optimal"
    lie(monkeypatch, lambda said: said.update(change))
    with pytest.raises(Wrong) as found:
        judged(case, tmp_path)
    assert found.value.kind == kind


def test_a_plan_that_is_worse_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer to an easier question is given out as the answer."""
    easier = replace(PIPELINE, asked=replace(PIPELINE.asked, max_stages=1))

    def answered(*args: str | Path) -> Done:
        return inside(*easier.write(tmp_path), "--json")

    monkeypatch.setattr(enumeration, "inside", answered)
    with pytest.raises(Wrong, match="not the best"):
        judged(PIPELINE, tmp_path)


def test_a_wrong_answer_is_made_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is asked, latencies are told as 1 ns: one layer shows it, without constraints."""
    lie(monkeypatch, lambda said: said.update(latency_ns=1))
    case = replace(CASE, tpus=3, asked=Asked(max_stages=2, pins=((0, 0),)))
    with pytest.raises(Wrong) as found:
        judged(case, tmp_path)
    small, _ = enumeration.smaller(case, found.value)
    assert (len(small.content["layers"]), small.tpus, small.asked) == (1, 1, Asked())


def test_a_graph_is_asked_for_one_pipeline(tmp_path: Path) -> None:
    nodes = [{"id": 5, "fpgaLatency": 1.0, "cpuLatency": 9.0}, {"id": 3, "fpgaLatency": 2.0, "cpuLatency": 2.0}]
    content = placement(nodes, [{"sourceId": 5, "destId": 3, "cost": 0.5}])
    case = Case(kind="graph", content=content, tpus=1, cpus=1, asked=Asked(layout="pipeline", cuts="dag"))
    case.write(tmp_path)
    assert truth(case.problem(tmp_path), case.asked).value == 2_000_000
    assert judged(case, tmp_path) == "optimal"


def profile(*layers: dict[str, Any], **others: Any) -> dict[str, Any]:
    """A profile of layers that hand nothing on; each takes no time and has no weights unless told otherwise."""
    named = [{"name": f"l{i}", "time_ns": 0, "param_bytes": 0} | layer for i, layer in enumerate(layers)]
    return by_hand(layers=named, edges=[]) | others


NOTHING_TO_STREAM = profile({"time_ns": 4}, {"cacheable": False, "streamed_time_ns": 9})
ODD_RATE = profile({"time_ns": 59})
TWO_STAGES = profile({"param_bytes": 9, "time_ns": 20}, {"param_bytes": 9, "time_ns": 10}, device={"memory_bytes": 9})
TOO_LARGE = profile(
    *({"time_ns": 4, "param_bytes": 9},) * 2,
    device={"memory_bytes": 9},
    segments=[{"first_op": 0, "last_op": 1, "time_ns": 1}],
)
QUICK_WHOLE = profile({}, {}, device={"overhead_ns": 2}, segments=[{"first_op": 0, "last_op": 1, "time_ns": 1}])

KNOWN = {
    "a layer without bytes streams nothing, whatever its time": Case(
        kind="profile", content=NOTHING_TO_STREAM, tpus=1, asked=Asked(objective="latency", max_latency_ns=4)
    ),
    "nor does it make a rate impossible": Case(
        kind="profile", content=NOTHING_TO_STREAM, tpus=1, asked=Asked(layout="pipeline", min_fps=2.5e8)
    ),
    "the rate that a plan states can be asked for": Case(
        kind="profile", content=ODD_RATE, tpus=1, asked=Asked(objective="devices", min_fps=16949152.54237288)
    ),
    "replicas begin a batch together": Case(
        kind="profile", content=TWO_STAGES, tpus=3, no_spill=True, asked=Asked(objective="batch", batch=2)
    ),
    "a batch that costs nothing takes no time": Case(
        kind="profile", content=profile({}), tpus=1, asked=Asked(objective="batch")
    ),
    "a link slows a batch down": Case(
        kind="linked",
        content=profile({"time_ns": 10, "param_bytes": 9}, device={"memory_bytes": 0}),
        tpus=2,
        link_ns_per_mib=2**22,
        asked=Asked(objective="batch", batch=5),
    ),
    "latency and rate on a link": Case(
        kind="linked",
        content=profile({"time_ns": 10, "param_bytes": 9}, device={"memory_bytes": 0}),
        tpus=2,
        link_ns_per_mib=2**22,
        asked=Asked(objective="pareto", min_fps=2e7, max_latency_ns=40),
    ),
    "a measured stage whose weights do not fit": Case(
        kind="cores", cpus=0, content=TOO_LARGE, tpus=2, no_spill=True, asked=Asked(layout="pipeline", cuts="dag")
    ),
    "a measured stage that is quicker than the overhead": Case(
        kind="cores", cpus=0, content=QUICK_WHOLE, tpus=2, asked=Asked(layout="pipeline", cuts="dag")
    ),
}


@pytest.mark.parametrize("name", KNOWN)
def test_what_was_once_wrong(name: str, tmp_path: Path) -> None:
    assert judged(KNOWN[name], tmp_path) == "optimal"


@pytest.mark.parametrize("first", range(0, 100, 25))
def test_random_problems(first: int, tmp_path: Path) -> None:
    for seed in range(first, first + 25):
        case = random_case(seed, tmp_path)
        if case.kind not in ("cores", "graph"):
            judged(case, tmp_path)
