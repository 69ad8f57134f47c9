"""`segsolve solve` on graphs, and on profiles with CPU cores."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from generators.documents import by_hand, placement, write
from segsolve.errors import ExitCode

from .tool import inside


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
        (("-o", "plan"), ExitCode.USAGE, "no segments to cut"),
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
