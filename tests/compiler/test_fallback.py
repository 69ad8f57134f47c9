"""What falls back, priced: by hand, on a network of a few operations."""

from __future__ import annotations

from pathlib import Path

import pytest

from segsolve.compiler.fallback import Fallbacks
from segsolve.compiler.log import Mapping, Report
from segsolve.compiler.truth import truth_of
from segsolve.device.latency import compute_ns, host_ns, output_ns
from segsolve.device.model import load_device
from segsolve.profile.analytic import AnalyticCosts

from ..models import Net

STATUS = "More than one subgraph is not supported"


@pytest.fixture
def costs(tmp_path: Path) -> AnalyticCosts:
    """Three convolutions in a row."""
    net = Net()
    x = net.input()
    for _ in range(3):
        x = net.conv(x, filters=64)
    return AnalyticCosts(graph=net.load(tmp_path, x, name="three").graph, device=load_device("edgetpu-pcie"))


def on_cpu(count: int, kind: str = "CONV_2D") -> tuple[Mapping, ...]:
    return (Mapping(kind=kind, count=count, status=STATUS),)


def extra(costs: AnalyticCosts, *positions: int) -> int:
    graph, device = costs.graph, costs.device
    pairs = ((host_ns(device, graph, graph.ops[i]), compute_ns(device, graph, graph.ops[i])) for i in positions)
    return sum(max(0, host - own) for host, own in pairs)


def test_the_last_of_a_kind_fall_back_and_take_the_hosts_time(costs: AnalyticCosts) -> None:
    fallbacks = Fallbacks(graph=costs.graph, costs=costs)
    tensor = costs.graph.ops[0].outputs[0]
    handed = output_ns(costs.device, costs.graph.tensors[tensor].nbytes)
    assert extra(costs, 1, 2) > 0
    assert fallbacks.more_ns((0, 1, 2), on_cpu(2)) == extra(costs, 1, 2) + handed
    assert fallbacks.more_ns((0, 1, 2), on_cpu(3)) == extra(costs, 0, 1, 2)
    assert fallbacks.more_ns((0,), on_cpu(1)) == extra(costs, 0)


def test_what_is_not_in_the_stage_costs_nothing(costs: AnalyticCosts) -> None:
    fallbacks = Fallbacks(graph=costs.graph, costs=costs)
    assert fallbacks.more_ns((0, 1, 2), ()) == 0
    assert fallbacks.more_ns((0, 1, 2), on_cpu(1, "SOFTMAX")) == 0


def test_the_stage_takes_that_much_longer(costs: AnalyticCosts) -> None:
    problem, fallbacks = costs.problem(tpus=1), Fallbacks(graph=costs.graph, costs=costs)
    report = Report(
        version="16.0",
        failure=None,
        onchip_bytes=None,
        onchip_free_bytes=None,
        offchip_bytes=None,
        subgraphs=1,
        total_operations=3,
        operations=on_cpu(1),
    )
    plain, priced = truth_of(problem, (0, 1, 2), report, 1.0), truth_of(problem, (0, 1, 2), report, 1.0, fallbacks)
    assert priced.fallback_ns == fallbacks.more_ns((0, 1, 2), on_cpu(1)) > 0
    assert priced.time_ns == plain.time_ns + priced.fallback_ns
