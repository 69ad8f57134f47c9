"""`segsolve solve` on graphs, and on profiles with CPU cores."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

import segsolve
from generators.documents import by_hand, placement, write
from segsolve.errors import ExitCode
from segsolve.profile.placement import load_placement
from segsolve.search.wide import graph_answer
from segsolve.solvers.base import Limits, ignore
from segsolve_runtime.contract.digest import digested_json
from segsolve_runtime.contract.plan import PLAN_FILE, Plan, load_plan

from .tool import error, inside


def graph(**changes: Any) -> dict[str, Any]:
    """A diamond: the two branches are the work, the ends are little; the second branch is faster on a core."""
    times = [(1.0, 10.0), (6.0, 60.0), (9.0, 7.0), (1.0, 10.0)]
    nodes = [
        {"id": 10 + i, "supportedOnFpga": 1, "fpgaLatency": t, "cpuLatency": c, "size": 100.0}
        for i, (t, c) in enumerate(times)
    ]
    pairs = [(10, 11), (10, 12), (11, 13), (12, 13)]
    edges = [{"sourceId": a, "destId": b, "cost": 0.5} for a, b in pairs]
    return placement(nodes, edges, **changes)


def solved(file: Path, *options: str) -> dict[str, Any]:
    done = inside("solve", file, "--json", *options)
    assert (done.code, json.loads(done.stdout)["stopped_by"]) == (ExitCode.OK, "finished"), done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def test_a_graph_is_solved_and_proven(tmp_path: Path) -> None:
    """Each accelerator has a branch and an end, and pays two tensors: the slower 9 + 1 + 2 * 0.5 ms."""
    result = solved(write(tmp_path, graph()), "--tpus", "2")
    assert result["status"] == "optimal"
    assert [said["by"] for said in result["confirmed_by"]]
    assert result["objective_ns"] == 11_000_000
    assert [stage["operations"] for stage in result["stages"]] in ([[10, 11], [12, 13]], [[10, 12], [11, 13]])


def test_a_core_takes_what_it_is_given_anywhere_in_the_order(tmp_path: Path) -> None:
    """The core pays 7 ms for its branch and nothing for tensors; the other branch has an end, 6 + 1 + 2 * 0.5 ms."""
    result = solved(write(tmp_path, graph()), "--tpus", "2", "--cpus", "1")
    assert result["objective_ns"] == 8_000_000
    assert "cpu" in [stage["processor"] for stage in result["stages"]]


def test_memory_is_a_hard_limit(tmp_path: Path) -> None:
    file = write(tmp_path, graph())
    result = solved(file, "--tpus", "2", "--tpu-memory", "200")
    assert [stage["weight_bytes"] for stage in result["stages"]] == [200, 200]
    done = inside("solve", file, "--tpus", "2", "--tpu-memory", "199")
    assert (done.code, done.stdout) == (ExitCode.NO_PLAN, "")
    assert "no plan on 2 accelerators" in done.stderr


def test_the_table_shows_the_parts_and_the_proof(tmp_path: Path) -> None:
    done = inside("solve", write(tmp_path, graph()), "--tpus", "2", "--cpus", "1")
    assert done.code == ExitCode.OK
    for text in (
        "accelerator",
        "CPU core",
        "Bottleneck 8.00 ms, 125.0 inferences per second",
        "Proven optimal: found by",
    ):
        assert text in done.stdout


def test_a_profile_with_cores(tmp_path: Path) -> None:
    """The core is fast at the last two layers; alone, two devices need 5 + 30 + 5 or 40 + 5 at best."""
    layers = [
        {"name": n, "time_ns": t, "param_bytes": 0, "cpu_time_ns": c}
        for n, t, c in (("a", 10, 100), ("b", 20, 100), ("c", 30, 8), ("d", 40, 9))
    ]
    file = write(tmp_path, by_hand(layers=layers))
    assert solved(file, "--tpus", "1", "--cpus", "1")["objective_ns"] == 35
    assert solved(file, "--tpus", "2", "--cpus", "1")["objective_ns"] == 30


def test_a_layer_that_needs_a_core(tmp_path: Path) -> None:
    layers = by_hand()["layers"]
    layers[1] |= {"on_accelerator": False, "cpu_time_ns": 25}
    file = write(tmp_path, by_hand(layers=layers))
    done = inside("solve", file, "--tpus", "3")
    assert done.code == ExitCode.BAD_DEVICE
    assert "layer 'b' of the profile runs on no accelerator" in done.stderr
    stages = solved(file, "--tpus", "3", "--cpus", "1")["stages"]
    assert [s["operations"] for s in stages if s["processor"] == "cpu"] == [["b"]]


def test_the_graphs_own_numbers_of_devices_are_the_defaults(tmp_path: Path) -> None:
    file = write(tmp_path, graph(maxCPUs=1))
    assert solved(file)["objective_ns"] == solved(file, "--tpus", "2", "--cpus", "1")["objective_ns"] == 8_000_000
    assert solved(file, "--cpus", "0")["objective_ns"] == 11_000_000
    done = inside("solve", write(tmp_path, graph(maxFPGAs=0)))
    assert (done.code, done.stdout) == (ExitCode.USAGE, "")
    assert "the number of accelerators is 0" in done.stderr


def test_a_profiles_own_number_of_devices_is_the_default(tmp_path: Path) -> None:
    file = write(tmp_path, by_hand(device={"count": 3}))
    by_count, given = (json.loads(inside("solve", file, "--json", *o).stdout) for o in ((), ("--tpus", "3")))
    assert by_count["stages"] == given["stages"]
    assert by_count["tpus"] == given["tpus"]
    assert solved(file, "--cpus", "0")["tpus"] == 3


@pytest.mark.parametrize("options", [(), ("--cpus", "0")])
def test_without_any_number_of_devices_it_is_asked_for(tmp_path: Path, options: tuple[str, ...]) -> None:
    done = inside("solve", write(tmp_path, by_hand()), *options)
    assert (done.code, done.stdout) == (ExitCode.USAGE, "")
    assert "missing option '--tpus'" in done.stderr


@pytest.mark.parametrize(
    ("options", "code", "says"),
    [
        (("--device", "edgetpu-usb"), ExitCode.USAGE, "has its costs in it"),
        (("--cpus", "-1"), ExitCode.USAGE, "--cpus is -1"),
        (("--cpus", "65"), ExitCode.USAGE, "--cpus is 65"),
        (("--tpu-memory", "much"), ExitCode.USAGE, "is not a size"),
    ],
)
def test_wrong_options(tmp_path: Path, options: tuple[str, ...], code: int, says: str) -> None:
    done = inside("solve", write(tmp_path, graph()), "--tpus", "2", *options)
    assert (done.code, done.stdout) == (code, "")
    assert says in done.stderr


def test_wrong_files(tmp_path: Path) -> None:
    done = inside("solve", write(tmp_path, graph(maxFPGAs="many")), "--tpus", "2")
    assert done.code == ExitCode.BAD_DEVICE
    assert "maxFPGAs" in done.stderr
    done = inside("solve", tmp_path / "model.tflite", "--tpus", "2", "--cpus", "1")
    assert done.code == ExitCode.USAGE
    assert "--cpus is for graphs and profiles" in done.stderr


def test_what_no_device_can_run_has_no_plan(tmp_path: Path) -> None:
    """Also where it costs nothing, so that no bound tells."""
    node = {"id": 4, "supportedOnFpga": 0, "fpgaLatency": 0.0}
    graph = {"maxSizePerFPGA": 101.0, "maxFPGAs": 1, "maxCPUs": 0, "nodes": [node], "edges": []}
    (tmp_path / "graph.json").write_text(json.dumps(graph))
    done = inside("solve", tmp_path / "graph.json", "--tpus", "1", "--cpus", "0")
    assert done.code == ExitCode.NO_PLAN, done.stderr
    assert "keeps the memory and runs every operation" in done.stderr


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    done = inside("solve", write(tmp_path, graph()), "--tpus", "2", "-o", tmp_path / "plan")
    assert done.code == ExitCode.OK, done.stderr
    assert "without segments: there is no model behind these costs" in done.stderr
    return tmp_path / "plan"


def test_a_plan_of_a_graph_is_written_and_certified(plan: Path) -> None:
    assert sorted(path.name for path in plan.iterdir()) == ["certificate.json", "plan.json"]
    found = load_plan(plan, costs_only=True).plan
    assert (found.solution.status, found.solution.objective_ns) == ("optimal", 11_000_000)
    assert sorted(name for stage in found.all_stages for name in stage.operations) == ["10", "11", "12", "13"]
    done = inside("check", plan, "--json")
    assert (done.code, json.loads(done.stdout)["optimal"]) == (ExitCode.OK, True)
    assert "of the costs in profile.json alone" in json.loads(done.stdout)["steps"][0]["text"]
    assert segsolve.check(plan).is_certified


def test_an_altered_plan_of_a_graph_is_refused(plan: Path) -> None:
    document = json.loads((plan / PLAN_FILE).read_text())
    document["pipelines"][0]["stages"][0]["prediction"]["time_ns"] += 1
    (plan / PLAN_FILE).write_text(json.dumps(document))
    error(inside("check", plan), ExitCode.BAD_PLAN, "was altered after it was written")
    del document["digest"]
    (plan / PLAN_FILE).write_text(digested_json(Plan.model_validate(document)))
    assert inside("check", plan).code == ExitCode.NOT_CERTIFIED


def test_a_plan_of_costs_names_no_segments(plan: Path) -> None:
    known = load_plan(plan, costs_only=True).plan.model_dump(mode="json")
    known["pipelines"][0]["stages"][0]["file"] = "segments/a.tflite"
    with pytest.raises(ValidationError, match="has a segment, in a plan of costs alone"):
        Plan.model_validate(known)
    known["model"]["costs_only"] = False
    with pytest.raises(ValidationError, match="with the hash ''"):
        Plan.model_validate(known)


@pytest.mark.parametrize(
    "command",
    [
        ("run",),
        ("build", "--compile"),
        ("build", "--check-coral"),
        ("verify",),
        ("report", "-o", "page.html"),
        ("serve",),
        ("bench", "--count", "1"),
    ],
)
def test_what_needs_a_model_says_that_there_is_none(plan: Path, command: tuple[str, ...]) -> None:
    more = (plan,) if command[0] == "bench" else ()
    error(inside(command[0], plan, *more, *command[1:]), ExitCode.BAD_PLAN, "there is no model behind it")


def test_a_plan_with_cores_is_the_solvers_word(tmp_path: Path) -> None:
    done = inside("solve", write(tmp_path, graph()), "--tpus", "2", "--cpus", "1", "-o", tmp_path / "plan")
    assert done.code == ExitCode.OK, done.stderr
    stages = load_plan(tmp_path / "plan", costs_only=True).plan.all_stages
    assert "cpu" in [stage.processor for stage in stages]
    error(inside("check", tmp_path / "plan"), ExitCode.NO_CERTIFICATE, "is the solver's word")


def test_a_graph_without_cores_has_the_value_of_the_search_with_them(tmp_path: Path) -> None:
    """Two ways to the same optimum: the states of the graph, and the ladder."""
    for seed in range(10):
        file = write(tmp_path, random_graph(seed))
        problem = load_placement(file).problem(accelerators=3, cpus=0)
        ladder = graph_answer(problem, Limits(), ignore)
        assert solved(file, "--tpus", "3", "--cpus", "0")["objective_ns"] == ladder.objective_ns


def random_graph(seed: int) -> dict[str, Any]:
    rng = random.Random(seed)
    count = rng.randint(4, 9)
    nodes = [
        {"id": k, "supportedOnFpga": 1, "fpgaLatency": rng.randint(1, 20) / 4, "size": float(rng.randint(0, 40))}
        for k in range(count)
    ]
    cost = [rng.randint(0, 8) / 8 for _ in nodes]
    edges = [
        {"sourceId": a, "destId": b, "cost": cost[a]}
        for b in range(1, count)
        for a in rng.sample(range(b), min(b, rng.randint(1, 2)))
    ]
    return placement(nodes, edges, maxSizePerFPGA=150.0)


def test_strategies_are_compared_on_a_graphs_accelerators(tmp_path: Path) -> None:
    file = write(tmp_path, graph(maxCPUs=1))
    done = inside("compare", file, "--csv")
    assert done.code == ExitCode.OK, done.stderr
    assert "the graph's CPU cores are left aside" in done.stderr
    rows = segsolve.compare(file)
    assert {row["tpus"] for row in rows} == {2}
    assert [row["objective_ns"] for row in rows if row["planner"] == "dp"] == [
        11_000_000
    ]  # of the order 10, 11, 12, 13
    nodes = [{"id": 1, "supportedOnFpga": 0, "fpgaLatency": 0.0, "cpuLatency": 1.0}]
    error(inside("compare", write(tmp_path, placement(nodes, []))), ExitCode.BAD_DEVICE, "runs on no accelerator")
    error(inside("compare", write(tmp_path, by_hand())), ExitCode.USAGE, "missing option '--tpus'")


def test_a_profile_alone_has_a_plan_without_segments(tmp_path: Path) -> None:
    done = inside("solve", write(tmp_path, by_hand()), "--tpus", "2", "-o", tmp_path / "plan")
    assert done.code == ExitCode.OK, done.stderr
    assert [stage.operations for stage in load_plan(tmp_path / "plan", costs_only=True).plan.all_stages]
    assert json.loads(inside("check", tmp_path / "plan", "--json").stdout)["certified"] is True
