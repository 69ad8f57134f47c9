"""Graphs in the form of the device placement instances."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from generators.documents import placement, write
from segsolve.errors import DeviceError
from segsolve.profile.placement import is_placement, load_placement


def node(number: int, **others: Any) -> dict[str, Any]:
    values = {"id": number, "supportedOnFpga": 1, "cpuLatency": 10.0, "fpgaLatency": 1.5, "size": 100.0}
    return values | others


def edge(source: int, dest: int, cost: float = 0.25) -> dict[str, Any]:
    return {"sourceId": source, "destId": dest, "cost": cost}


def written(folder: Path, nodes: list[dict[str, Any]], edges: list[dict[str, Any]], **others: Any) -> Path:
    return write(folder, placement(nodes, edges, **{"maxSizePerFPGA": 1000.0, "maxCPUs": 1} | others), "graph.json")


def test_times_become_ns_and_memory_hard_bytes(tmp_path: Path) -> None:
    path = written(tmp_path, [node(7, name="a"), node(3)], [edge(7, 3)])
    assert is_placement(path)
    problem = load_placement(path).problem(accelerators=3, cpus=1)
    assert [(op.name, op.compute_ns, op.cpu_ns, op.weight_bytes) for op in problem.ops] == [
        ("a", 1_500_000, 10_000_000, 100),
        ("3", 1_500_000, 10_000_000, 100),
    ]
    (tensor,) = problem.transfers
    assert (tensor.producer, tensor.consumers, tensor.input_ns, tensor.output_ns) == (0, (1,), 250_000, 250_000)
    assert (problem.tpus, problem.cpus, problem.capacity_bytes, problem.no_spill) == (3, 1, 1000, True)


def test_nodes_of_one_colour_are_one_operation_and_still_pay_each_tensor(tmp_path: Path) -> None:
    nodes = [node(0, colorClass=5), node(1, colorClass=5, supportedOnFpga=0), node(2, colorClass=6)]
    costs = load_placement(written(tmp_path, nodes, [edge(0, 1), edge(0, 2), edge(1, 2, 0.5)]))
    assert costs.members == ((0, 1), (2,))
    problem = costs.problem(accelerators=2, cpus=1)
    assert [op.on_accelerator for op in problem.ops] == [False, True]
    assert problem.ops[0].cpu_ns == 20_000_000
    assert [(t.producer, t.consumers, t.input_ns) for t in problem.transfers] == [
        (0, (1,), 250_000),
        (0, (1,), 500_000),
    ]


def test_colours_that_depend_on_each_other_in_a_circle_stay_together(tmp_path: Path) -> None:
    nodes = [node(0, colorClass=1), node(1, colorClass=2), node(2, colorClass=1), node(3)]
    costs = load_placement(written(tmp_path, nodes, [edge(0, 1), edge(1, 2), edge(2, 3)]))
    assert costs.members == ((0, 1, 2), (3,))


def test_operations_stand_in_an_order_that_dependencies_allow(tmp_path: Path) -> None:
    costs = load_placement(written(tmp_path, [node(0), node(1), node(2)], [edge(2, 0), edge(0, 1)]))
    assert costs.members == ((2,), (0,), (1,))


def test_a_time_of_a_million_seconds_says_impossible(tmp_path: Path) -> None:
    nodes = [node(0, cpuLatency=1e9), node(1, fpgaLatency=1e30)]
    problem = load_placement(written(tmp_path, nodes, [])).problem(accelerators=1, cpus=1)
    assert [(op.cpu_ns, op.on_accelerator) for op in problem.ops] == [(None, True), (10_000_000, False)]


@pytest.mark.parametrize(
    ("nodes", "edges", "says"),
    [
        ([node(0), node(0)], [], "two nodes have the same id"),
        ([node(0)], [edge(0, 1)], "edge 0 names a node that is not listed"),
        ([node(0), node(1), node(2)], [edge(0, 1), edge(0, 2, 0.3)], "node 0 has edges of different costs"),
        ([node(0, isBackwardNode=1)], [], "training is not supported"),
        ([node(0, fpgaLatency=-1.0)], [], "nodes.0.fpgaLatency"),
        ([], [], "nodes"),
    ],
)
def test_what_is_wrong_is_said(
    tmp_path: Path, nodes: list[dict[str, Any]], edges: list[dict[str, Any]], says: str
) -> None:
    with pytest.raises(DeviceError, match=says):
        load_placement(written(tmp_path, nodes, edges))


@pytest.mark.parametrize("text", ["", "[]", '{"format": "segsolve-profile", "nodes": []}', "{"])
def test_other_files_are_not_taken_for_graphs(tmp_path: Path, text: str) -> None:
    path = tmp_path / "other.json"
    path.write_text(text, encoding="utf-8")
    assert not is_placement(path)
