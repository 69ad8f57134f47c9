"""Ranges that no cut may part."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from segsolve.device.model import load_device
from segsolve.graph.model import Graph
from segsolve.profile.analytic import AnalyticCosts
from tests.models import Net


def chain(net: Net, length: int) -> list[int]:
    values = [net.input()]
    for _ in range(length):
        values.append(net.relu(values[-1]))
    return values


def only_reason(graph: Graph) -> str:
    (restriction,) = graph.restrictions
    return restriction.reason


def test_a_network_without_state_may_be_cut_everywhere(tmp_path: Path) -> None:
    net = Net()
    graph = net.load(tmp_path, chain(net, 5)[-1]).graph
    assert graph.restrictions == ()
    assert graph.cuts == (1, 2, 3, 4)


def test_a_tensor_without_a_size_glues_its_maker_to_its_readers(tmp_path: Path) -> None:
    net = Net()
    values = chain(net, 2)
    values.append(net.shaped_by_data(values[2]))
    graph = net.load(tmp_path, net.add(net.relu(values[2]), values[3])).graph
    assert [(r.first, r.last) for r in graph.restrictions] == [(2, 4)]
    assert graph.cuts == (1, 2)
    assert "reshape_2" in only_reason(graph)
    assert "until the model runs" in only_reason(graph)


@pytest.mark.parametrize("signature", [[1, -1, 4, 8], [-1, 4, 4, 8]], ids=["inner", "first of a closed batch"])
def test_a_size_that_the_file_leaves_open_and_litert_infers_is_known(tmp_path: Path, signature: list[int]) -> None:
    net = Net()
    values = chain(net, 3)
    net.graph.tensors[values[2]].shapeSignature = np.array(signature, np.int32)
    graph = net.load(tmp_path, values[3]).graph
    assert graph.restrictions == ()
    assert not graph.frozen_batch


def test_a_variable_glues_all_that_use_it_and_never_crosses(tmp_path: Path) -> None:
    net = Net()
    values = chain(net, 3)
    state = net.tensor("state", (1, 4, 4, 8), isVariable=True)
    first = net.add(values[3], state)
    between = net.relu(first)
    last = net.add(between, state)
    graph = net.load(tmp_path, net.relu(last)).graph
    assert [(r.first, r.last) for r in graph.restrictions] == [(3, 5)]
    assert "state" in only_reason(graph)
    assert graph.cuts == (1, 2, 3, 6)
    assert all(state not in graph.crossing(p) for p in range(1, 7))
    AnalyticCosts(graph=graph, device=load_device("edgetpu-usb")).problem(tpus=2)


def test_a_variable_that_is_written_back_is_no_transfer(tmp_path: Path) -> None:
    net = Net()
    image = net.input()
    state = net.tensor("state", (1, 4, 4, 8), isVariable=True)
    y = net.add(image, state)
    net.operator("RELU", [y], [state])
    graph = net.load(tmp_path, net.relu(y)).graph
    assert state not in graph.producer
    assert graph.cuts == (2,)
    AnalyticCosts(graph=graph, device=load_device("edgetpu-usb")).problem(tpus=2)


@pytest.mark.parametrize("kind", ["RESOURCE", "VARIANT", "STRING", "INT4"])
def test_what_is_no_array_of_numbers_stays_inside_a_segment(tmp_path: Path, kind: str) -> None:
    net = Net()
    values = chain(net, 2)
    handle = net.tensor("handle", (1,), kind)
    net.operator("CUSTOM", [values[-1]], [handle])
    y = net.relu(net.relu(values[-1]))
    out = net.tensor("out", (1, 4, 4, 8))
    net.operator("CUSTOM", [handle, y], [out])
    net.model.operatorCodes[-1].customCode = b"Handled"
    graph = net.load(tmp_path, out).graph
    assert graph.cuts == (1, 2)
    assert f"of type {kind}" in only_reason(graph)


def test_operators_with_hidden_state_stay_together(tmp_path: Path) -> None:
    net = Net()
    values = chain(net, 2)
    handles = [net.tensor(f"handle_{i}", (1,), "RESOURCE") for i in range(2)]
    for handle in handles:
        net.operator("VAR_HANDLE", [], [handle])
    net.operator("ASSIGN_VARIABLE", [handles[0], values[-1]], [])
    read = net.tensor("read", (1, 4, 4, 8))
    net.operator("READ_VARIABLE", [handles[1]], [read])
    graph = net.load(tmp_path, net.relu(net.relu(read))).graph
    assert {(r.first, r.last, r.reason) for r in graph.restrictions} >= {(2, 5, "they share state")}
    assert graph.cuts == (1, 2, 6, 7)
