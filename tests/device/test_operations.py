"""Which operations an Edge TPU takes, and how those that fall back end the mapped part."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.calibration.networks import KERAS, VENDOR, keras_graph, vendor_graph
from segsolve.cost.plan import score_cut
from segsolve.device.latency import host_ns
from segsolve.device.model import load_device
from segsolve.device.operations import fallback_reason, mapped_part, taken_operations
from segsolve.graph.model import Graph
from segsolve.profile.analytic import AnalyticCosts
from segsolve.search.chain.dp import PLANNER
from segsolve.solvers.base import Limits, ignore
from tests.cli.tool import inside
from tests.models import Net

DEVICE = load_device("edgetpu-usb")


def swish_net() -> Net:
    """CONV 0, CONV 1, HARD_SWISH 2, CONV 3, CONV 4."""
    net = Net()
    x = net.conv(net.conv(net.input()))
    x = net.op("HARD_SWISH", [x], net.shape(x))
    net.graph.outputs = [net.conv(net.conv(x))]
    return net


def graph_of(net: Net, folder: Path) -> Graph:
    return net.load(folder).graph


def test_every_entry_of_the_table_is_known_to_tflite_and_names_a_check_that_exists() -> None:
    from ai_edge_litert.schema_py_generated import BuiltinOperator

    for kind, entry in taken_operations().items():
        assert hasattr(BuiltinOperator, kind), kind
        assert entry.keys() <= {"limit", "check"}
        assert "check" not in entry or entry["limit"]


def test_an_operation_that_falls_back_ends_the_mapped_part(tmp_path: Path) -> None:
    mapped = mapped_part(graph_of(swish_net(), tmp_path))
    assert (mapped.first, mapped.end) == (0, 2)
    (part,) = mapped.fallbacks
    assert (part.first, part.last) == (2, 4)
    assert part.reason == "HARD_SWISH is not among the operations that an Edge TPU takes"


def test_what_falls_back_runs_on_the_host_without_weights_or_cuts(tmp_path: Path) -> None:
    graph = graph_of(swish_net(), tmp_path)
    problem = AnalyticCosts(graph=graph, device=DEVICE).problem(tpus=5)
    assert problem.cuts == (1,)
    for op, cost in zip(graph.ops[2:], problem.ops[2:], strict=True):
        handed = 4 * 4 * 8 if op.position == 2 else 0  # the map comes back to the host
        back = DEVICE.output_ns_per_byte * handed
        assert cost.compute_ns == pytest.approx(host_ns(DEVICE, graph, op) + back, abs=1)
        assert (cost.weight_bytes, cost.streamed_bytes, cost.scratch_bytes) == (0, 0, 0)
        assert cost.link_bytes == handed
    plan = PLANNER.solve(problem, Limits(), ignore).plan
    assert plan is not None and plan.cuts in ((), (1,))


def test_a_slower_host_makes_the_stage_slower(tmp_path: Path) -> None:
    graph = graph_of(swish_net(), tmp_path)
    slow = replace(DEVICE, host_ns_per_mac=10 * DEVICE.host_ns_per_mac)
    times = [score_cut(AnalyticCosts(graph=graph, device=d).problem(tpus=1), ()).latency_ns for d in (DEVICE, slow)]
    macs = sum(op.macs for op in graph.ops[2:])
    assert times[1] - times[0] == pytest.approx(9 * DEVICE.host_ns_per_mac * macs, abs=3)


def test_the_mapped_part_begins_with_the_first_operation_that_is_taken(tmp_path: Path) -> None:
    net = Net()
    floats = net.input(kind="FLOAT32")
    x = net.op("QUANTIZE", [floats], net.shape(floats), kind="INT8")
    net.graph.outputs = [net.dequantize(net.conv(net.conv(x)))]
    graph = graph_of(net, tmp_path)
    mapped = mapped_part(graph)
    assert (mapped.first, mapped.end) == (1, 3)
    before, after = mapped.fallbacks
    assert "QUANTIZE works on FLOAT32, an Edge TPU on 8 bits only" in before.reason
    assert "DEQUANTIZE is not among" in after.reason
    assert AnalyticCosts(graph=graph, device=DEVICE).problem(tpus=4).cuts == (2,)


def test_nothing_mapped(tmp_path: Path) -> None:
    net = Net()
    x = net.input()
    net.graph.outputs = [net.op("HARD_SWISH", [net.op("HARD_SWISH", [x], net.shape(x))], net.shape(x))]
    graph = graph_of(net, tmp_path)
    assert [(p.first, p.last) for p in mapped_part(graph).fallbacks] == [(0, 1)]
    assert AnalyticCosts(graph=graph, device=DEVICE).problem(tpus=2).cuts == ()


def test_documented_limits_are_checked(tmp_path: Path) -> None:
    net = Net()
    x = net.input()
    fused = net.op("CONCATENATION", [x, x], (1, 4, 4, 16), {"axis": 3, "fusedActivationFunction": 1})
    net.graph.outputs = [net.op("SOFTMAX", [fused], (1, 4, 4, 16))]
    graph = graph_of(net, tmp_path)
    assert fallback_reason(graph, graph.ops[0]) == "CONCATENATION: no fused activation function"
    reason = fallback_reason(graph, graph.ops[1])
    assert reason == "SOFTMAX: a one-dimensional input of at most 16,384 elements (documented: 16,000)"
    plain = graph_of(swish_net(), tmp_path)
    assert fallback_reason(plain, plain.ops[0]) is None
    assert fallback_reason(plain, replace(plain.ops[0], dilation=(2, 1))) is None  # as public compiled files have it


@pytest.mark.parametrize(("size", "taken"), [(2, True), (8, True), (16, True), (17, False), (62, False)])
def test_what_is_enlarged_too_much_is_not_taken(tmp_path: Path, size: int, taken: bool) -> None:
    net = Net()
    x = net.input((1, 4, 4, 8))
    sides = net.constant(np.array([size, size], np.int32))
    net.graph.outputs = [net.op("RESIZE_BILINEAR", [x, sides], (1, size, size, 8), {"halfPixelCenters": True})]
    graph = graph_of(net, tmp_path)
    assert (fallback_reason(graph, graph.ops[0]) is None) is taken


def test_a_description_may_take_more_kinds(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    catalogue = Path(__file__).parents[2] / "solver" / "segsolve" / "device" / "catalogue"
    path.write_text((catalogue / "edgetpu-usb.toml").read_text() + '\n[operations]\nalso = ["HARD_SWISH"]\n')
    device = load_device(str(path))
    graph = graph_of(swish_net(), tmp_path)
    assert mapped_part(graph, device.also_taken).fallbacks == ()
    assert AnalyticCosts(graph=graph, device=device).problem(tpus=5).cuts == (1, 2, 3, 4)


@pytest.mark.parametrize("key", [*VENDOR, *KERAS])
def test_networks_that_were_measured_are_mapped_whole(key: str) -> None:
    graph = keras_graph(key) if key in KERAS else vendor_graph(key)
    assert mapped_part(graph).fallbacks == ()


def test_the_user_is_told(tmp_path: Path) -> None:
    path = swish_net().write(tmp_path)
    done = inside("solve", path, "--tpus", "2", "--no-verify")
    assert done.code == 0
    assert "operations 2 to 4 run on the host's CPU: HARD_SWISH is not among" in done.stderr
    assert '"first": 2' in inside("inspect", path, "--json").stdout
