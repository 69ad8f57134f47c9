"""The ends of what may be asked: huge and no costs, one operation, many devices, no time; the answer stays right."""

from __future__ import annotations

import json
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from generators.command import inside
from generators.documents import by_hand, placement, write
from generators.problems import chain as problem_of
from generators.problems import op_cost
from segsolve.cost.table import IMPOSSIBLE
from segsolve.errors import DeviceError, ExitCode
from segsolve.question import Cuts, Layout, Objective, Question
from segsolve.search.ask import answer
from segsolve.solvers.base import Status
from segsolve.solvers.dynamic.mix import mixes


def chain(times: list[int], size: int = 0, edge_ns: int = 0) -> dict[str, Any]:
    names = [f"l{k}" for k in range(len(times))]
    layers = [{"name": n, "time_ns": t, "param_bytes": size} for n, t in zip(names, times, strict=True)]
    edges = [{"from": a, "to": b, "bytes": size, "time_ns": edge_ns} for a, b in pairwise(names)]
    return by_hand(layers=layers, edges=edges)


def solved(folder: Path, document: dict[str, Any], *options: str) -> dict[str, Any]:
    done = inside("solve", write(folder, document), *options, "--json")
    assert done.code == ExitCode.OK, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


@pytest.mark.parametrize("planner", ["cpsat", "dp", "brute"])
def test_costs_at_the_upper_end_add_up(planner: str) -> None:
    """Times and bytes of a problem add up to less than 2^60: nothing that is made of them overflows 64 bits."""
    most = 2**57
    problem = problem_of(*(op_cost(most) for _ in range(4)), tpus=2, ns=0)
    found = answer(problem, Question(layout=Layout.PIPELINE, cuts=Cuts.CHAIN), planner=planner)
    assert (found.status, found.objective_ns, found.bound_ns) == (Status.OPTIMAL, 2 * most, 2 * most)


def test_costs_beyond_what_floats_hold_are_exact() -> None:
    """CP-SAT's numbers are floats; where all that may be adds up to more than 64 bits, it is not asked."""
    times = [2**60 // 6 - k for k in range(6)]
    problem = problem_of(*map(op_cost, times), tpus=3, ns=0)
    for objective, least in ((Objective.THROUGHPUT, times[0] + times[1]), (Objective.LATENCY, sum(times))):
        question = Question(objective=objective, layout=Layout.PIPELINE, cuts=Cuts.CHAIN)
        for planner in ("cpsat", "dp"):
            found = answer(problem, question, planner=planner)
            assert (found.status, found.objective_ns, found.bound_ns) == (Status.OPTIMAL, least, least)
            claims = {each.by for each in found.confirmed_by}
            assert ("cpsat" in claims) <= (objective is Objective.THROUGHPUT)


def test_costs_that_add_up_to_more_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match="add up to"):
        problem_of(*(op_cost(2**59) for _ in range(4)), tpus=2)
    done = inside("solve", write(tmp_path, chain([10**13 + 1])), "--tpus", "2")
    assert done.code == ExitCode.BAD_DEVICE and "layers.0.time_ns" in done.stderr
    found = solved(tmp_path, chain([10**13] * 4), "--tpus", "2", "--planner", "dp")
    assert found["objective_ns"] == 2 * 10**13


@pytest.mark.parametrize("layout", ["any", "pipeline"])
def test_operations_that_cost_nothing(layout: str, tmp_path: Path) -> None:
    found = solved(tmp_path, chain([0, 0, 0]), "--tpus", "3", "--layout", layout)
    assert found["status"] == "optimal" and found["objective_ns"] <= 1


@pytest.mark.parametrize("layout", ["any", "pipeline"])
def test_one_operation_on_many_devices(layout: str, tmp_path: Path) -> None:
    found = solved(tmp_path, chain([1000]), "--tpus", "50", "--layout", layout)
    assert found["status"] == "optimal"
    assert found["objective_ns"] == (20 if layout == "any" else 1000)


def test_no_time_leaves_a_plan_with_a_true_status(tmp_path: Path) -> None:
    found = solved(tmp_path, chain([7, 5, 11, 2, 9, 4, 8, 6] * 20), "--tpus", "5", "--time-limit", "0.001")
    assert found["status"] in ("feasible", "optimal")
    assert found["bound_ns"] <= found["objective_ns"]


def test_more_operations_than_the_limit_are_refused_and_the_limit_can_be_raised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEGSOLVE_MAX_OPERATIONS", "3")
    done = inside("solve", write(tmp_path, chain([1, 2, 3, 4])), "--tpus", "2")
    assert done.code == ExitCode.BAD_DEVICE and "4 layers, more than 3 operations" in done.stderr
    nodes = [{"id": k, "fpgaLatency": 1.0} for k in range(4)]
    done = inside("solve", write(tmp_path, placement(nodes, []), "graph.json"), "--tpus", "2")
    assert done.code == ExitCode.BAD_DEVICE and "4 nodes, more than 3 operations" in done.stderr
    monkeypatch.setenv("SEGSOLVE_MAX_OPERATIONS", "4")
    assert inside("solve", write(tmp_path, chain([1, 2, 3, 4])), "--tpus", "2").code == ExitCode.OK
    monkeypatch.setenv("SEGSOLVE_MAX_OPERATIONS", "many")
    done = inside("solve", write(tmp_path, chain([1, 2, 3, 4])), "--tpus", "2")
    assert done.code == ExitCode.USAGE and "SEGSOLVE_MAX_OPERATIONS is 'many'" in done.stderr


def test_without_time_a_plan_that_does_no_more_than_the_least_work_is_proven_by_that(tmp_path: Path) -> None:
    found = solved(tmp_path, chain([1000] * 4, edge_ns=0), "--tpus", "4", "--time-limit", "0.000001")
    assert (found["status"], found["objective_ns"], found["gap"]) == ("optimal", 1000, 0)
    assert [each["by"] for each in found["confirmed_by"]] == ["bounds"]


def test_a_thousand_devices_take_no_longer_than_their_kinds(tmp_path: Path) -> None:
    """Copies are counted, not listed: a mix of pipelines is told by its sizes and how often they come."""
    many = mixes([IMPOSSIBLE, 900, 500, 310, 240], 1000)
    assert many[1000].rate == Fraction(1000, 900)
    assert max(map(len, many[1000].runs)) <= 4
    assert {sum(layout) for layout in many[1000].layouts} == {1000}
    found = solved(tmp_path, chain([700, 1200, 400, 900, 600]), "--tpus", "1000")
    assert (found["status"], found["layout"], found["objective_ns"]) == ("optimal", "1000x1", 4)


@pytest.mark.parametrize("memory", ["1B", "1TiB"])
def test_hardly_any_memory_and_more_than_there_is(memory: str, tmp_path: Path) -> None:
    done = inside("zoo", "build", "synthetic-dense-10", "-o", tmp_path)
    assert done.code == ExitCode.OK, done.stderr
    done = inside("solve", tmp_path / "synthetic-dense-10.tflite", "--tpus", "2", "--tpu-memory", memory, "--json")
    found = json.loads(done.stdout)
    assert found["status"] == "optimal"
    streams = sum(stage["offchip_bytes"] for pipeline in found["pipelines"] for stage in pipeline["stages"])
    assert (streams > 0) == (memory == "1B")
    beyond = inside("solve", tmp_path / "synthetic-dense-10.tflite", "--tpus", "2", "--tpu-memory", "1.1TiB")
    assert beyond.code == ExitCode.USAGE and "give at most" in beyond.stderr
